// Barriers and the exchange beneath every simdgroup and quadgroup function. Threads that
// meet are coroutines: each writes its value into its lane's slot, yields to the scheduler,
// and reads the others' once all have come. Where a threadgroup has one thread, or the
// kernel has no such function, all of it folds to the thread's own value.
#pragma once
#include "../common/order.h"
#include "abi.h"

namespace zmlx {
#if defined(ZMLX_MODE_SYNC)
ZMLX_FN void sync(uint32_t kind) {
  zmlx_ctx* c = zmlx_cur;
  asm volatile("" ::: "memory");
  c->yield_(c, kind);
  asm volatile("" ::: "memory");
}

// The values of one simdgroup operation. Values of up to 4 bytes lie side by side, so that
// reductions over them are plain vector code; wider ones take a 16-byte slot each.
template <class T> struct lanes {
  static_assert(sizeof(T) <= 16, "simdgroup functions take values of up to 16 bytes");
  static constexpr uint32_t unit = sizeof(T) <= 4 ? 4 : 16;
  const char* area;
  uint32_t mask, odd, me;

  ZMLX_INLINE lanes(T v, uint32_t site) {
    zmlx_ctx* c = zmlx_cur;
    uint32_t p = c->parity & 1u;
    char* s = (char*)c->slots;
    __builtin_memcpy(s + p * 512u + c->lane * unit, &v, sizeof(T));
    if constexpr (unit == 4) *(uint32_t*)(s + p * 512u + 128) = 0;
    sync(1u | site << 8);
    c->parity = p ^ 1u;
    area = s;
    me = c->lane;
    mask = c->active[0];
#ifdef ZMLX_SIMD_SITES
    odd = c->active[1];
#else
    odd = p ? ~0u : 0u;
#endif
  }
  ZMLX_INLINE bool has(uint32_t lane) const { return lane < 32u && (mask >> lane & 1u); }
  // The value of a lane that takes part; the caller checks `has`.
  ZMLX_INLINE T at(uint32_t lane) const {
    T v;
    __builtin_memcpy(&v, area + (odd >> lane & 1u) * 512u + lane * unit, sizeof(T));
    return v;
  }
  ZMLX_INLINE T at_or(uint32_t lane, T other) const { return has(lane) ? at(lane) : other; }
  // Usually all 32 lanes take part, in step: their values are then in one half of the slots.
  ZMLX_INLINE bool together() const {
    uint32_t o = odd & mask;
    return mask == ~0u && (o == 0 || o == mask);
  }
  ZMLX_INLINE const char* common_half() const { return area + (odd & 1u ? 512 : 0); }
  // All lanes at once, `other` for those that take no part.
  ZMLX_INLINE void all(T (&v)[32], T other) const {
    if (together()) {
      for (uint32_t i = 0; i < 32; ++i) __builtin_memcpy(&v[i], common_half() + i * unit, sizeof(T));
    } else {
      for (uint32_t i = 0; i < 32; ++i) v[i] = at_or(i, other);
    }
  }
  // What every lane would compute alike is computed by the first of them and left behind the
  // values, under a flag that each lane cleared when it wrote its own.
  template <class F> ZMLX_INLINE T once(F compute) const {
    if constexpr (unit == 4) {
      if (together()) {
        char* s = const_cast<char*>(common_half()) + 128;
        T r;
        if (*(uint32_t*)s) {
          __builtin_memcpy(&r, s + 4, sizeof(T));
        } else {
          r = compute();
          __builtin_memcpy(s + 4, &r, sizeof(T));
          *(uint32_t*)s = 1;
        }
        return r;
      }
    }
    return compute();
  }
};
ZMLX_FN uint32_t current_lane() { return zmlx_cur->lane; }

// What all lanes do at one moment, each with its own three pointers: when all have come, the first that goes on
// does it for every one of them, so that no other thread of the simdgroup runs in between.
template <class V, class A, class B, class F> ZMLX_FN void at_once(V* v, A* a, B* b, F f, uint32_t site) {
  struct record { V* v; A* a; B* b; bool done; } mine{v, a, b, false};
  lanes<record*> l(&mine, site);
  if (mine.done) return;
  for (uint32_t rest = l.mask; rest; rest &= rest - 1) {
    record* r = l.at(uint32_t(__builtin_ctz(rest)));
    f(r->v, r->a, r->b);
    r->done = true;
  }
}
#else
ZMLX_FN void sync(uint32_t) {}
ZMLX_FN uint32_t current_lane() { return 0; }
template <class T> struct lanes {
  T v;
  static constexpr uint32_t mask = 1, me = 0;
  ZMLX_INLINE lanes(T x, uint32_t) : v(x) {}
  ZMLX_INLINE bool has(uint32_t lane) const { return lane == 0; }
  ZMLX_INLINE T at(uint32_t) const { return v; }
  ZMLX_INLINE T at_or(uint32_t lane, T other) const { return lane == 0 ? v : other; }
};
template <class V, class A, class B, class F> ZMLX_FN void at_once(V* v, A* a, B* b, F f, uint32_t) { f(v, a, b); }
#endif
}  // namespace zmlx

namespace metal {
// Barriers tell the scheduler where they stand: threads of one threadgroup that wait at different
// ones would hang on a GPU. Headers count from far above the kernel's body.
#define ZMLX_BARRIER_SITE uint32_t site = uint32_t(__builtin_LINE()) | (__builtin_FILE()[1] == 'h' ? 1u << 23 : 0u)
ZMLX_FN void threadgroup_barrier(mem_flags = mem_flags::mem_none, ZMLX_BARRIER_SITE) { zmlx::sync(2u | site << 8); }
template <class S> requires __is_enum(S)
ZMLX_FN void threadgroup_barrier(mem_flags, S, ZMLX_BARRIER_SITE) { zmlx::sync(2u | site << 8); }
template <class... A> ZMLX_FN void simdgroup_barrier(A...) { zmlx::sync(3); }
template <class... A> ZMLX_FN void atomic_thread_fence(A...) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
}  // namespace metal
