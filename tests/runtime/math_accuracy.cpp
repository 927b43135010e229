// Measures the float math library against the C library in double, over all inputs of a
// stride (argument 1, default 1009) plus random ones, and holds each function to its bound
// in ulp. With -v it prints the largest error of each and where it is.
#include "check.h"
#define ZMLX_MODE_PLAIN 1
#define ZMLX_MATH_SAFE 1
#include "zmlx_host.h"

static bool verbose;
static unsigned stride = 1009;

static double ulp_of(double r) {
  int e;
  __builtin_frexp(r, &e);
  e = e < -125 ? -125 : e;
  return __builtin_ldexp(1.0, e - 24);
}
// The error of `got`, in units in the last place of the float nearest to `ref`.
static double error(float got, double ref) {
  float want = (float)ref;
  if (want != want) return got != got ? 0 : 1e30;
  if (got != got) return 1e30;
  if (got == want) {
    // Zeros must agree in sign.
    if (got == 0 && __builtin_signbit(got) != __builtin_signbit(want)) return 1e29;
    if (__builtin_isinf(got)) return 0;
  }
  if (__builtin_isinf(want)) return __builtin_isinf(got) ? 1e30 : __builtin_fabs(got) >= 0x1.fffffcp127f ? 1 : 1e30;
  if (__builtin_isinf(got)) return __builtin_fabs(ref) > 0x1.fffffcp127 ? 1 : 1e30;
  return __builtin_fabs((double)got - ref) / ulp_of(ref);
}
static float as_float(unsigned u) { float f; memcpy(&f, &u, 4); return f; }

enum { BATCH = 4096 };
typedef void (*Many)(const float*, float*);
static void unary(const char* name, double bound, Many many, double (*want)(double), double lo, double hi) {
  static float in[BATCH], out[BATCH];
  double worst = 0;
  float where = 0, gave = 0;
  unsigned n = 0;
  unsigned long long u = 0;
  for (bool more = true; more;) {
    for (n = 0; n < BATCH; ++n) {
      in[n] = as_float(n % 16 == 5 ? next_random() : (unsigned)u);
      u += stride;
      if (__builtin_fabs(in[n]) < lo || __builtin_fabs(in[n]) > hi) in[n] = as_float(0x3f000000u + n);
    }
    if (u < stride * 2ull * BATCH) {
      const float edges[] = {0.0f, -0.0f, 1, -1, INFINITY, -INFINITY, NAN, FLT_MAX, -FLT_MAX, FLT_MIN, 1e-45f, -1e-45f, 0.5f, -0.5f, 2, 88.72284f, -103.97f};
      for (float e : edges) if (!(__builtin_fabs(e) < lo || __builtin_fabs(e) > hi)) in[--n] = e;
    }
    more = u < 0x100000000ull;
    many(in, out);
    for (n = 0; n < BATCH; ++n) {
      double e = error(out[n], want(in[n]));
      if (e > worst) worst = e, where = in[n], gave = out[n];
    }
  }
  if (verbose) printf("%-16s %10.3f ulp at %a (%g): %a, want %a\n", name, worst, where, where, gave, want(where));
  if (worst > bound) ++failures, printf("%s: %g ulp at %a (bound %g)\n", name, worst, where, bound);
}
static void binary(const char* name, double bound, float (*f)(float, float), double (*want)(double, double)) {
  double worst = 0;
  float wx = 0, wy = 0;
  const float edges[] = {0.0f, -0.0f, 1, -1, 2, -2, 3, -3, 0.5f, -0.5f, INFINITY, -INFINITY, NAN, FLT_MAX, -FLT_MAX, FLT_MIN, 1e-45f, -1e-45f, 16777216.0f, 16777217.0f, 1e30f, -1e30f, 33.5f, -7, 1.0000001f, 0.9999999f};
  const int E = sizeof edges / sizeof *edges;
  unsigned total = 2000000000u / stride;
  for (unsigned i = 0; i < total + E * E; ++i) {
    float x = as_float(next_random()), y = as_float(next_random());
    if (i < E * E) x = edges[i / E], y = edges[i % E];
    else if (i % 4 == 1) x = 0.5f + (next_random() >> 8) * 0x1p-24f, y = (int)next_random() * 0x1p-24f;
    else if (i % 4 == 2) x = (next_random() >> 8) * 0x1p-18f, y = (int)next_random() * 0x1p-27f;
    else if (i % 4 == 3) x = (int)next_random() * 0x1p-28f, y = i % 8 < 4 ? (int)next_random() * 0x1p-28f : (float)((int)next_random() >> 26);
    double e = error(f(x, y), want(x, y));
    if (e > worst) worst = e, wx = x, wy = y;
  }
  if (verbose) printf("%-16s %10.3f ulp at %a, %a: %a, want %a\n", name, worst, wx, wy, f(wx, wy), want(wx, wy));
  if (worst > bound) ++failures, printf("%s: %g ulp at %a, %a (bound %g)\n", name, worst, wx, wy, bound);
}

