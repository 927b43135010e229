// The library's functions that take pointers, for checked ones: each tests what it touches,
// in the name of the line that calls it, and goes on with the plain pointer.
#pragma once

namespace metal {
#define ZMLX_SCOPE thread_scope = thread_scope_device
#define ZMLX_ATOMIC_AT (&zmlx::access<S>(p.raw(), p.b, p.e, p.n, zmlx::index(0, zmlx_line, zmlx_file)))
template <class T, class S> ZMLX_FN T atomic_load_explicit(zmlx::ptr<const atomic<T>, S> p, memory_order o, ZMLX_SCOPE, ZMLX_WHERE) {
  return atomic_load_explicit(ZMLX_ATOMIC_AT, o);
}
template <class T> ZMLX_FN T atomic_load_explicit(zmlx::any_ptr<atomic<T>> p, memory_order o, ZMLX_SCOPE) {
  return atomic_load_explicit(p.p, o);
}
#define ZMLX_ATOMIC_OF(R, name)                                                                            \
  template <class T, class S>                                                                              \
  ZMLX_FN R name(zmlx::ptr<atomic<T>, S> p, zmlx::same_t<T> x, memory_order o, ZMLX_SCOPE, ZMLX_WHERE) {   \
    return name(ZMLX_ATOMIC_AT, x, o);                                                                     \
  }                                                                                                        \
  template <class T> ZMLX_FN R name(zmlx::any_ptr<atomic<T>> p, zmlx::same_t<T> x, memory_order o, ZMLX_SCOPE) { \
    return name(p.p, x, o);                                                                                \
  }
ZMLX_ATOMIC_OF(void, atomic_store_explicit) ZMLX_ATOMIC_OF(T, atomic_exchange_explicit)
ZMLX_ATOMIC_OF(T, atomic_fetch_add_explicit) ZMLX_ATOMIC_OF(T, atomic_fetch_sub_explicit)
ZMLX_ATOMIC_OF(T, atomic_fetch_and_explicit) ZMLX_ATOMIC_OF(T, atomic_fetch_or_explicit)
ZMLX_ATOMIC_OF(T, atomic_fetch_xor_explicit) ZMLX_ATOMIC_OF(T, atomic_fetch_min_explicit)
ZMLX_ATOMIC_OF(T, atomic_fetch_max_explicit) ZMLX_ATOMIC_OF(void, atomic_min_explicit)
ZMLX_ATOMIC_OF(void, atomic_max_explicit)
#undef ZMLX_ATOMIC_OF
template <class T, class S> ZMLX_FN void atomic_init(zmlx::ptr<atomic<T>, S> p, zmlx::same_t<T> x, ZMLX_WHERE) {
  atomic_init(ZMLX_ATOMIC_AT, x);
}
template <class T, class S>
ZMLX_FN bool atomic_compare_exchange_weak_explicit(zmlx::ptr<atomic<T>, S> p, T* expected, zmlx::same_t<T> x,
                                                   memory_order a, memory_order b, ZMLX_SCOPE, ZMLX_WHERE) {
  return atomic_compare_exchange_weak_explicit(ZMLX_ATOMIC_AT, expected, x, a, b);
}
template <class T>
ZMLX_FN bool atomic_compare_exchange_weak_explicit(zmlx::any_ptr<atomic<T>> p, T* expected, zmlx::same_t<T> x,
                                                   memory_order a, memory_order b, ZMLX_SCOPE) {
  return atomic_compare_exchange_weak_explicit(p.p, expected, x, a, b);
}
#undef ZMLX_ATOMIC_AT
#undef ZMLX_SCOPE

// Each lane's elements are tested before the lanes meet, so that a violation names the lane.
template <class T, int C, int R, class U, class S>
ZMLX_FN void simdgroup_load(simdgroup_matrix<T, C, R>& m, zmlx::ptr<U, S> src, ulong elements_per_row = C,
                            ulong2 origin = ulong2(0), bool transpose = false, ZMLX_WHERE) {
  const zmlx::matrix_place at(elements_per_row, origin, transpose);
  const U* a = zmlx::kept(&src[zmlx::index(at.first, zmlx_line, zmlx_file)]);
  const U* b = zmlx::kept(&src[zmlx::index(at.second, zmlx_line, zmlx_file)]);
  zmlx::at_once(&m.ze, a, b, [](auto* ze, auto* a, auto* b) { *ze = vec<T, 2>(T(*a), T(*b)); }, zmlx_line);
}
template <class T, int C, int R, class U, class S>
ZMLX_FN void simdgroup_store(const simdgroup_matrix<T, C, R>& m, zmlx::ptr<U, S> dst, ulong elements_per_row = C,
                             ulong2 origin = ulong2(0), bool transpose = false, ZMLX_WHERE) {
  const zmlx::matrix_place at(elements_per_row, origin, transpose);
  U *a = &dst[zmlx::index(at.first, zmlx_line, zmlx_file)], *b = &dst[zmlx::index(at.second, zmlx_line, zmlx_file)];
  zmlx::at_once(&m.ze, a, b, [](auto* ze, auto* a, auto* b) { *a = ze->x; *b = ze->y; }, zmlx_line);
}
}  // namespace metal

// MLX's helpers: all of shape and strides is within its buffer, or the line is at fault.
#define ZMLX_DIMS(E)                                                                                            \
  template <class IdxT = int64_t, class S1, class S2>                                                           \
  ZMLX_FN IdxT elem_to_loc(E elem, zmlx::ptr<const int, S1> shape, zmlx::ptr<const int64_t, S2> strides,        \
                           int ndim, ZMLX_WHERE) {                                                              \
    if (ndim > 0) {                                                                                             \
      (void)shape[zmlx::index(ndim - 1, zmlx_line, zmlx_file)];                                                 \
      (void)strides[zmlx::index(ndim - 1, zmlx_line, zmlx_file)];                                               \
    }                                                                                                           \
    return elem_to_loc<IdxT>(elem, shape.p, strides.p, ndim);                                                   \
  }
ZMLX_DIMS(IdxT)
ZMLX_DIMS(metal::uint3)
#undef ZMLX_DIMS
template <class IdxT = int64_t, class S>
ZMLX_FN IdxT elem_to_loc_2(metal::uint2 elem, zmlx::ptr<const int64_t, S> strides, ZMLX_WHERE) {
  (void)strides[zmlx::index(1, zmlx_line, zmlx_file)];
  return elem_to_loc_2<IdxT>(elem, strides.p);
}
template <class IdxT = int64_t, class S>
ZMLX_FN IdxT elem_to_loc_3(metal::uint3 elem, zmlx::ptr<const int64_t, S> strides, ZMLX_WHERE) {
  (void)strides[zmlx::index(2, zmlx_line, zmlx_file)];
  return elem_to_loc_3<IdxT>(elem, strides.p);
}
