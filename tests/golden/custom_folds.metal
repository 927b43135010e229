// in order: (v_in) -> (y_out)
typedef float T;
const uint row = thread_position_in_grid.x;
const uint zk_n = v_in_shape[v_in_ndim - 1];
const auto v_row = v_in + size_t(row) * zk_n;
float s = 0.0f;
for (uint j = 0; j < zk_n; ++j) {
  const T v = T(v_row[j]);
  const float acc = s;
  s = float(acc * 0.5f + v);
}
{
  y_out[row] = static_cast<O0>(s);
}

// in parallel: (v_in) -> (y_out)
typedef float T;
threadgroup float zk_s0[32];
const uint zk_tid = thread_position_in_threadgroup.x;
const uint zk_lane = thread_index_in_simdgroup;
const uint zk_simd = simdgroup_index_in_threadgroup;
const uint row = threadgroup_position_in_grid.x;
const uint zk_n = v_in_shape[v_in_ndim - 1];
const auto v_row = v_in + size_t(row) * zk_n;
const uint zk_blocks = zk_n / VEC;
float s = 1.0f;
{
  float zk_a0[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a0[zk_l] = s;
  for (uint zk_b = zk_tid; zk_b < zk_blocks; zk_b += TG) {
    const auto v_at = v_row + zk_b * VEC;
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      const T v = T(v_at[zk_l]);
      {
        const float acc = zk_a0[zk_l];
        zk_a0[zk_l] = float(acc * v);
      }
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T v = T(v_row[j]);
    {
      const float acc = s;
      s = float(acc * v);
    }
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      { const float a = zk_a0[zk_l], b = zk_a0[zk_l + zk_h]; zk_a0[zk_l] = float(a * b); }
    }
  }
  { const float a = s, b = zk_a0[0]; s = float(a * b); }
}
for (int zk_h = (TG < 32 ? TG : 32) / 2; zk_h > 0; zk_h /= 2) {
  const float zk_other = metal::simd_shuffle_xor(s, ushort(zk_h));
  { const float a = s, b = zk_other; s = float(a * b); }
}
if (TG > 32) {
  if (zk_lane == 0) zk_s0[zk_simd] = s;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s = zk_s0[0];
  for (int zk_l = 1; zk_l < TG / 32; ++zk_l) {
    { const float a = s, b = zk_s0[zk_l]; s = float(a * b); }
  }
}
if (zk_tid == 0) {
  y_out[row] = static_cast<O0>(s);
}

