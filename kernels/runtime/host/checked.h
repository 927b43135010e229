// Pointers that know their buffer, for the checked mode. The lowering writes `device T*` as
// zmlx_device_ptr<T>, and so on, so that address spaces are types; every access through one
// is tested in `access`, the single place that a later shadow memory has to see.
//
// MSL has to go on compiling, so these behave as pointers: a pointer to T is a pointer to
// const T (by derivation, which keeps deduction of `device const T*` parameters working),
// casts to other elements are explicit and keep the extent of the buffer.
#pragma once

// The kernel's buffers, as the entry defines them.
extern const uint32_t zmlx_buffer_count;
extern const char* const zmlx_buffer_names[];

struct zmlx_report {     // src/engine/host/checked/mod.rs mirrors this
  uint64_t count;        // accesses out of range
  uint32_t claimed;      // whether the rest describes the first of them
  uint32_t robust;       // go on after one
  const char* buffer;
  const char* file;
  uint32_t line, size;   // of the access in the MSL; bytes of an element
  int64_t offset;        // of the access from the buffer's start, in bytes
  uint64_t bytes;        // of the buffer
  uint32_t position[3];  // of the thread in the grid
  uint32_t thread;       // within its threadgroup
};

namespace zmlx {
struct device_space;
struct constant_space;
struct threadgroup_space;

// What runs on this OS thread. Coroutines of one threadgroup share it, and tell themselves
// apart by their context.
struct place {
  zmlx_report* report;
  const zmlx_launch* launch;
  uint32_t origin[3], extent[3], at[3], index;
};
static thread_local place here;

struct where {
  const char* file;
  uint32_t line;
};
#define ZMLX_WHERE uint32_t zmlx_line = __builtin_LINE(), const char* zmlx_file = __builtin_FILE()
#define ZMLX_HERE zmlx::where{zmlx_file, zmlx_line}

[[gnu::noinline, gnu::cold]] static void violation(const char* name, int64_t offset, uint64_t bytes, uint32_t size, where w) {
  zmlx_report* r = here.report;
  if (!r) zmlx_stop();
  __atomic_fetch_add(&r->count, 1, __ATOMIC_RELAXED);
  if (!__atomic_exchange_n(&r->claimed, 1u, __ATOMIC_RELAXED)) {
    r->buffer = name;
    r->file = w.file;
    r->line = w.line;
    r->size = size;
    r->offset = offset;
    r->bytes = bytes;
#if defined(ZMLX_MODE_SYNC)
    uint32_t i = zmlx_cur->simd * 32u + zmlx_cur->lane, ex = here.extent[0], ey = here.extent[1];
    r->position[0] = here.origin[0] + i % ex;
    r->position[1] = here.origin[1] + i / ex % ey;
    r->position[2] = here.origin[2] + i / ex / ey;
    r->thread = i;
#else
    for (int d = 0; d < 3; ++d) r->position[d] = here.at[d];
    r->thread = here.index;
#endif
  }
  if (!r->robust) zmlx_stop();
}

// What a robust launch reads from and writes to out of range: zeros, anew each time.
template <class T> [[gnu::noinline, gnu::cold]] static T& sink() {
  alignas(T) alignas(16) static thread_local unsigned char raw[sizeof(T)];
  __builtin_memset(raw, 0, sizeof(T));
  return *(T*)raw;
}
// Where a lane may read after others have run: zeros that nobody writes instead of what is anybody's.
template <class T> ZMLX_FN const T* kept(const T* p) {
  alignas(16) static const unsigned char zeros[sizeof(T)] = {};
  return p == &sink<remove_const_t<T>>() ? (const T*)zeros : p;
}

// An index and where it was written: `operator[]` takes no default arguments, a conversion does.
struct index {
  int64_t i;
  where w;
  template <class I> requires(integer<I> || is_class_v<I>)
  ZMLX_INLINE constexpr index(const I& x, ZMLX_WHERE) : i(int64_t(x)), w(ZMLX_HERE) {}
};
// The same for unary `*`. It takes exactly P, so that no base class offers a second way.
template <class P> struct located {
  P p;
  where w;
  template <class Q> requires is_same_v<remove_cvref_t<Q>, P>
  ZMLX_INLINE constexpr located(Q&& q, ZMLX_WHERE) : p(q), w(ZMLX_HERE) {}
};

template <class T, class S> struct ptr;
template <class T> inline constexpr bool is_checked = false;
template <class T, class S> inline constexpr bool is_checked<ptr<T, S>> = true;
// One row of an array of arrays: subscripts stay within it, pointers made from it do not have to.
template <class E, class S, size_t N> struct row;
template <class E, class S, size_t N> inline constexpr bool is_checked<row<E, S, N>> = true;
template <class T> struct space_in { typedef void type; };
template <class T, class S> struct space_in<ptr<T, S>> { typedef S type; };
template <class E, class S, size_t N> struct space_in<row<E, S, N>> { typedef S type; };
// The space that what a variable of type R leads to is in; void for thread memory.
template <class R> using space_of = typename space_in<remove_cvref_t<R>>::type;

// Element i from p, within the buffer from b up to e.
template <class S, class T> ZMLX_INLINE constexpr decltype(auto) access(T* p, const void* b, const void* e, const char* n, index x) {
  if constexpr (is_array_v<remove_const_t<T>>) {
    typedef remove_reference_t<decltype((*p)[0])> E;
    constexpr size_t N = sizeof(T) / sizeof(E);
    int64_t o = (const char*)p - (const char*)b + x.i * int64_t(sizeof(T));
    uint64_t bytes = uint64_t((const char*)e - (const char*)b);
    if (__builtin_expect(bytes < sizeof(T) || uint64_t(o) > bytes - sizeof(T), 0)) {
      violation(n, o, bytes, sizeof(T), x.w);
      return row<E, S, N>{ptr<E, S>((E*)nullptr, (E*)nullptr, (E*)nullptr, n)};
    }
    return row<E, S, N>{ptr<E, S>((E*)((const char*)b + o), (E*)b, (E*)e, n)};
  } else {
    if (__builtin_is_constant_evaluated()) return static_cast<T&>(p[x.i]);
    int64_t o;
    uint64_t bytes = uint64_t((const char*)e - (const char*)b);
    bool wild = __builtin_mul_overflow(x.i, int64_t(sizeof(T)), &o);
    o += (const char*)p - (const char*)b;
    if (__builtin_expect(wild || bytes < sizeof(T) || uint64_t(o) > bytes - sizeof(T), 0)) {
      violation(n, wild ? x.i : o, bytes, sizeof(T), x.w);
      return static_cast<T&>(sink<remove_const_t<T>>());
    }
    return *(T*)((const char*)b + o);
  }
}

// A pointer of which only the address is known: within a launch's buffers their extent holds,
// elsewhere (inside a structure in threadgroup memory) it goes unchecked.
struct span {
  const char *b, *e, *n;
};
static inline span span_of(const volatile void* p) {
  const zmlx_launch* l = here.launch;
  for (uint32_t i = 0; l && i < zmlx_buffer_count; ++i) {
    const char *at = (const char*)l->buffers[i], *b = at - l->before[i], *e = at + l->lengths[i];
    if ((const char*)p >= b && (const char*)p < e) return {b, e, zmlx_buffer_names[i]};
  }
  return {nullptr, (const char*)~0ull, "?"};
}
template <class T> struct any_ptr {
  T* p;
  template <class S> operator ptr<T, S>() const;
  template <class S> requires(!is_const_v<T>) operator ptr<const T, S>() const;
  operator T*() const { return p; }
};

#define ZMLX_PTR_MEMBERS(T)                                                                       \
  ptr() = default;                                                                                \
  ZMLX_INLINE decltype(auto) operator[](index x) const { return access<S>(raw(), this->b, this->e, this->n, x); } \
  ZMLX_INLINE T* operator->() const { return &(*this)[index(0, 0u, (const char*)nullptr)]; }      \
  friend ZMLX_INLINE decltype(auto) operator*(located<ptr> x) {                                   \
    return access<S>(x.p.raw(), x.p.b, x.p.e, x.p.n, index(0, x.w.line, x.w.file));               \
  }                                                                                               \
  template <class U> requires(!is_same_v<U, T>)                                                   \
  ZMLX_INLINE explicit ptr(const any_ptr<U>& o) : ptr((T*)o.p, span_of(o.p)) {}                   \
  ZMLX_INLINE explicit ptr(const volatile void* o) : ptr((T*)o, span_of(o)) {}                    \
  ZMLX_INLINE ptr(T* p, span s) : ptr(p, (T*)s.b, (T*)s.e, s.n) {}

template <class T, class S> struct ptr<const T, S> {
  typedef const T element;
  const T *p, *b, *e;
  const char* n;
  ZMLX_PTR_MEMBERS(const T)
  ZMLX_INLINE constexpr ptr(decltype(nullptr)) : p(nullptr), b(nullptr), e(nullptr), n("a null pointer") {}
  ZMLX_INLINE constexpr ptr(const T* p, const T* b, const T* e, const char* n) : p(p), b(b), e(e), n(n) {}
  // An array within a structure, whose length is known.
  template <size_t N> ZMLX_INLINE constexpr ptr(const T (&a)[N]) : p(a), b(a), e(a + N), n("an array") {}
  template <class U> requires(!is_same_v<U, T>)
  ZMLX_INLINE explicit ptr(const ptr<const U, S>& o)
      : p((const T*)o.p), b((const T*)o.b), e((const T*)o.e), n(o.n) {}
  ZMLX_INLINE constexpr const T* raw() const { return p; }
  ZMLX_INLINE constexpr explicit operator bool() const { return p != nullptr; }
  template <class I> requires(integer<I> && sizeof(I) == 8)
  ZMLX_INLINE explicit operator I() const { return I(p); }
};

template <class T, class S> struct ptr : ptr<const T, S> {
  typedef T element;
  typedef ptr<const T, S> base;
  ZMLX_PTR_MEMBERS(T)
  ZMLX_INLINE constexpr ptr(decltype(nullptr)) : base(nullptr) {}
  ZMLX_INLINE constexpr ptr(T* p, T* b, T* e, const char* n) : base(p, b, e, n) {}
  template <size_t N> ZMLX_INLINE constexpr ptr(T (&a)[N]) : base(a) {}
  // A cast may take const away, as in C++; constant memory stays read-only.
  template <class U> ZMLX_INLINE explicit ptr(const ptr<const U, S>& o) : base((const T*)o.p, (const T*)o.b, (const T*)o.e, o.n) {}
  ZMLX_INLINE constexpr T* raw() const { return (T*)this->p; }
};
#undef ZMLX_PTR_MEMBERS

template <class E, class S, size_t N> struct row : ptr<E, S> {
  ZMLX_INLINE decltype(auto) operator[](index x) const {
    if (__builtin_expect(uint64_t(x.i) >= N && this->e != nullptr, 0)) {
      violation(this->n, x.i * int64_t(sizeof(E)), N * sizeof(E), sizeof(E), x.w);
      // Robust: zeros instead, wherever they lie.
      return access<S>((E*)sink<remove_const_t<E>[1]>(), nullptr, (const void*)~0ull, this->n, index(0, 0u, (const char*)nullptr));
    }
    return access<S>(this->raw(), this->b, this->e, this->n, x);
  }
  friend ZMLX_INLINE decltype(auto) operator*(located<row> x) { return x.p[index(0, x.w.line, x.w.file)]; }
};

template <class T> template <class S> any_ptr<T>::operator ptr<T, S>() const { return ptr<T, S>(p, span_of(p)); }
template <class T> template <class S> requires(!is_const_v<T>) any_ptr<T>::operator ptr<const T, S>() const {
  return ptr<const T, S>(p, span_of(p));
}

template <class T, class S, class I> requires(integer<I> || is_class_v<I>)
ZMLX_INLINE constexpr ptr<T, S> operator+(ptr<T, S> p, I i) {
  return ptr<T, S>((T*)(p.p + int64_t(i)), (T*)p.b, (T*)p.e, p.n);
}
template <class T, class S, class I> requires integer<I>
ZMLX_INLINE constexpr ptr<T, S> operator+(I i, ptr<T, S> p) { return p + i; }
template <class T, class S, class I> requires integer<I>
ZMLX_INLINE constexpr ptr<T, S> operator-(ptr<T, S> p, I i) { return p + -int64_t(i); }
template <class T, class S, class I> requires integer<I>
ZMLX_INLINE constexpr ptr<T, S>& operator+=(ptr<T, S>& p, I i) { return p = p + i; }
template <class T, class S, class I> requires integer<I>
ZMLX_INLINE constexpr ptr<T, S>& operator-=(ptr<T, S>& p, I i) { return p = p - i; }
template <class T, class S> ZMLX_INLINE constexpr ptr<T, S>& operator++(ptr<T, S>& p) { return p = p + 1; }
template <class T, class S> ZMLX_INLINE constexpr ptr<T, S>& operator--(ptr<T, S>& p) { return p = p - 1; }
template <class T, class S> ZMLX_INLINE constexpr ptr<T, S> operator++(ptr<T, S>& p, int) { ptr<T, S> q = p; p = p + 1; return q; }
template <class T, class S> ZMLX_INLINE constexpr ptr<T, S> operator--(ptr<T, S>& p, int) { ptr<T, S> q = p; p = p - 1; return q; }
template <class A, class B, class S> ZMLX_INLINE constexpr int64_t operator-(ptr<A, S> a, ptr<B, S> b) {
  return ((const char*)a.p - (const char*)b.p) / int64_t(sizeof(A));
}
#define ZMLX_PTR_CMP(op)                                                                               \
  template <class A, class B, class S> ZMLX_INLINE constexpr bool operator op(ptr<A, S> a, ptr<B, S> b) { \
    return (const void*)a.p op (const void*)b.p;                                                       \
  }
ZMLX_PTR_CMP(==) ZMLX_PTR_CMP(!=) ZMLX_PTR_CMP(<) ZMLX_PTR_CMP(>) ZMLX_PTR_CMP(<=) ZMLX_PTR_CMP(>=)
#undef ZMLX_PTR_CMP
template <class A, class S> ZMLX_INLINE constexpr bool operator==(ptr<A, S> a, decltype(nullptr)) { return !a.p; }
template <class A, class S> ZMLX_INLINE constexpr bool operator!=(ptr<A, S> a, decltype(nullptr)) { return a.p; }

// The pointer that stands for an array in threadgroup memory, or for a constant table.
template <class S, class T, size_t N> ZMLX_INLINE constexpr ptr<T, S> view(T (&a)[N], const char* n) {
  return ptr<T, S>(a, a, a + N, n);
}

// A buffer argument, which becomes what the kernel's parameter is.
struct any_buffer {
  char* p;
  uint64_t len, before;
  const char* n;
  template <class T, class S> ZMLX_INLINE operator ptr<T, S>() const { return ptr<T, S>((T*)p, (T*)(p - before), (T*)(p + len), n); }
  template <class T> requires(!is_checked<remove_cv_t<T>>) ZMLX_INLINE operator const T&() const {
    if (len < sizeof(T)) {
      violation(n, 0, len, sizeof(T), where{nullptr, 0});
      return sink<remove_cv_t<T>>();
    }
    return *(const T*)p;
  }
  ZMLX_INLINE const any_buffer& operator*() const { return *this; }
};

// Bytes of an element of each buffer that a kernel writes to, 0 for other parameters.
template <class P> inline constexpr uint32_t written = 0;
template <class T> requires(!is_const_v<T>) inline constexpr uint32_t written<ptr<T, device_space>> = sizeof(T);
template <class F> struct parameters;
template <class... P> struct parameters<void(P...)> {
  static constexpr uint32_t sizes[] = {written<remove_cvref_t<P>>..., 0};
};
}  // namespace zmlx

