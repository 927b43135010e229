// Atomics on device and threadgroup memory, with the chip's own instructions where it has them and
// compare-exchange loops elsewhere. MSL knows relaxed order only.
#pragma once
#include "../common/atomic_types.h"

namespace zmlx {
typedef unsigned long long ull;
// An aligned word that holds a value of one or two bytes, and where in it.
template <class T> struct in_word {
  unsigned* word;
  uint32_t shift;
  ZMLX_INLINE in_word(void* p)
      : word((unsigned*)(uint64_t(p) & ~3ull)), shift(uint32_t(uint64_t(p) & 3u) * 8u) {}
};
// Stores `x` where `old` stands and gives what stood there.
template <class T> ZMLX_FN T swap_if(T* p, T old, T x) {
  typedef word_t<T> W;
  if constexpr (sizeof(T) == 8) return bits<T>(W(::atomicCAS((ull*)p, ull(bits<W>(old)), ull(bits<W>(x)))));
  else if constexpr (sizeof(T) == 4) return bits<T>(W(::atomicCAS((unsigned*)p, bits<W>(old), bits<W>(x))));
  else {
    in_word<T> at(p);
    const unsigned mask = ((1u << (8 * sizeof(T))) - 1u) << at.shift;
    for (unsigned seen = *(volatile unsigned*)at.word;;) {
      if (bits<T>(W(seen >> at.shift)) != old) return bits<T>(W(seen >> at.shift));
      unsigned next = (seen & ~mask) | unsigned(bits<W>(x)) << at.shift, was = ::atomicCAS(at.word, seen, next);
      if (was == seen) return old;
      seen = was;
    }
  }
}
template <class T, class F> ZMLX_FN T atomic_update(T* p, F f) {
  typedef word_t<T> W;
  W seen = *(volatile W*)p;
  for (;;) {
    W was = bits<W>(swap_if(p, bits<T>(seen), T(f(bits<T>(seen)))));
    if (was == seen) return bits<T>(seen);
    seen = was;
  }
}
template <class T> inline constexpr bool word_int = metal::is_integral_v<T> && sizeof(T) == 4;
template <class T> inline constexpr bool long_int = metal::is_integral_v<T> && sizeof(T) == 8;
template <class T> using long_of = metal::conditional_t<metal::is_signed_v<T>, long long, ull>;
}  // namespace zmlx

namespace metal {
template <class T> ZMLX_FN T atomic_load_explicit(const volatile atomic<T>* p, memory_order, thread_scope = thread_scope_device) {
  return zmlx::bits<T>(*(const volatile zmlx::word_t<T>*)&p->v);
}
template <class T> ZMLX_FN void atomic_store_explicit(volatile atomic<T>* p, zmlx::same_t<T> x, memory_order, thread_scope = thread_scope_device) {
  *(volatile zmlx::word_t<T>*)&p->v = zmlx::bits<zmlx::word_t<T>>(x);
}
template <class T> ZMLX_FN void atomic_init(volatile atomic<T>* p, zmlx::same_t<T> x) { p->v = x; }
template <class T> ZMLX_FN T atomic_exchange_explicit(volatile atomic<T>* p, zmlx::same_t<T> x, memory_order, thread_scope = thread_scope_device) {
  typedef zmlx::word_t<T> W;
  if constexpr (sizeof(T) == 4) return zmlx::bits<T>(W(::atomicExch((unsigned*)&p->v, zmlx::bits<W>(x))));
  else if constexpr (sizeof(T) == 8) return zmlx::bits<T>(W(::atomicExch((zmlx::ull*)&p->v, zmlx::ull(zmlx::bits<W>(x)))));
  else return zmlx::atomic_update((T*)&p->v, [x](T) { return x; });
}
// Never fails without a reason, which a weak exchange may.
template <class T> ZMLX_FN bool atomic_compare_exchange_weak_explicit(volatile atomic<T>* p, T* expected, zmlx::same_t<T> x, memory_order, memory_order, thread_scope = thread_scope_device) {
  typedef zmlx::word_t<T> W;
  W e = zmlx::bits<W>(*expected), was = zmlx::bits<W>(zmlx::swap_if((T*)&p->v, *expected, T(x)));
  *expected = zmlx::bits<T>(was);
  return was == e;
}
#define ZMLX_ATOMIC(name, Name, expr)                                                                      \
  template <class T> ZMLX_FN T atomic_fetch_##name##_explicit(volatile atomic<T>* p, zmlx::same_t<T> b, memory_order, \
                                                              thread_scope = thread_scope_device) {       \
    if constexpr (zmlx::word_int<T>) return ::atomic##Name((T*)&p->v, b);                                 \
    else if constexpr (zmlx::long_int<T>) return T(::atomic##Name((zmlx::long_of<T>*)&p->v, zmlx::long_of<T>(b))); \
    else return zmlx::atomic_update((T*)&p->v, [b](T a) { return T(expr); });                             \
  }
ZMLX_ATOMIC(and, And, a& b)
ZMLX_ATOMIC(or, Or, a | b)
ZMLX_ATOMIC(xor, Xor, a ^ b)
ZMLX_ATOMIC(min, Min, (b < a ? b : a))
ZMLX_ATOMIC(max, Max, (a < b ? b : a))
#undef ZMLX_ATOMIC
template <class T> ZMLX_FN T atomic_fetch_add_explicit(volatile atomic<T>* p, zmlx::same_t<T> b, memory_order, thread_scope = thread_scope_device) {
  if constexpr (zmlx::word_int<T> || is_same_v<T, float>) return ::atomicAdd((T*)&p->v, b);
  else if constexpr (zmlx::long_int<T>) return T(::atomicAdd((zmlx::ull*)&p->v, zmlx::ull(b)));
  else return zmlx::atomic_update((T*)&p->v, [b](T a) { return T(a + b); });
}
template <class T> ZMLX_FN T atomic_fetch_sub_explicit(volatile atomic<T>* p, zmlx::same_t<T> b, memory_order o, thread_scope s = thread_scope_device) {
  if constexpr (is_integral_v<T>) return atomic_fetch_add_explicit(p, T(zmlx::word_t<T>(0) - zmlx::word_t<T>(b)), o, s);
  else if constexpr (is_same_v<T, float>) return ::atomicAdd((T*)&p->v, -b);
  else return zmlx::atomic_update((T*)&p->v, [b](T a) { return T(a - b); });
}
template <class T> ZMLX_FN void atomic_min_explicit(volatile atomic<T>* p, zmlx::same_t<T> b, memory_order o) { atomic_fetch_min_explicit(p, b, o); }
template <class T> ZMLX_FN void atomic_max_explicit(volatile atomic<T>* p, zmlx::same_t<T> b, memory_order o) { atomic_fetch_max_explicit(p, b, o); }
}  // namespace metal
