// The helpers MLX puts before every custom kernel: strided indexing, limits, log1p, casts.
// Same names and meaning as in MLX's kernel utilities, so that kernels written against
// them run; the code is our own.
#pragma once
#include "complex.h"
#include "limits.h"

static constexpr int MAX_REDUCE_SPECIALIZED_DIMS = 4;
static constexpr int REDUCE_N_READS = 4;
static constexpr int REDUCE_N_WRITES = 4;
static constexpr int SOFTMAX_N_READS = 4;
static constexpr int RMS_N_READS = 4;
static constexpr int RMS_LOOPED_LIMIT = 4096;
#define MTL_CONST
#ifndef MLX_MTL_PRAGMA_UNROLL
#define MLX_MTL_PRAGMA_UNROLL _Pragma("GCC unroll 64")
#endif
#define instantiate_kernel(name, func, ...)

// MLX's name for Metal's log, which prints nothing where there is none.
namespace mlx {
struct os_log {
  constexpr os_log(const char*, const char*) {}
  template <class... A> void log_debug(const char*, A...) const {}
  template <class... A> void log_info(const char*, A...) const {}
  template <class... A> void log(const char*, A...) const {}
};
}  // namespace mlx

template <class U> struct WorkPerThread {
  static_assert(sizeof(U) <= 8, "type too large");
  static constexpr int n = 8 / sizeof(U);
};

template <class U> struct Limits {
  typedef metal::numeric_limits<U> N;
  static constexpr U max = metal::is_floating_point_v<U> ? N::infinity() : N::max();
  static constexpr U min = metal::is_floating_point_v<U> ? U(-N::infinity()) : N::min();
  static constexpr U finite_max = N::max();
  static constexpr U finite_min = N::lowest();
};
template <class T> struct Limits<complex_t<T>> {
  static constexpr complex_t<T> max{metal::numeric_limits<T>::infinity(), metal::numeric_limits<T>::infinity()};
  static constexpr complex_t<T> min{-metal::numeric_limits<T>::infinity(), -metal::numeric_limits<T>::infinity()};
};

template <bool C, class T, class U> struct ConditionalType { typedef metal::conditional_t<C, T, U> type; };

// Offset of a linear index into an array of any strides, innermost dimension last.
template <class IdxT = int64_t>
ZMLX_FN IdxT elem_to_loc(IdxT elem, const int* shape, const int64_t* strides, int ndim) {
  IdxT loc = 0;
  for (int d = ndim; d-- > 0 && elem > 0;) {
    IdxT n = IdxT(shape[d]), q = elem / zmlx::by() / n;
    loc += (elem - q * n) * IdxT(strides[d]);
    elem = q;
  }
  return loc;
}
template <class IdxT = int64_t>
ZMLX_FN IdxT elem_to_loc(metal::uint3 elem, const int* shape, const int64_t* strides, int ndim) {
  IdxT loc = IdxT(elem.x) * IdxT(strides[ndim - 1]) + IdxT(elem.y) * IdxT(strides[ndim - 2]);
  uint rest = elem.z;
  for (int d = ndim - 2; d-- > 0;) {
    const uint n = uint(shape[d]), q = rest / zmlx::by() / n;
    loc += IdxT(rest - q * n) * IdxT(strides[d]);
    rest = q;
  }
  return loc;
}
template <class IdxT = int64_t> ZMLX_FN IdxT elem_to_loc_1(uint elem, const int64_t& stride) {
  return IdxT(elem) * IdxT(stride);
}
template <class IdxT = int64_t> ZMLX_FN IdxT elem_to_loc_2(metal::uint2 elem, const int64_t strides[2]) {
  return IdxT(elem.x) * IdxT(strides[1]) + IdxT(elem.y) * IdxT(strides[0]);
}
template <class IdxT = int64_t> ZMLX_FN IdxT elem_to_loc_3(metal::uint3 elem, const int64_t strides[3]) {
  return IdxT(elem.x) * IdxT(strides[2]) + IdxT(elem.y) * IdxT(strides[1]) + IdxT(elem.z) * IdxT(strides[0]);
}
template <class IdxT = int64_t>
ZMLX_FN metal::vec<IdxT, 2> elem_to_loc_2_nd(metal::uint3 elem, const int* shape, const int64_t* a, const int64_t* b, int ndim) {
  return metal::vec<IdxT, 2>(elem_to_loc<IdxT>(elem, shape, a, ndim), elem_to_loc<IdxT>(elem, shape, b, ndim));
}
template <class IdxT = int64_t>
ZMLX_FN metal::vec<IdxT, 3> elem_to_loc_3_nd(metal::uint3 elem, const int* shape, const int64_t* a, const int64_t* b,
                                             const int64_t* c, int ndim) {
  return metal::vec<IdxT, 3>(elem_to_loc<IdxT>(elem, shape, a, ndim), elem_to_loc<IdxT>(elem, shape, b, ndim),
                             elem_to_loc<IdxT>(elem, shape, c, ndim));
}

// The same offset while the index only grows. `General` false promises at most DIM dimensions.
template <int DIM, class OffsetT = size_t, bool General = true> struct LoopedElemToLoc {
  int dim;
  OffsetT offset = 0;
  uint64_t index = 0;
  LoopedElemToLoc(int d) : dim(d) {}
  void next(const int* shape, const int64_t* strides) { next(1, shape, strides); }
  void next(int n, const int* shape, const int64_t* strides) {
    index += n;
    if (dim > 0) offset = OffsetT(elem_to_loc<int64_t>(int64_t(index), shape, strides, dim));
  }
  OffsetT location() { return offset; }
};

template <class T, class U> inline T ceildiv(T n, U m) { return (n + m - 1) / zmlx::by() / m; }

inline float log1p(float x) { return zmlx::m_log1p(x); }
inline half log1p(half x) { return half(zmlx::m_log1p(x.zf())); }
inline bfloat log1p(bfloat x) { return bfloat(zmlx::m_log1p(x.zf())); }
inline complex64_t log1p(complex64_t z) {
  float theta = metal::atan2(z.imag, z.real + 1.0f);
  float r = z.real * (2.0f + z.real) + z.imag * z.imag;
  // Near zero |1+z| loses z's digits; r = |1+z|^2 - 1 keeps them.
  if (z.real * z.real + z.imag * z.imag < 0.25f) return {r == 0.0f ? z.real : 0.5f * log1p(r), theta};
  return {metal::log(metal::sqrt((z.real + 1.0f) * (z.real + 1.0f) + z.imag * z.imag)), theta};
}

template <class U, class T> inline U cast_to(T x) {
  if constexpr (metal::is_same_v<U, bool> && is_complex_v<T>) return x.real != 0 || x.imag != 0;
  else return static_cast<U>(x);
}
ZMLX_FN uint16_t bfloat16_to_uint16(bfloat x) { return x.zb; }
ZMLX_FN bfloat uint16_to_bfloat16(uint16_t x) { return as_type<bfloat>(x); }
