// Simdgroup and quadgroup functions, barriers, simdgroup matrices and atomics in coroutine
// mode, under a small scheduler of the shape the engine has: run every thread until it
// stops, then release the simdgroups whose lanes wait, and barriers only when none does.
#include "check.h"
#include <ucontext.h>
#define ZMLX_MODE_SYNC 1
#define ZMLX_MATH_SAFE 1
#define ZMLX_SIMD_SITES 1
#include "zmlx_host.h"

enum { MAX_THREADS = 64, STACK = 65536 };
struct Thread {
  zmlx_ctx c;
  ucontext_t u;
  uint32_t waiting;
  bool done;
  uint32_t id;
};
static Thread threads[MAX_THREADS];
static ucontext_t home;
static char stacks[MAX_THREADS][STACK];
static uint64_t slots[MAX_THREADS / 32][128];
static uint32_t active[MAX_THREADS / 32][2];
static void (*body)(uint32_t);

static void yield_thread(zmlx_ctx* c, uint32_t kind) {
  Thread* t = (Thread*)c->user;
  t->waiting = kind;
  swapcontext(&t->u, &home);
}
static void enter(int i) {
  body(i);
  threads[i].done = true;
  swapcontext(&threads[i].u, &home);
}
static void run(uint32_t n, bool backwards, void (*f)(uint32_t)) {
  body = f;
  memset(slots, 0xff, sizeof slots);
  for (uint32_t i = 0; i < n; ++i) {
    Thread& t = threads[i];
    uint32_t width = n - i / 32 * 32;
    t.c = {yield_thread, i % 32, i / 32, width < 32 ? width : 32, 0, slots[i / 32], active[i / 32], &t};
    t.waiting = 0, t.done = false;
    getcontext(&t.u);
    t.u.uc_stack.ss_sp = stacks[i], t.u.uc_stack.ss_size = STACK, t.u.uc_link = &home;
    makecontext(&t.u, (void (*)())enter, 1, int(i));
  }
  for (;;) {
    bool live = false;
    for (uint32_t k = 0; k < n; ++k) {
      Thread& t = threads[backwards ? n - 1 - k : k];
      if (t.done || t.waiting) continue;
      zmlx_set_ctx(&t.c);
      swapcontext(&home, &t.u);
    }
    bool any = false;
    for (uint32_t s = 0; s * 32 < n; ++s) {
      uint32_t first = ~0u;
      for (uint32_t i = s * 32; i < n && i < s * 32 + 32; ++i)
        if (!threads[i].done && (threads[i].waiting & 0xff) == 1 && threads[i].waiting < first) first = threads[i].waiting;
      if (first == ~0u) continue;
      any = true;
      active[s][0] = active[s][1] = 0;
      for (uint32_t i = s * 32; i < n && i < s * 32 + 32; ++i)
        if (!threads[i].done && threads[i].waiting == first) {
          active[s][0] |= 1u << (i % 32);
          active[s][1] |= threads[i].c.parity << (i % 32);
          threads[i].waiting = 0;
        }
    }
    for (uint32_t i = 0; i < n; ++i) {
      live = live || !threads[i].done;
      if (!any) threads[i].waiting = 0;
    }
    if (!live) return;
  }
}

