// What the self-tests of the runtime headers share: a check that prints itself when it
// fails, and small random numbers. A test prints nothing and returns 0 when all holds.
#pragma once
#include <stdio.h>
#include <string.h>
// Not <math.h> or <stdlib.h>: kernels never see them, and they claim names that are MSL's.
extern "C" int atoi(const char*) noexcept;

static int failures;
#define CHECK(...)                                                          \
  do {                                                                      \
    if (!(__VA_ARGS__)) {                                                   \
      if (++failures <= 20) printf("%s:%d: %s\n", __FILE__, __LINE__, #__VA_ARGS__); \
    }                                                                       \
  } while (0)

static inline unsigned next_random() {
  static unsigned s = 2463534242u;
  s ^= s << 13; s ^= s >> 17; s ^= s << 5;
  return s;
}
