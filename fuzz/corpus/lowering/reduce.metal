#define RED(buf, v) do { float r = simd_sum(v); \
  if (r > 0) (buf)[0] = r; threadgroup_barrier(mem_flags::mem_threadgroup); } while (0)
kernel void k(const device half4* x [[buffer(0)]], device float* o [[buffer(1)]], uint t [[thread_index_in_threadgroup]]) {
  threadgroup float s[8 / 2][4], *p = s[0]; constexpr constant float tab[] = {1.h, 0x1p-3, .5bf, 1e-5};
  for (uint i = 32; i > 0; i >>= 1) { if (t < i) s[0][t % 4] += x[t].wzyx.x / tab[1]; }
  do RED(p, 1.0); while (t++ < 3); o[t] = t ? x[0].xy.y : 1.0;
}
