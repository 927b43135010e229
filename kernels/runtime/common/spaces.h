// Pointers that know their address space and nothing else, for texts whose overloads differ in spaces: the lowering
// writes `device T*` as zmlx_device_ptr<T>, and so on. A pointer into thread memory stays a plain one.
//
// MSL has to go on compiling, so these behave as pointers: one to T is one to const T (by derivation, so that
// `device const T*` parameters deduce T), casts to other elements are explicit, and all turn into the plain
// pointer for whatever does not care.
#pragma once

namespace zmlx {
struct device_space;
struct constant_space;
struct threadgroup_space;

template <class T, class S> struct ptr;
template <class T> inline constexpr bool is_checked = false;
template <class T, class S> inline constexpr bool is_checked<ptr<T, S>> = true;
template <class T> struct space_in { typedef void type; };
template <class T, class S> struct space_in<ptr<T, S>> { typedef S type; };
// The space that what a variable of type R leads to is in; void for thread memory.
template <class R> using space_of = typename space_in<remove_cvref_t<R>>::type;

template <class S, class T> ZMLX_INLINE constexpr decltype(auto) nth(T* p, int64_t i) {
  if constexpr (is_array_v<remove_cv_t<T>>) return ptr<remove_reference_t<decltype((*p)[0])>, S>(&p[i][0]);
  else return static_cast<T&>(p[i]);
}

#define ZMLX_PTR_MEMBERS(T)                                                                        \
  ptr() = default;                                                                                 \
  template <class I> requires(integer<I> || is_class_v<I>)                                         \
  ZMLX_INLINE constexpr decltype(auto) operator[](const I& i) const { return nth<S>(raw(), int64_t(i)); } \
  ZMLX_INLINE constexpr decltype(auto) operator*() const { return nth<S>(raw(), 0); }          \
  ZMLX_INLINE constexpr T* operator->() const { return raw(); }                                    \
  ZMLX_INLINE constexpr operator T*() const { return raw(); }                                      \
  ZMLX_INLINE explicit ptr(const volatile void* o) : ptr((T*)o) {}

template <class T, class S> struct ptr<const T, S> {
  typedef const T element_type;
  const T* p;
  ZMLX_PTR_MEMBERS(const T)
  ZMLX_INLINE constexpr ptr(decltype(nullptr)) : p(nullptr) {}
  ZMLX_INLINE constexpr ptr(const T* p) : p(p) {}
  template <class U> requires(!is_same_v<U, T>) ZMLX_INLINE explicit ptr(const ptr<const U, S>& o) : p((const T*)o.p) {}
  ZMLX_INLINE constexpr const T* raw() const { return p; }
  ZMLX_INLINE constexpr explicit operator bool() const { return p != nullptr; }
  template <class I> requires(integer<I> && sizeof(I) == 8) ZMLX_INLINE explicit operator I() const { return I(p); }
};
template <class T, class S> struct ptr : ptr<const T, S> {
  typedef T element_type;
  typedef ptr<const T, S> base;
  ZMLX_PTR_MEMBERS(T)
  ZMLX_INLINE constexpr ptr(decltype(nullptr)) : base(nullptr) {}
  ZMLX_INLINE constexpr ptr(T* p) : base(p) {}
  // A cast may take const away, as in C++.
  template <class U> ZMLX_INLINE explicit ptr(const ptr<const U, S>& o) : base((const T*)o.p) {}
  ZMLX_INLINE constexpr T* raw() const { return (T*)this->p; }
};
#undef ZMLX_PTR_MEMBERS

template <class T, class S, class I> requires(integer<I> || is_class_v<I>)
ZMLX_INLINE constexpr ptr<T, S> operator+(ptr<T, S> p, const I& i) { return ptr<T, S>(p.raw() + int64_t(i)); }
template <class T, class S, class I> requires integer<I>
ZMLX_INLINE constexpr ptr<T, S> operator+(I i, ptr<T, S> p) { return p + i; }
template <class T, class S, class I> requires integer<I>
ZMLX_INLINE constexpr ptr<T, S> operator-(ptr<T, S> p, I i) { return ptr<T, S>(p.raw() - int64_t(i)); }
template <class T, class S, class I> requires integer<I>
ZMLX_INLINE constexpr ptr<T, S>& operator+=(ptr<T, S>& p, I i) { return p = p + i; }
template <class T, class S, class I> requires integer<I>
ZMLX_INLINE constexpr ptr<T, S>& operator-=(ptr<T, S>& p, I i) { return p = p - i; }
template <class T, class S> ZMLX_INLINE constexpr ptr<T, S>& operator++(ptr<T, S>& p) { return p = p + 1; }
template <class T, class S> ZMLX_INLINE constexpr ptr<T, S>& operator--(ptr<T, S>& p) { return p = p - 1; }
template <class T, class S> ZMLX_INLINE constexpr ptr<T, S> operator++(ptr<T, S>& p, int) { ptr<T, S> q = p; p = p + 1; return q; }
template <class T, class S> ZMLX_INLINE constexpr ptr<T, S> operator--(ptr<T, S>& p, int) { ptr<T, S> q = p; p = p - 1; return q; }
template <class A, class B, class S> ZMLX_INLINE constexpr ptrdiff_t operator-(ptr<A, S> a, ptr<B, S> b) {
  return (const A*)a.p - (const A*)b.p;
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
template <class S, class T, size_t N> ZMLX_INLINE constexpr ptr<T, S> view(T (&a)[N], const char*) { return ptr<T, S>(&a[0]); }
}  // namespace zmlx

namespace metal {
template <class T, class S> inline constexpr bool is_pointer_v<zmlx::ptr<T, S>> = true;
template <class T, class S> struct remove_pointer<zmlx::ptr<T, S>> { typedef T type; };

// The library's functions that deduce what a pointer points to.
template <class T, class S> ZMLX_FN T atomic_load_explicit(zmlx::ptr<const atomic<T>, S> p, memory_order o,
                                                           thread_scope = thread_scope_device) {
  return atomic_load_explicit(p.raw(), o);
}
#define ZMLX_ATOMIC_OF(R, name)                                                                         \
  template <class T, class S>                                                                           \
  ZMLX_FN R name(zmlx::ptr<atomic<T>, S> p, zmlx::same_t<T> x, memory_order o, thread_scope = thread_scope_device) { \
    return name(p.raw(), x, o);                                                                         \
  }
ZMLX_ATOMIC_OF(void, atomic_store_explicit) ZMLX_ATOMIC_OF(T, atomic_exchange_explicit)
ZMLX_ATOMIC_OF(T, atomic_fetch_add_explicit) ZMLX_ATOMIC_OF(T, atomic_fetch_sub_explicit)
ZMLX_ATOMIC_OF(T, atomic_fetch_and_explicit) ZMLX_ATOMIC_OF(T, atomic_fetch_or_explicit)
ZMLX_ATOMIC_OF(T, atomic_fetch_xor_explicit) ZMLX_ATOMIC_OF(T, atomic_fetch_min_explicit)
ZMLX_ATOMIC_OF(T, atomic_fetch_max_explicit) ZMLX_ATOMIC_OF(void, atomic_min_explicit)
ZMLX_ATOMIC_OF(void, atomic_max_explicit)
#undef ZMLX_ATOMIC_OF
template <class T, class S> ZMLX_FN void atomic_init(zmlx::ptr<atomic<T>, S> p, zmlx::same_t<T> x) { atomic_init(p.raw(), x); }
template <class T, class S>
ZMLX_FN bool atomic_compare_exchange_weak_explicit(zmlx::ptr<atomic<T>, S> p, T* expected, zmlx::same_t<T> x, memory_order a,
                                                   memory_order b, thread_scope = thread_scope_device) {
  return atomic_compare_exchange_weak_explicit(p.raw(), expected, x, a, b);
}
}  // namespace metal

template <class T> using zmlx_device_ptr = zmlx::ptr<T, zmlx::device_space>;
template <class T> using zmlx_constant_ptr = zmlx::ptr<const T, zmlx::constant_space>;
template <class T> using zmlx_threadgroup_ptr = zmlx::ptr<T, zmlx::threadgroup_space>;

// `&a[i]`, `&a[i].m`, `&p->m`, where R is the type of the variable that the expression begins with.
template <class R, class T> ZMLX_INLINE constexpr auto zmlx_addr_of(T& x) {
  if constexpr (is_void_v<zmlx::space_of<R>>) return &x;
  else return zmlx::ptr<T, zmlx::space_of<R>>(&x);
}
template <class R, class T, class S, class I> ZMLX_INLINE constexpr zmlx::ptr<T, S> zmlx_addr(zmlx::ptr<T, S> a, const I& i) {
  return a + i;
}
template <class R, class A, class I> requires(!zmlx::is_checked<remove_cvref_t<A>>)
ZMLX_INLINE constexpr auto zmlx_addr(A&& a, I&& i) { return zmlx_addr_of<R>(a[i]); }
template <class T> ZMLX_INLINE zmlx_threadgroup_ptr<T> zmlx_tg_addr(T& x) { return zmlx_threadgroup_ptr<T>(&x); }
template <class T, class S> ZMLX_INLINE constexpr T* zmlx_arrow(zmlx::ptr<T, S> p) { return p.raw(); }
template <class T> ZMLX_INLINE constexpr T* zmlx_arrow(T* p) { return p; }
template <class To, class From> ZMLX_INLINE To zmlx_pointer_cast(From p) { return (To)p; }

#include "references.h"
