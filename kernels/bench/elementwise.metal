// Functions of one element, computed in float, and a hash to drop elements by.

inline float twice(float v) { return v * 2.0f; }
inline float silu_of(float v, float u) { return v / (1.0f + metal::exp(-u)); }
inline float silu(float v) { return silu_of(v, v); }
// 0.5 (1 + tanh u) is the logistic function of 2u, which is one exponential and one division.
inline float gelu(float v) {
  return silu_of(v, 1.5957691216f * (v + 0.044715f * v * v * v));
}
inline float exponential(float v) { return metal::exp(v); }

// PCG: a step of a linear congruence, then a permutation of its bits.
inline uint hash(uint i, uint seed) {
  const uint state = (i + seed) * 747796405u + 2891336453u;
  const uint word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}

// Keeps nine elements of ten.
inline float dropout(float v, uint i, uint seed) {
  return hash(i, seed) < 3865470566u ? v * (1.0f / 0.9f) : 0.0f;
}