// The C library's functions in double, by their builtin names.
namespace ref {
#define ZMLX_REF(f) static double f(double x) { return __builtin_##f(x); }
ZMLX_REF(exp) ZMLX_REF(exp2) ZMLX_REF(log) ZMLX_REF(log2) ZMLX_REF(log10) ZMLX_REF(log1p) ZMLX_REF(tanh)
ZMLX_REF(sinh) ZMLX_REF(cosh) ZMLX_REF(asinh) ZMLX_REF(acosh) ZMLX_REF(atanh) ZMLX_REF(sin) ZMLX_REF(cos)
ZMLX_REF(tan) ZMLX_REF(asin) ZMLX_REF(acos) ZMLX_REF(atan) ZMLX_REF(sqrt) ZMLX_REF(floor) ZMLX_REF(ceil)
ZMLX_REF(trunc) ZMLX_REF(rint) ZMLX_REF(round) ZMLX_REF(fabs)
static double pow(double x, double y) { return __builtin_pow(x, y); }
static double atan2(double x, double y) { return __builtin_atan2(x, y); }
static double fmod(double x, double y) { return __builtin_fmod(x, y); }
// Of two zeros the first comes out.
static double fmax(double x, double y) { return x == y ? x : __builtin_fmax(x, y); }
static double fmin(double x, double y) { return x == y ? x : __builtin_fmin(x, y); }
static double nextafter(double x, double y) { return __builtin_nextafterf(float(x), float(y)); }
static double rsqrt(double x) { return 1 / __builtin_sqrt(x); }
static double exp10(double x) { return __builtin_pow(10, x); }
const double PI = 3.14159265358979323846;
static double sinpi(double x) {
  double m = fmod(fabs(x), 2), s = m >= 1 ? -1 : 1;
  m = m >= 1 ? m - 1 : m;
  double v = m > 0.5 ? 1 - m : m, r = v > 0.25 ? cos(PI * (0.5 - v)) : sin(PI * v);
  return x - x != 0 ? __builtin_nan("") : r == 0 ? __builtin_copysign(0.0, x) : __builtin_copysign(1.0, x) * s * r;
}
static double cospi(double x) {
  double m = fmod(fabs(x), 2);
  m = m > 1 ? 2 - m : m;
  double s = m > 0.5 ? -1 : 1;
  m = m > 0.5 ? 1 - m : m;
  return x - x != 0 ? __builtin_nan("") : m == 0.5 ? 0.0 : s * (m > 0.25 ? sin(PI * (0.5 - m)) : cos(PI * m));
}
}  // namespace ref

#define MANY(ns, f) [](const float* __restrict a, float* __restrict b) { for (int i = 0; i < BATCH; ++i) b[i] = metal::ns f(a[i]); }
#define RUN(f, bound) unary(#f, bound, MANY(, f), ref::f, 0, INFINITY)
#define RUNR(f, bound, ref) unary(#f, bound, MANY(, f), ref, 0, INFINITY)
#define FAST(f, bound, ref, lo, hi) unary("fast::" #f, bound, MANY(fast::, f), ref, lo, hi)

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i)
    if (!strcmp(argv[i], "-v")) verbose = true;
    else stride = atoi(argv[i]);
  RUN(exp, 1.5); RUN(exp2, 1.5); RUNR(exp10, 2, ref::exp10);
  RUN(log, 1.5); RUN(log2, 2); RUN(log10, 2);
  unary("log1p", 2, [](const float* __restrict a, float* __restrict b) { for (int i = 0; i < BATCH; ++i) b[i] = zmlx::m_log1p(a[i]); }, ref::log1p, 0, INFINITY);
  RUN(tanh, 3); RUN(sinh, 3); RUN(cosh, 2);
  RUN(asinh, 4); RUN(acosh, 4); RUN(atanh, 4);
  // Without a fused multiply-add huge arguments are out of reach.
#if defined(__FMA__) || defined(__aarch64__)
  const double reach = INFINITY;
#else
  const double reach = 0x1p22;
#endif
  unary("sin", 2, MANY(, sin), ref::sin, 0, reach);
  unary("cos", 2, MANY(, cos), ref::cos, 0, reach);
  unary("tan", 4, MANY(, tan), ref::tan, 0, reach);
  RUNR(sinpi, 2, ref::sinpi); RUNR(cospi, 2, ref::cospi);
  RUN(asin, 3); RUN(acos, 3); RUN(atan, 3);
  RUN(sqrt, 0.5); RUNR(rsqrt, 1.6, ref::rsqrt);
  RUN(floor, 0); RUN(ceil, 0); RUN(trunc, 0); RUN(rint, 0); RUN(round, 0); RUN(fabs, 0);
  FAST(exp, 1.5, ref::exp, 0, 86); FAST(exp2, 1.5, ref::exp2, 0, 125); FAST(log, 1.5, ref::log, 0x1p-126, FLT_MAX);
  FAST(log2, 2, ref::log2, 0x1p-126, FLT_MAX); FAST(tanh, 3, ref::tanh, 0, INFINITY);
  FAST(sin, 2, ref::sin, 0x1p-126, 100); FAST(cos, 2, ref::cos, 0, 100);
  binary("pow", 1.5, metal::pow<float, float>, ref::pow);
  binary("atan2", 4, metal::atan2<float, float>, ref::atan2);
  binary("fmod", 0, metal::fmod<float, float>, ref::fmod);
  binary("fmax", 0.5, metal::fmax<float, float>, ref::fmax);
  binary("fmin", 0.5, metal::fmin<float, float>, ref::fmin);
  binary("nextafter", 0.5, [](float a, float b) { return metal::nextafter(a, b); }, ref::nextafter);
  return failures != 0;
}
