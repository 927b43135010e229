// Row-wise kernels for any threadgroup: one threadgroup of TG threads works on one row of n
// elements. On a GPU TG is some hundreds and VEC 4; on a CPU TG is 1, so that no barrier is
// left and one thread walks the whole row, and VEC is 64: independent accumulators are what lets a
// compiler that may not reorder sums use vector registers. VEC is a power of two: the accumulators
// are folded in halves.
//
// Threads take blocks of VEC consecutive elements in turn, so that neighbours read neighbouring
// memory. What is left over at the row's end goes to the first threads, one element each.

struct Position {
  uint index;  // in the threadgroup
  uint lane;    // in the simdgroup
  uint simd;    // simdgroup in the threadgroup
};

template <int TG>
float group_sum(float v, threadgroup float* shared, Position at) {
  v = metal::simd_sum(v);
  if (TG > 32) {
    if (at.lane == 0) shared[at.simd] = v;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    v = metal::simd_sum(at.lane < uint(TG + 31) / 32 ? shared[at.lane] : 0.0f);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  }
  return v;
}

template <int TG>
float group_max(float v, threadgroup float* shared, Position at) {
  v = metal::simd_max(v);
  if (TG > 32) {
    if (at.lane == 0) shared[at.simd] = v;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    v = metal::simd_max(at.lane < uint(TG + 31) / 32 ? shared[at.lane] : -INFINITY);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  }
  return v;
}

template <typename T, int TG, int VEC>
float row_max(const device T* x, uint n, threadgroup float* shared, Position at) {
  float most[VEC];
  for (int j = 0; j < VEC; ++j) most[j] = -INFINITY;
  const uint blocks = n / VEC;
  for (uint b = at.index; b < blocks; b += TG) {
    const device T* p = x + b * VEC;
    for (int j = 0; j < VEC; ++j) most[j] = metal::max(most[j], float(p[j]));
  }
  float v = -INFINITY;
  for (uint i = blocks * VEC + at.index; i < n; i += TG) v = metal::max(v, float(x[i]));
  for (int half = VEC / 2; half > 0; half /= 2)
    for (int j = 0; j < half; ++j) most[j] = metal::max(most[j], most[j + half]);
  v = metal::max(v, most[0]);
  return group_max<TG>(v, shared, at);
}

// The sum of f(x) over a row.
template <typename T, int TG, int VEC, typename F>
float row_sum(const device T* x, uint n, threadgroup float* shared, Position at, F f) {
  float sum[VEC];
  for (int j = 0; j < VEC; ++j) sum[j] = 0.0f;
  const uint blocks = n / VEC;
  for (uint b = at.index; b < blocks; b += TG) {
    const device T* p = x + b * VEC;
    for (int j = 0; j < VEC; ++j) sum[j] += f(float(p[j]));
  }
  float v = 0.0f;
  for (uint i = blocks * VEC + at.index; i < n; i += TG) v += f(float(x[i]));
  for (int half = VEC / 2; half > 0; half /= 2)
    for (int j = 0; j < half; ++j) sum[j] += sum[j + half];
  v += sum[0];
  return group_sum<TG>(v, shared, at);
}

struct Same {
  float operator()(float v) const { return v; }
};
struct Square {
  float operator()(float v) const { return v * v; }
};

// Rows of float keep the exponentials in `out` until their sum is known. Shorter types
// would round them twice, so those compute them again. Arguments are at most 0 and denormal results do
// not count beside the sum, so the fast exponential is exact enough, as in MLX's own kernel.
template <typename T, int TG, int VEC>
void softmax_row(const device T* x, device T* out, uint n, threadgroup float* shared, Position at) {
  const bool keep = sizeof(T) == 4;
  const float most = row_max<T, TG, VEC>(x, n, shared, at);
  float sum[VEC];
  for (int j = 0; j < VEC; ++j) sum[j] = 0.0f;
  const uint blocks = n / VEC;
  for (uint b = at.index; b < blocks; b += TG) {
    const device T* p = x + b * VEC;
    device T* q = out + b * VEC;
    for (int j = 0; j < VEC; ++j) {
      const float e = metal::fast::exp(float(p[j]) - most);
      sum[j] += e;
      if (keep) q[j] = T(e);
    }
  }
  float v = 0.0f;
  for (uint i = blocks * VEC + at.index; i < n; i += TG) {
    const float e = metal::fast::exp(float(x[i]) - most);
    v += e;
    if (keep) out[i] = T(e);
  }
  for (int half = VEC / 2; half > 0; half /= 2)
    for (int j = 0; j < half; ++j) sum[j] += sum[j + half];
  v += sum[0];
  const float scale = 1.0f / group_sum<TG>(v, shared, at);
  for (uint b = at.index; b < blocks; b += TG) {
    const device T* p = x + b * VEC;
    device T* q = out + b * VEC;
    for (int j = 0; j < VEC; ++j) {
      const float e = keep ? float(q[j]) : metal::fast::exp(float(p[j]) - most);
      q[j] = T(e * scale);
    }
  }
  for (uint i = blocks * VEC + at.index; i < n; i += TG) {
    const float e = keep ? float(out[i]) : metal::fast::exp(float(x[i]) - most);
    out[i] = T(e * scale);
  }
}

template <typename T, int TG, int VEC>
void rmsnorm_row(const device T* x, const device T* w, device T* out, uint n, float eps,
                 threadgroup float* shared, Position at) {
  const float squares = row_sum<T, TG, VEC>(x, n, shared, at, Square());
  const float scale = metal::rsqrt(squares / float(n) + eps);
  const uint blocks = n / VEC;
  for (uint b = at.index; b < blocks; b += TG) {
    const device T* p = x + b * VEC;
    const device T* g = w + b * VEC;
    device T* q = out + b * VEC;
    for (int j = 0; j < VEC; ++j) q[j] = T(float(p[j]) * scale * float(g[j]));
  }
  for (uint i = blocks * VEC + at.index; i < n; i += TG) out[i] = T(float(x[i]) * scale * float(w[i]));
}
