// The sums of the columns of (rows, n) partial sums, which groups of a kernel before it wrote. A threadgroup of 1024 threads
// takes 32 columns, each of its simdgroups every 32nd row.
#include "hold.metal"

template <typename T, typename P>
inline void kk_add_partial(P parts, device T* out, uint rows, uint n, uint group, uint index,
                           threadgroup float* shared) {
  const uint column = group * 32 + index % 32, simd = index / 32;
  float all = 0.0f, rest = 0.0f;
  if (column < n)
    for (uint r = simd; r < rows; r += 32) kk_two_sum(all, rest, parts[size_t(r) * n + column]);
  shared[index] = kk_with_rest(all, rest);
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  if (simd == 0 && column < n) {
    float v[32];
    for (int k = 0; k < 32; ++k) v[k] = shared[k * 32 + index];
    for (int h = 16; h > 0; h /= 2)
      for (int k = 0; k < h; ++k) v[k] += v[k + h];
    out[column] = T(v[0]);
  }
}
