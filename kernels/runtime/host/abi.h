// What the engine and a compiled kernel agree on: the launch record, the context of one GPU
// thread while threads are coroutines, and how threadgroup memory is declared. The engine
// mirrors these structs with repr(C); change both together.
#pragma once
#include "../common/base.h"

extern "C" {
struct zmlx_launch {
  void* const* buffers;     // indexed by [[buffer(n)]]
  const uint64_t* lengths;  // bytes of each buffer, same index, for the checked mode
  uint32_t grid[3];         // threads in the grid
  uint32_t tg[3];           // threads in a threadgroup, already clamped to the grid
  uint32_t groups[3];       // threadgroups in the grid
  const uint64_t* before;   // bytes in front of each buffer that belong to it, for the checked mode alone
};

struct zmlx_ctx {
  void (*yield_)(zmlx_ctx*, uint32_t kind);  // 1 = simdgroup op, 2 = threadgroup barrier, 3 = simdgroup barrier, 4 = ends
  uint32_t lane, simd, simd_size;            // lane, simdgroup index, live width of this simdgroup
  uint32_t parity;                           // which half of `slots` this lane writes next
  uint64_t* slots;                           // 2 parities x 32 lanes x 2 words
  const uint32_t* active;                    // lanes taking part in the operation just synchronized
  void* user;                                // the scheduler's own
};
}

#if defined(ZMLX_MODE_SYNC)
static thread_local zmlx_ctx* zmlx_cur;
extern "C" __attribute__((visibility("default"))) void zmlx_set_ctx(zmlx_ctx* c) { zmlx_cur = c; }
#endif

// A threadgroup runs wholly on one OS thread, so its memory is that thread's. The alignment is said
// here, as a compiler that vectorizes takes more than the element's for granted, and not every one
// passes that on to the linker, by whose word the thread's block is laid out. Apple's loader
// promises 16 bytes, which is all that its machines ask for.
#if defined(ZMLX_MODE_SINGLE)
#define ZMLX_THREADGROUP __attribute__((aligned(16)))
#elif defined(__APPLE__)
#define ZMLX_THREADGROUP __attribute__((aligned(16))) static thread_local
#else
#define ZMLX_THREADGROUP __attribute__((aligned(64))) static thread_local
#endif

#define ZMLX_ENTRY extern "C" __attribute__((visibility("default")))

// Buffer parameters go through these, so that the checked mode can put a pointer class with
// bounds in their place. Outputs of one kernel may alias each other or an input only by donation.
#define ZMLX_DEVICE_PTR(T) T* __restrict
#define ZMLX_CONSTANT_PTR(T) const T* __restrict
