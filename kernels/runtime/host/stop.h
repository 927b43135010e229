// How a launch is ended from within: what runs is left as it is, without a word to the functions
// in between, which own nothing. A thread that is a coroutine never gets its turn again; loops jump
// back to their entry point, whose place the engine is told. Kernels are compiled without exceptions.
#pragma once
#include "abi.h"

extern "C" {
#if defined(__APPLE__)
int zmlx_setjmp(void* place) __asm__("__setjmp") __attribute__((returns_twice));
[[noreturn]] void zmlx_longjmp(void* place, int) __asm__("__longjmp");
#else
int zmlx_setjmp(void* place) __asm__("_setjmp") __attribute__((returns_twice));
[[noreturn]] void zmlx_longjmp(void* place, int) __asm__("_longjmp");
#endif
struct zmlx_exit {
  void (*leave)(zmlx_exit*);
  alignas(16) char place[1024];  // more than any system's jmp_buf
};
}

// Metal has none, and a failure of these would end the process. Within `#if` only the compiler sees them.
void* operator new(size_t) __attribute__((error("Metal has no `new`")));
void* operator new[](size_t) __attribute__((error("Metal has no `new`")));
void operator delete(void*) noexcept __attribute__((error("Metal has no `delete`")));
void operator delete[](void*) noexcept __attribute__((error("Metal has no `delete`")));
void operator delete(void*, size_t) noexcept __attribute__((error("Metal has no `delete`")));
void operator delete[](void*, size_t) noexcept __attribute__((error("Metal has no `delete`")));

static bool (*zmlx_expired)() = nullptr;
// Tells the engine the way out and gives the one that it knew; null while there is none.
static zmlx_exit* (*zmlx_tell)(zmlx_exit*) = nullptr;
ZMLX_ENTRY void zmlx_set_watch(bool (*expired)(), zmlx_exit* (*tell)(zmlx_exit*)) {
  zmlx_expired = expired;
  zmlx_tell = tell;
}

#if defined(ZMLX_MODE_SYNC)
ZMLX_ENTRY zmlx_ctx** zmlx_current() { return &zmlx_cur; }
[[noreturn, gnu::noinline, gnu::cold]] static void zmlx_stop() {
  zmlx_cur->yield_(zmlx_cur, 4);
  __builtin_trap();
}
#else
[[noreturn]] static void zmlx_leave(zmlx_exit* e) { zmlx_longjmp(e->place, 1); }
[[noreturn, gnu::noinline, gnu::cold]] static void zmlx_stop() { zmlx_leave(zmlx_tell(nullptr)); }
#endif

// The entry point `name`, which is zmlx_run, around a call. No variable of it changes between setjmp and a return by longjmp.
#define ZMLX_RUN(name, ...)                                                                            \
  ZMLX_ENTRY int name(const zmlx_launch* zmlx_l, uint32_t zmlx_first, uint32_t zmlx_end) {             \
    zmlx_exit zmlx_e;                                                                                  \
    zmlx_e.leave = zmlx_leave;                                                                         \
    if (zmlx_setjmp(zmlx_e.place)) return 1;                                                           \
    zmlx_tell(&zmlx_e);                                                                                \
    __VA_ARGS__;                                                                                       \
    zmlx_tell(nullptr);                                                                                \
    return 0;                                                                                          \
  }

// Counts the rounds of one loop in a register and asks the engine, every 4096 rounds, whether the
// launch may go on.
struct zmlx_guard {
  unsigned rounds = 0;
  bool first = true;
  constexpr bool once() { bool f = first; first = false; return f; }
  constexpr bool tick() {
    if (__builtin_expect((++rounds & 0xfffu) == 0u, 0)) slow();
    return true;
  }
  [[gnu::noinline, gnu::cold]] static void slow() { if (zmlx_expired && zmlx_expired()) zmlx_stop(); }
};
template <class T> ZMLX_INLINE constexpr T zmlx_step(T by) {
  if (__builtin_expect(by == T(0), 0)) zmlx_guard::slow();
  return by;
}
