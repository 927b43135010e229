// simdgroup_matrix: an 8x8 matrix spread over the 32 lanes of a simdgroup, two neighbouring
// elements of one row a lane, in the layout of Apple's GPUs (kernels index thread_elements()
// by it), or with ZMLX_MATRIX_TENSOR, in kernels that never look, in that of NVIDIA's tensor cores.
// A simdgroup loads and stores a matrix as one: all lanes come before any element is touched, and none goes on
// before all are (`zmlx::at_once`, each device's own, as products are).
#pragma once
#include "lanes.h"

namespace zmlx {
ZMLX_FN uint32_t current_lane();
}

namespace zmlx {
// Row and column of a lane's first element, and the lane that holds an element.
#ifdef ZMLX_MATRIX_TENSOR
ZMLX_FN constexpr uint32_t matrix_row(uint32_t lane) { return lane >> 2; }
ZMLX_FN constexpr uint32_t matrix_col(uint32_t lane) { return (lane & 3u) << 1; }
ZMLX_FN constexpr uint32_t matrix_lane(uint32_t row, uint32_t col) { return row << 2 | col >> 1; }
#else
ZMLX_FN constexpr uint32_t matrix_row(uint32_t lane) { return (lane >> 2 & 4u) | (lane >> 1 & 3u); }
ZMLX_FN constexpr uint32_t matrix_col(uint32_t lane) { return (lane >> 1 & 4u) | (lane & 1u) << 1; }
ZMLX_FN constexpr uint32_t matrix_lane(uint32_t row, uint32_t col) {
  return (row & 4u) << 2 | (row & 3u) << 1 | (col & 4u) << 1 | (col >> 1 & 1u);
}
#endif

// Where a lane's two elements lie, as indices from the matrix's pointer.
struct matrix_place {
  ulong first, second;
  ZMLX_INLINE matrix_place(ulong row_length, metal::ulong2 origin, bool transpose) {
    const uint32_t l = current_lane(), r = matrix_row(l), c = matrix_col(l);
    first = transpose ? (origin.y + c) * row_length + origin.x + r : (origin.y + r) * row_length + origin.x + c;
    second = first + (transpose ? row_length : 1);
  }
};
}  // namespace zmlx

namespace metal {
template <class T, int Cols, int Rows = Cols> struct simdgroup_matrix {
  static_assert(Cols == 8 && Rows == 8, "Metal knows 8x8 simdgroup matrices only");
  typedef vec<T, 2> storage_type;
  storage_type ze;

  simdgroup_matrix() = default;
  ZMLX_INLINE explicit simdgroup_matrix(T diagonal) {
    uint32_t l = zmlx::current_lane(), r = zmlx::matrix_row(l), c = zmlx::matrix_col(l);
    ze = storage_type(r == c ? zmlx_alt(diagonal) : zmlx_alt(T(0)), r == c + 1 ? zmlx_alt(diagonal) : zmlx_alt(T(0)));
  }
  ZMLX_INLINE storage_type& thread_elements() { return ze; }
  ZMLX_INLINE const storage_type& thread_elements() const { return ze; }
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;

template <class T, int C, int R = C> ZMLX_FN simdgroup_matrix<T, C, R> make_filled_simdgroup_matrix(T x) {
  simdgroup_matrix<T, C, R> m;
  m.ze = vec<T, 2>(x);
  return m;
}
template <class T, int C, int R = C> ZMLX_FN simdgroup_matrix<T, C, R> make_diagonal_simdgroup_matrix(T x) {
  return simdgroup_matrix<T, C, R>(x);
}

// The origin counts columns (x) and rows (y) of the memory's matrix; with `transpose` the
// memory's rows become columns.
template <class T, int C, int R, class P>
ZMLX_FN void simdgroup_load(simdgroup_matrix<T, C, R>& m, P src, ulong elements_per_row = C, ulong2 origin = ulong2(0),
                            bool transpose = false, ZMLX_SITE) {
  const zmlx::matrix_place at(elements_per_row, origin, transpose);
  zmlx::at_once(&m.ze, &src[at.first], &src[at.second], [](auto* ze, auto* a, auto* b) { *ze = vec<T, 2>(T(*a), T(*b)); }, site);
}
template <class T, int C, int R, class P>
ZMLX_FN void simdgroup_store(const simdgroup_matrix<T, C, R>& m, P dst, ulong elements_per_row = C, ulong2 origin = ulong2(0),
                             bool transpose = false, ZMLX_SITE) {
  const zmlx::matrix_place at(elements_per_row, origin, transpose);
  zmlx::at_once(&m.ze, &dst[at.first], &dst[at.second], [](auto* ze, auto* a, auto* b) { *a = ze->x; *b = ze->y; }, site);
}
}  // namespace metal
