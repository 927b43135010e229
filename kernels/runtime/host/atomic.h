// Atomics on device and threadgroup memory: several OS threads run threadgroups of one
// launch at a time. MSL knows relaxed order only, so every order is taken and relaxed is
// used; fences are full. Operations without an instruction are compare-exchange loops.
#pragma once
#include "../common/atomic_types.h"
#include "sync.h"

namespace zmlx {
template <class T, class F> ZMLX_FN T atomic_update(volatile metal::atomic<T>* p, F f) {
  word_t<T>* w = (word_t<T>*)&p->v;
  word_t<T> old = __atomic_load_n(w, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(w, &old, bits<word_t<T>>(T(f(bits<T>(old)))), true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return bits<T>(old);
}
}  // namespace zmlx

namespace metal {
template <class T> ZMLX_FN T atomic_load_explicit(const volatile atomic<T>* p, memory_order, thread_scope = thread_scope_device) {
  return zmlx::bits<T>(__atomic_load_n((zmlx::word_t<T>*)&p->v, __ATOMIC_RELAXED));
}
template <class T> ZMLX_FN void atomic_store_explicit(volatile atomic<T>* p, zmlx::same_t<T> x, memory_order, thread_scope = thread_scope_device) {
  __atomic_store_n((zmlx::word_t<T>*)&p->v, zmlx::bits<zmlx::word_t<T>>(x), __ATOMIC_RELAXED);
}
template <class T> ZMLX_FN void atomic_init(volatile atomic<T>* p, zmlx::same_t<T> x) { p->v = x; }
template <class T> ZMLX_FN T atomic_exchange_explicit(volatile atomic<T>* p, zmlx::same_t<T> x, memory_order, thread_scope = thread_scope_device) {
  return zmlx::bits<T>(__atomic_exchange_n((zmlx::word_t<T>*)&p->v, zmlx::bits<zmlx::word_t<T>>(x), __ATOMIC_RELAXED));
}
template <class T> ZMLX_FN bool atomic_compare_exchange_weak_explicit(volatile atomic<T>* p, T* expected, zmlx::same_t<T> x, memory_order, memory_order, thread_scope = thread_scope_device) {
  zmlx::word_t<T> e = zmlx::bits<zmlx::word_t<T>>(*expected);
  bool ok = __atomic_compare_exchange_n((zmlx::word_t<T>*)&p->v, &e, zmlx::bits<zmlx::word_t<T>>(x), true, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  *expected = zmlx::bits<T>(e);
  return ok;
}
#define ZMLX_ATOMIC(name, builtin, expr)                                                                \
  template <class T> ZMLX_FN T atomic_fetch_##name##_explicit(volatile atomic<T>* p, zmlx::same_t<T> b, memory_order, \
                                                              thread_scope = thread_scope_device) {    \
    if constexpr (is_integral_v<T> && !is_same_v<T, bool> && builtin) return T(ZMLX_ATOMIC_BUILTIN_##name); \
    else return zmlx::atomic_update(p, [b](T a) { return T(expr); });                                  \
  }
#define ZMLX_ATOMIC_BUILTIN_add __atomic_fetch_add((T*)&p->v, b, __ATOMIC_RELAXED)
#define ZMLX_ATOMIC_BUILTIN_sub __atomic_fetch_sub((T*)&p->v, b, __ATOMIC_RELAXED)
#define ZMLX_ATOMIC_BUILTIN_and __atomic_fetch_and((T*)&p->v, b, __ATOMIC_RELAXED)
#define ZMLX_ATOMIC_BUILTIN_or __atomic_fetch_or((T*)&p->v, b, __ATOMIC_RELAXED)
#define ZMLX_ATOMIC_BUILTIN_xor __atomic_fetch_xor((T*)&p->v, b, __ATOMIC_RELAXED)
#define ZMLX_ATOMIC_BUILTIN_min 0
#define ZMLX_ATOMIC_BUILTIN_max 0
ZMLX_ATOMIC(add, true, a + b)
ZMLX_ATOMIC(sub, true, a - b)
ZMLX_ATOMIC(and, true, a& b)
ZMLX_ATOMIC(or, true, a | b)
ZMLX_ATOMIC(xor, true, a ^ b)
ZMLX_ATOMIC(min, false, (b < a ? b : a))
ZMLX_ATOMIC(max, false, (a < b ? b : a))
#undef ZMLX_ATOMIC
template <class T> ZMLX_FN void atomic_min_explicit(volatile atomic<T>* p, zmlx::same_t<T> b, memory_order o) { atomic_fetch_min_explicit(p, b, o); }
template <class T> ZMLX_FN void atomic_max_explicit(volatile atomic<T>* p, zmlx::same_t<T> b, memory_order o) { atomic_fetch_max_explicit(p, b, o); }
}  // namespace metal
