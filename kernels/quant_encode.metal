// Blocks of 32 numbers in ggml's layouts, with the values of its reference. One thread makes a block.

template <typename P>
inline void kk_put_half(P out, float x) {
  const ushort bits = as_type<ushort>(half(x));
  out[0] = uchar(bits & 255u);
  out[1] = uchar(bits >> 8);
}
// 32 codes of four bits, the first half in the lower ones.
template <typename X, typename P>
inline void kk_put_nibbles(X x, P out, float factor, float offset, float low) {
  for (int j = 0; j < 16; ++j) {
    const int a = metal::min(15, int((float(x[j]) - low) * factor + offset));
    const int b = metal::min(15, int((float(x[j + 16]) - low) * factor + offset));
    out[j] = uchar(a | b << 4);
  }
}

// Signed bytes: the largest size becomes 127.
template <typename X, typename P>
inline void kk_to_q8_0(X x, P out) {
  float most = 0.0f;
  for (int j = 0; j < 32; ++j) most = metal::max(most, metal::abs(float(x[j])));
  const float scale = most / 127.0f, factor = scale != 0.0f ? 1.0f / scale : 0.0f;
  kk_put_half(out, scale);
  for (int j = 0; j < 32; ++j) {
    // Halves away from zero; adding a half first would round what is just below it up.
    out[2 + j] = uchar(int(metal::round(float(x[j]) * factor)) & 255);
  }
}
// From -8 to 7: the largest size becomes -8.
template <typename X, typename P>
inline void kk_to_q4_0(X x, P out) {
  float most = 0.0f, size = 0.0f;
  for (int j = 0; j < 32; ++j) {
    const float v = float(x[j]);
    if (metal::abs(v) > size) {
      size = metal::abs(v);
      most = v;
    }
  }
  const float scale = most / -8.0f, factor = scale != 0.0f ? 1.0f / scale : 0.0f;
  kk_put_half(out, scale);
  kk_put_nibbles(x, out + 2, factor, 8.5f, 0.0f);
}
// From the smallest number to the largest one in 15 steps.
template <typename X, typename P>
inline void kk_to_q4_1(X x, P out) {
  float low = float(x[0]), high = low;
  for (int j = 1; j < 32; ++j) {
    low = metal::min(low, float(x[j]));
    high = metal::max(high, float(x[j]));
  }
  const float scale = (high - low) / 15.0f, factor = scale != 0.0f ? 1.0f / scale : 0.0f;
  kk_put_half(out, scale);
  kk_put_half(out + 2, low);
  kk_put_nibbles(x, out + 4, factor, 0.5f, low);
}