static void reductions(uint32_t t) {
  uint32_t lane = t % 32;
  CHECK(simd_sum(lane) == 496 && simd_sum(float(lane)) == 496.0f && simd_max(int(lane) - 40) == -9 && simd_min(float(lane) - 3) == -3);
  CHECK(simd_sum(half(2)) == half(64) && simd_sum(bfloat(1)) == bfloat(32) && simd_product(lane == 3 ? 7.0f : 1.0f) == 7);
  CHECK(simd_and(lane | 32u) == 32u && simd_or(1u << lane) == ~0u && simd_xor(lane == 5 ? 9u : 0u) == 9u);
  CHECK(simd_prefix_inclusive_sum(1u) == lane + 1 && simd_prefix_exclusive_sum(lane) == lane * (lane - 1) / 2);
  CHECK(simd_prefix_exclusive_product(2.0f) == ldexp(1.0f, int(lane)) && simd_prefix_inclusive_product(1) == 1);
  CHECK(all(simd_sum(float4(1, lane, 0, 2)) == float4(32, 496, 0, 64)) && simd_sum(ulong(1) << lane) == 0xffffffffu);
  CHECK(simd_max(half(lane)) == half(31) && simd_min(bfloat(lane)) == bfloat(0) && simd_sum(char(lane)) == char(496));
  CHECK(quad_sum(lane) == (lane & ~3u) * 4 + 6 && quad_max(lane) == (lane | 3) && quad_prefix_exclusive_sum(1) == int(lane & 3));
}
static void movement(uint32_t t) {
  uint32_t lane = t % 32;
  CHECK(simd_broadcast(lane, 7) == 7 && simd_broadcast_first(lane + 3) == 3 && simd_shuffle(lane, (lane + 5) % 32) == (lane + 5) % 32);
  CHECK(simd_shuffle_xor(float(lane), 3) == float(lane ^ 3) && simd_shuffle_up(lane, 2) == (lane < 2 ? lane : lane - 2));
  CHECK(simd_shuffle_down(lane, 4) == (lane + 4 < 32 ? lane + 4 : lane) && simd_shuffle_rotate_up(lane, 1) == (lane + 31) % 32);
  CHECK(simd_shuffle_rotate_down(half(lane), 3) == half((lane + 3) % 32) && simd_shuffle(true, 4) && simd_shuffle(complex64_t(lane, 1), 2).real == 2);
  CHECK(simd_shuffle_and_fill_up(int(lane), -int(lane), 2) == (lane < 2 ? -int(lane + 30) : int(lane) - 2));
  CHECK(simd_shuffle_and_fill_down(int(lane), -int(lane), 2, 8) == (lane % 8 < 6 ? int(lane) + 2 : -int(lane - 6)));
  CHECK(quad_broadcast(lane, 2) == (lane & ~3u) + 2 && quad_shuffle_xor(lane, 1) == (lane ^ 1) && quad_shuffle_rotate_down(lane, 1) == (lane & ~3u) + ((lane + 1) & 3));
  CHECK(simd_shuffle_down(uint64_t(lane) << 40, 1) == uint64_t(lane < 31 ? lane + 1 : lane) << 40 && all(simd_shuffle(float3(lane, 1, 2), 9) == float3(9, 1, 2)));
}
static void votes(uint32_t t) {
  uint32_t lane = t % 32;
  CHECK(uint64_t(simd_ballot(lane % 2)) == 0xaaaaaaaau && simd_any(lane == 9) && !simd_all(lane == 9) && simd_all(lane < 32));
  CHECK(simd_is_first() == (lane == 0) && (simd_vote::vote_t)simd_active_threads_mask() == 0xffffffffull && simd_ballot(true).all());
  CHECK(quad_all(lane < 32) && quad_any((lane & 3) == 1) && uint64_t(quad_ballot((lane & 3) == 1)) == 2);
}
// Lanes in different branches do not meet; a lane that skipped an operation is in step after.
static void divergence(uint32_t t) {
  uint32_t lane = t % 32, s = 0;
  if (lane < 8)
    s = simd_sum(1u);
  else if (lane < 20)
    s = simd_sum(100u);
  CHECK(s == (lane < 8 ? 8u : lane < 20 ? 1200u : 0u));
  CHECK(simd_sum(1u) == 32);
  for (uint32_t i = 0; i < lane % 3; ++i) s = simd_sum(1u);
  CHECK(simd_max(lane) == 31);
  if (lane % 2) {
    CHECK(simd_prefix_exclusive_sum(1u) == lane / 2 && simd_broadcast_first(lane) == 1 && simd_shuffle_down(lane, 1) == lane && simd_is_first() == (lane == 1));
  }
}
static void barriers(uint32_t t) {
  ZMLX_THREADGROUP float shared[64];
  shared[t] = float(t);
  threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
  float other = shared[63 - t];
  threadgroup_barrier(mem_flags::mem_none);
  shared[t] = other * 2;
  simdgroup_barrier(mem_flags::mem_threadgroup);
  threadgroup_barrier(mem_flags::mem_threadgroup, memory_scope::memory_scope_threadgroup);
  CHECK(shared[63 - t] == float(t) * 2);
}
static float ma[16 * 16], mb[64], mc[64];
template <class T> static void matrix_product(uint32_t t) {
  ZMLX_THREADGROUP T a[16 * 16], out[64], turned[64];
  ZMLX_THREADGROUP float wide[64];
  for (uint32_t i = t; i < 256; i += 32) a[i] = T(ma[i]);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  simdgroup_matrix<T, 8, 8> x, y, z;
  simdgroup_float8x8 acc = make_filled_simdgroup_matrix<float, 8, 8>(0.5f), diagonal(3.0f);
  simdgroup_load(x, a, 16, ulong2(8, 4));
  simdgroup_load(y, mb, 8, 0, true);
  simdgroup_multiply_accumulate(acc, x, y, acc);
  simdgroup_multiply(z, x, y);
  simdgroup_store(acc, wide, 8);
  simdgroup_store(z, out);
  simdgroup_store(z, turned, 8, ulong2(0, 0), true);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (int r = 0; r < 8; ++r)
    for (int c = 0; c < 8; ++c) {
      float want = 0;
      for (int k = 0; k < 8; ++k) want += float(T(ma[(4 + r) * 16 + 8 + k])) * float(T(mb[c * 8 + k]));
      CHECK(wide[r * 8 + c] == want + 0.5f && float(out[r * 8 + c]) == float(T(want)) && out[r * 8 + c] == turned[c * 8 + r]);
    }
  // Apple's layout: lane 0 holds (0,0) and (0,1), lane 1 (0,2), lane 2 (1,0), lane 8 (0,4), lane 16 (4,0).
  uint32_t row = (t / 4 & 4) + t / 2 % 4, col = (t / 4 & 2) * 2 + t % 2 * 2;
  CHECK(acc.thread_elements()[0] == wide[row * 8 + col] && acc.thread_elements()[1] == wide[row * 8 + col + 1]);
  CHECK(diagonal.thread_elements()[0] == (row == col ? 3.0f : 0.0f) && diagonal.thread_elements()[1] == (row == col + 1 ? 3.0f : 0.0f));
  simdgroup_float8x8 twice = diagonal * acc;
  CHECK(twice.thread_elements()[1] == 3 * acc.thread_elements()[1]);
}
static void matrices(uint32_t t) {
  matrix_product<float>(t);
  matrix_product<half>(t);
  matrix_product<bfloat>(t);
}
static uint32_t counters[8];
static void atomics(uint32_t t) {
  atomic_uint* u = (atomic_uint*)counters;
  atomic_float* f = (atomic_float*)(counters + 1);
  atomic_int* i = (atomic_int*)(counters + 2);
  ZMLX_THREADGROUP atomic_int local[2];
  if (t == 0) atomic_store_explicit(&local[0], 5, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  atomic_fetch_add_explicit(u, 2u, memory_order_relaxed);
  atomic_fetch_add_explicit(f, 0.5f, memory_order_relaxed);
  atomic_fetch_max_explicit(i, int(t) - 10, memory_order_relaxed);
  atomic_fetch_min_explicit(i + 1, int(t) - 10, memory_order_relaxed);
  atomic_fetch_or_explicit(u + 4, 1u << t % 32, memory_order_relaxed);
  atomic_fetch_sub_explicit(&local[0], 1, memory_order_relaxed);
  uint32_t old = atomic_load_explicit(u + 5, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(u + 5, &old, old + 3, memory_order_relaxed, memory_order_relaxed)) {
  }
  threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
  CHECK(atomic_load_explicit(&local[0], memory_order_relaxed) == 5 - 64 && atomic_load_explicit(u, memory_order_relaxed) == 128);
  CHECK(atomic_load_explicit(f, memory_order_relaxed) == 32.0f && atomic_load_explicit(i, memory_order_relaxed) == 53);
  CHECK(atomic_load_explicit(i + 1, memory_order_relaxed) == -10 && counters[4] == ~0u && counters[5] == 192);
  CHECK(atomic_exchange_explicit(f + 5, float(t), memory_order_relaxed) >= 0.0f);
}
// A simdgroup of 20 lanes: the missing ones take no part.
static void partial(uint32_t t) {
  CHECK(simd_sum(1u) == 20 && simd_max(t) == 19 && simd_shuffle_down(t, 4) == (t < 16 ? t + 4 : t) && uint64_t(simd_ballot(true)) == 0xfffff);
  if (t == 7) return;
  CHECK(simd_sum(1) == 19);
}

int main() {
  for (int i = 0; i < 256; ++i) ma[i] = float(int(next_random() % 17) - 8);
  for (int i = 0; i < 64; ++i) mb[i] = float(int(next_random() % 17) - 8) * 0.25f;
  for (int backwards = 0; backwards < 2; ++backwards) {
    void (*all64[])(uint32_t) = {reductions, movement, votes, divergence, barriers};
    for (auto f : all64) run(64, backwards, f);
    run(32, backwards, matrices);
    run(20, backwards, partial);
    memset(counters, 0, sizeof counters);
    run(64, backwards, atomics);
  }
  return failures != 0;
}
