// Barriers and the exchange beneath simdgroup functions. A simdgroup is a warp: threads are numbered
// within their threadgroup as Metal numbers them, so lanes agree.
//
// Which lanes take part is asked of the chip at each operation. A mask worked out from the size
// of the threadgroup would name lanes that took another branch, and those that are named are waited
// for: `if (lane < 8) simd_sum(x)`, which Metal defines, would hang.
#pragma once
#include "../common/order.h"

namespace zmlx {
ZMLX_FN uint32_t current_lane() {
  uint32_t lane;
  asm("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane;
}
ZMLX_FN uint32_t active() { return ::__activemask(); }

// What all lanes do at one moment: they meet, see what was written before, and see it done before they go on.
// Lanes of a warp need not be in step by themselves, nor does the compiler keep what they do to memory in order.
#define ZMLX_SITE uint32_t site = 0
template <class V, class A, class B, class F> ZMLX_FN void at_once(V* v, A* a, B* b, F f, uint32_t) {
#if defined(ZMLX_MATRIX_MMA)
  const uint32_t mask = ~0u;
#else
  const uint32_t mask = active();
#endif
  ::__syncwarp(mask);
  f(v, a, b);
  ::__syncwarp(mask);
}

// A value of up to 16 bytes through an exchange of words.
template <class T, class F> ZMLX_FN T by_words(T v, F f) {
  if constexpr (sizeof(T) == 4) {
    return bits<T>(f(bits<uint32_t>(v)));
  } else if constexpr (sizeof(T) == 2) {
    return bits<T>(uint16_t(f(uint32_t(bits<uint16_t>(v)))));
  } else if constexpr (sizeof(T) == 1) {
    return bits<T>(uint8_t(f(uint32_t(bits<uint8_t>(v)))));
  } else {
    static_assert(sizeof(T) % 4 == 0 && sizeof(T) <= 16, "simdgroup functions take values of up to 16 bytes");
    struct words { uint32_t w[sizeof(T) / 4]; };
    words w = bits<words>(v);
#pragma unroll
    for (uint32_t i = 0; i < sizeof(T) / 4; ++i) w.w[i] = f(w.w[i]);
    return bits<T>(w);
  }
}

// The value of lane `from` in a shuffle among `mask`. Every lane of the mask calls it.
template <class T> ZMLX_FN T shuffled(uint32_t mask, T v, uint32_t from) {
  return by_words(v, [=](uint32_t w) { return uint32_t(::__shfl_sync(mask, w, int(from))); });
}
// Among all lanes, by a distance that the instruction holds: that of the lane whose number differs in the bits
// of d, and that of the lane d before in runs of `width`, of whose first d lanes each gets its own.
template <class T> ZMLX_FN T shuffled_xor(T v, uint32_t d) {
  return by_words(v, [=](uint32_t w) { return uint32_t(::__shfl_xor_sync(~0u, w, int(d))); });
}
template <class T> ZMLX_FN T shuffled_up(T v, uint32_t d, uint32_t width) {
  return by_words(v, [=](uint32_t w) { return uint32_t(::__shfl_up_sync(~0u, w, d, int(width))); });
}
}  // namespace zmlx

// Variables in threadgroup memory, by type, name and a number of their own. Their storage is bytes, as
// CUDA takes no shared variable with a constructor. An array begins at a multiple of 16 bytes, so that blocks of
// it can be moved by one instruction whatever its elements are, and at one of 1024 if it fills such pieces, as `teams.h` wants it. More than 48 KB in all has to be
// asked for at the launch, as one block: the engine then has the compiler write down the sizes
// (ZMLX_SHARED_SIZES) and gives each variable its place (ZMLX_SHARED_AT_<number>).
namespace zmlx {
template <class T> struct alignas(T) alignas(is_array_v<T> ? (sizeof(T) % 1024 == 0 ? 1024 : 16) : 1) shared { unsigned char bytes[sizeof(T)]; };
static_assert(alignof(shared<uint16_t[9]>) == 16 && alignof(shared<uint16_t[3][5]>) == 16 && alignof(shared<uint16_t>) == 2);
#ifdef ZMLX_SHARED_PLACES
ZMLX_FN unsigned char* shared_block() {
  extern __shared__ __align__(1024) unsigned char zmlx_shared_block[];
  return zmlx_shared_block;
}
#endif
}  // namespace zmlx
#ifdef ZMLX_SHARED_PLACES
#define ZMLX_SHARED(type, name, number) \
  type& name = *reinterpret_cast<type*>(zmlx::shared_block() + ZMLX_SHARED_AT_##number)
#else
#ifdef ZMLX_SHARED_SIZES
#define ZMLX_SHARED_SIZE(type, number) \
  asm volatile("// zmlx_shared " #number " %0 %1" ::"n"(int(sizeof(type))), "n"(int(alignof(zmlx::shared<type>))))
#else
#define ZMLX_SHARED_SIZE(type, number)
#endif
#define ZMLX_SHARED(type, name, number)           \
  __shared__ zmlx::shared<type> zmlx_s_##number; \
  ZMLX_SHARED_SIZE(type, number);                 \
  type& name = *reinterpret_cast<type*>(&zmlx_s_##number)
#endif

namespace metal {
template <class... A> ZMLX_FN void threadgroup_barrier(A...) { ::__syncthreads(); }
template <class... A> ZMLX_FN void simdgroup_barrier(A...) { ::__syncwarp(zmlx::active()); }
template <class... A> ZMLX_FN void atomic_thread_fence(A...) { ::__threadfence(); }
}  // namespace metal