namespace metal {
template <class T, class S> inline constexpr bool is_pointer_v<zmlx::ptr<T, S>> = true;
template <class T, class S> struct remove_pointer<zmlx::ptr<T, S>> { typedef T type; };
}  // namespace metal

template <class T> using zmlx_device_ptr = zmlx::ptr<T, zmlx::device_space>;
template <class T> using zmlx_constant_ptr = zmlx::ptr<const T, zmlx::constant_space>;
template <class T> using zmlx_threadgroup_ptr = zmlx::ptr<T, zmlx::threadgroup_space>;

// `&a[i].m`, `&p->m`: the buffer is looked up. R is the type of the variable that the expression begins with.
template <class R, class T> ZMLX_INLINE auto zmlx_addr_of(T& x) {
  if constexpr (is_void_v<zmlx::space_of<R>>) return zmlx::any_ptr<T>{&x};
  else return zmlx::ptr<T, zmlx::space_of<R>>(&x, zmlx::span_of(&x));
}
// `&a[i]`, which must neither test the element nor lose the buffer.
template <class R, class T, class S, class I> ZMLX_INLINE constexpr zmlx::ptr<T, S> zmlx_addr(zmlx::ptr<T, S> a, I i) {
  return a + i;
}
template <class R, class A, class I> requires(!zmlx::is_checked<remove_cvref_t<A>>)
ZMLX_INLINE constexpr auto zmlx_addr(A&& a, I&& i) {
  if constexpr (is_void_v<zmlx::space_of<R>>) return &a[i];
  else return zmlx_addr_of<R>(a[i]);
}
// `&v` of a variable in threadgroup memory.
template <class T> ZMLX_INLINE zmlx_threadgroup_ptr<T> zmlx_tg_addr(T& x) { return {&x, &x, &x + 1, "a threadgroup variable"}; }
// `p->m`, on the line that says so.
template <class T, class S> ZMLX_INLINE T* zmlx_arrow(zmlx::ptr<T, S> p, ZMLX_WHERE) {
  return &zmlx::access<S>(p.raw(), p.b, p.e, p.n, zmlx::index(0, zmlx_line, zmlx_file));
}
template <class T> ZMLX_INLINE T* zmlx_arrow(T* p) { return p; }
template <class To, class From> ZMLX_INLINE To zmlx_pointer_cast(From p) { return (To)p; }

#include "../common/references.h"
#include "checked_library.h"
