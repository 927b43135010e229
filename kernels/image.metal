// Images: (N, H, W, C), a row of pixels with their channels after the other. On a CPU a thread has a row of the result, on a GPU some
// channels of a column in some rows, for which it keeps what they share.
#include "blocks.metal"

// The nearest integer of those from `low` to `high`; NaN is the lowest.
inline float kk_nearest(float v, float low, float high) {
  const float whole = metal::rint(v);
  return whole > low ? (whole < high ? whole : high) : low;
}

// A value as an element of an image.
template <typename T>
inline T kk_pixel(float v, T) {
  return T(v);
}
inline uint8_t kk_pixel(float v, uint8_t) { return uint8_t(kk_nearest(v, 0.0f, 255.0f)); }
inline int8_t kk_pixel(float v, int8_t) { return int8_t(kk_nearest(v, -128.0f, 127.0f)); }
inline uint16_t kk_pixel(float v, uint16_t) { return uint16_t(kk_nearest(v, 0.0f, 65535.0f)); }
inline int16_t kk_pixel(float v, int16_t) { return int16_t(kk_nearest(v, -32768.0f, 32767.0f)); }

// Some values next to each other, of which most are floats.
template <int VEC, typename T>
inline void kk_store_pixels(device T* p, thread const float* v) {
  for (int k = 0; k < VEC; ++k) p[k] = kk_pixel(v[k], T(0));
}
template <int VEC>
inline void kk_store_pixels(device half* p, thread const float* v) {
  kk_store_floats<VEC>(p, v);
}
template <int VEC>
inline void kk_store_pixels(device bfloat* p, thread const float* v) {
  kk_store_floats<VEC>(p, v);
}

// Whether a CPU takes elements by blocks: of these it converts one with many instructions, of others a loop becomes vectors by itself.
template <typename T>
inline bool kk_by_blocks(T) {
  return false;
}
inline bool kk_by_blocks(half) { return true; }

// A line as floats.
template <typename P>
inline void kk_line_floats(P p, size_t n, thread float* v) {
  size_t j = 0;
  for (; j + 16 <= n; j += 16) {
    const auto b = kk_take_floats<16>(p + j);
    for (int k = 0; k < 16; ++k) v[j + k] = b.v[k];
  }
  for (; j < n; ++j) v[j] = float(p[j]);
}
// And back.
template <typename T>
inline void kk_store_line(device T* p, size_t n, thread const float* v) {
  size_t j = 0;
  for (; j + 16 <= n; j += 16) kk_store_pixels<16>(p + j, v + j);
  for (; j < n; ++j) p[j] = kk_pixel(v[j], T(0));
}

// The COUNT channels of a pixel that a thread takes. SURE says that they lie where a block of memory may begin: told once and not at each
// load, so that loads need not wait for each other.
template <int COUNT, bool SURE>
struct kk_channels {
  template <typename P>
  static void load(P p, thread float* v) {
    for (int k = 0; k < COUNT; ++k) v[k] = float(p[k]);
  }
  template <typename T>
  static void store(device T* p, thread const float* v) {
    for (int k = 0; k < COUNT; ++k) p[k] = kk_pixel(v[k], T(0));
  }
};
template <int COUNT>
struct kk_channels<COUNT, true> {
  template <typename T>
  static void load(const device T* p, thread float* v) {
    const kk_block<T, COUNT> b = *reinterpret_cast<const device kk_block<T, COUNT>*>(p);
    for (int k = 0; k < COUNT; ++k) v[k] = float(b.v[k]);
  }
  template <typename T>
  static void store(device T* p, thread const float* v) {
    kk_block<T, COUNT> b;
    for (int k = 0; k < COUNT; ++k) b.v[k] = kk_pixel(v[k], T(0));
    *reinterpret_cast<device kk_block<T, COUNT>*>(p) = b;
  }
};

// Where a place of an axis of `to` elements lies in one of `from`: between two neighbours, at a share of the way. Centres of
// elements lie on each other. In integers, as a float would lose the share in long axes.
template <typename I>
struct kk_between {
  I low;
  I high;
  float share;
};
template <typename I>
inline kk_between<I> kk_resized(I i, I from, I to) {
  const I t = (2 * i + 1) * from + to;
  const I next = t / (2 * to);
  const float share = float(t - next * (2 * to)) / float(2 * to);
  return kk_between<I>{next > 0 ? next - 1 : 0, metal::min(next, from - 1), share};
}

// The way from a to b. At its start b does not count, as it may be no number.
inline float kk_mixed(float a, float b, float share) {
  const float v = (1.0f - share) * a + share * b;
  return share == 0.0f ? a : v;
}

// Between two neighbours above and two below.
inline float kk_bilinear(float above_left, float above_right, float below_left, float below_right, float across, float down) {
  return kk_mixed(kk_mixed(above_left, above_right, across), kk_mixed(below_left, below_right, across), down);
}

// A row of the result.
template <typename I, typename P, typename S, typename T>
inline void kk_resize_row(P x, S shape, device T* out, I height, I width, size_t row) {
  const size_t channels = shape[3];
  const I from_height = shape[1], from_width = shape[2];
  const size_t line = from_width * channels, n = width * channels;
  const kk_between<I> y = kk_resized(I(row % height), from_height, height);
  const P image = x + row / height * from_height * line;
  const P above = image + y.low * line;
  const P below = image + y.high * line;
  device T* to = out + row * n;
  for (I i = 0; i < width; ++i) {
    const kk_between<I> at = kk_resized(i, from_width, width);
    const size_t left = at.low * channels, right = at.high * channels;
    size_t c = 0;
    for (; kk_by_blocks(T(0)) && c + 16 <= channels; c += 16) {
      const auto p = kk_take_floats<16>(above + left + c), q = kk_take_floats<16>(above + right + c);
      const auto r = kk_take_floats<16>(below + left + c), s = kk_take_floats<16>(below + right + c);
      float v[16];
      for (int k = 0; k < 16; ++k) v[k] = kk_bilinear(p.v[k], q.v[k], r.v[k], s.v[k], at.share, y.share);
      kk_store_pixels<16>(to + i * channels + c, v);
    }
    for (; c < channels; ++c)
      to[i * channels + c] = kk_pixel(kk_bilinear(float(above[left + c]), float(above[right + c]), float(below[left + c]),
                                                  float(below[right + c]), at.share, y.share),
                                      T(0));
  }
}

// ROWS rows of the result, of image `image` from `first` on: this thread's pieces of them.
template <typename I, int COUNT, bool SURE, int ROWS, typename P, typename S, typename T>
inline void kk_resize_strip(P x, S shape, device T* out, I height, I width, size_t image, I first, size_t place, size_t step) {
  const size_t channels = shape[3], n = width * channels;
  const I from_height = shape[1], from_width = shape[2];
  const size_t line = from_width * channels;
  const P all = x + image * from_height * line;
  const uint pieces = uint(channels) / COUNT;
  for (size_t e = place; e < n / COUNT; e += step) {
    const I i = I(uint(e) / pieces);
    const size_t c = (e - size_t(i) * pieces) * COUNT;
    const kk_between<I> at = kk_resized(i, from_width, width);
    const size_t left = at.low * channels + c, right = at.high * channels + c;
    for (int r = 0; r < ROWS && first + r < height; ++r) {
      const kk_between<I> y = kk_resized(I(first + r), from_height, height);
      const P above = all + y.low * line;
      const P below = all + y.high * line;
      float v[4][COUNT];
      kk_channels<COUNT, SURE>::load(above + left, v[0]);
      kk_channels<COUNT, SURE>::load(above + right, v[1]);
      kk_channels<COUNT, SURE>::load(below + left, v[2]);
      kk_channels<COUNT, SURE>::load(below + right, v[3]);
      for (int k = 0; k < COUNT; ++k)
        v[0][k] = kk_bilinear(v[0][k], v[1][k], v[2][k], v[3][k], at.share, y.share);
      kk_channels<COUNT, SURE>::store(out + ((image * height + first + r) * n + e * COUNT), v[0]);
    }
  }
}

// The share of the element i of `from` in the element o of `to`.
template <typename I>
inline float kk_resized_share(I i, I o, I from, I to) {
  const kk_between<I> at = kk_resized(o, from, to);
  return (at.low == i ? 1.0f - at.share : 0.0f) + (at.high == i ? at.share : 0.0f);
}

// The first element of `to` in which i has a share, and the one after the last; a few more have none.
template <typename I>
inline I kk_first_resized(I i, I from, I to) {
  const I t = 2 * to * i;
  return t < to + from ? 0 : metal::min((t - to - from) / (2 * from), to);
}
template <typename I>
inline I kk_last_resized(I i, I from, I to) {
  return i + 1 >= from ? to : metal::min((2 * to * (i + 2)) / (2 * from) + 1, to);
}

// The transpose of `kk_resize_row`: a row of the gradient of the image, from the gradient of the result.
template <typename I, bool WHOLE, typename P, typename S, typename T>
inline void kk_resize_back_part(P dy, S shape, device T* out, I height, I width, size_t row, size_t place,
                                size_t step) {
  const size_t channels = shape[3];
  const I to_height = shape[1], to_width = shape[2];
  const size_t line = to_width * channels, n = width * channels;
  const I y = I(row % height);
  const P image = dy + row / height * to_height * line;
  const I top = kk_first_resized(y, height, to_height), bottom = kk_last_resized(y, height, to_height);
  // A thread with a row takes so many channels of a pixel at once.
  constexpr int most = WHOLE ? 64 : 1;
  size_t e = place;
  while (e < n) {
    const I i = I(e / channels);
    const size_t c = e - i * channels;
    const size_t count = metal::min(size_t(most), channels - c);
    const I left = kk_first_resized(i, width, to_width), right = kk_last_resized(i, width, to_width);
    float sums[most];
    for (size_t j = 0; j < count; ++j) sums[j] = 0.0f;
    for (I o = top; o < bottom; ++o) {
      const float down = kk_resized_share(y, o, height, to_height);
      for (I k = left; k < right; ++k) {
        const float share = down * kk_resized_share(i, k, width, to_width);
        // What has no share does not count, even if it is no number.
        if (share == 0.0f) continue;
        const P from = image + (o * line + k * channels + c);
        for (size_t j = 0; j < count; ++j) sums[j] += share * float(from[j]);
      }
    }
    for (size_t j = 0; j < count; ++j) out[row * n + e + j] = kk_pixel(sums[j], T(0));
    e += WHOLE ? count : step;
  }
}
template <typename I, typename P, typename S, typename T>
inline void kk_resize_back_row(P dy, S shape, device T* out, I height, I width, size_t row) {
  kk_resize_back_part<I, true>(dy, shape, out, height, width, row, 0, 1);
}
template <typename I, int ROWS, typename P, typename S, typename T>
inline void kk_resize_back_strip(P dy, S shape, device T* out, I height, I width, size_t image, I first, size_t place, size_t step) {
  for (I y = first; y < first + ROWS && y < height; ++y)
    kk_resize_back_part<I, false>(dy, shape, out, height, width, image * height + y, place, step);
}

// COUNT channels of a pixel: the sum of its 9 neighbours, of which those outside of the image are 0. `w` has the weights of the first
// neighbour for these channels, and those of the next ones lie `channels` apart.
template <int COUNT, typename P, typename W, typename T>
inline void kk_taps(P x, W w, device T* out, size_t line, size_t channels, bool above, bool below, bool left, bool right) {
  float sum[COUNT];
  for (int k = 0; k < COUNT; ++k) sum[k] = 0.0f;
  for (int dy = -1; dy <= 1; ++dy) {
    if ((dy < 0 && !above) || (dy > 0 && !below)) continue;
    for (int dx = -1; dx <= 1; ++dx) {
      if ((dx < 0 && !left) || (dx > 0 && !right)) continue;
      const auto v = kk_take_floats<COUNT>(x + (dy * long(line) + dx * long(channels)));
      const auto weight = kk_take_floats<COUNT>(w + ((dy + 1) * 3 + dx + 1) * channels);
      for (int k = 0; k < COUNT; ++k) sum[k] += v.v[k] * weight.v[k];
    }
  }
  kk_store_pixels<COUNT>(out, sum);
}

// The pixels of a row that have all neighbours, in COUNT channels whose weights stay in registers: of float32, which needs no
// conversions.
template <int COUNT, typename P, typename W, typename T>
inline void kk_depthwise_channels(P x, W w, device T* out, size_t line, size_t channels, size_t width) {
  float taps[9][COUNT];
  for (int t = 0; t < 9; ++t)
    for (int k = 0; k < COUNT; ++k) taps[t][k] = float(w[t * channels + k]);
  const P above = x - line;
  const P below = x + line;
  for (size_t i = 1; i + 1 < width; ++i) {
    const size_t at = (i - 1) * channels;
    float sum[COUNT];
    for (int k = 0; k < COUNT; ++k) sum[k] = 0.0f;
    for (int d = 0; d < 3; ++d)
      for (int k = 0; k < COUNT; ++k) sum[k] += float(above[at + d * channels + k]) * taps[d][k];
    for (int d = 0; d < 3; ++d)
      for (int k = 0; k < COUNT; ++k) sum[k] += float(x[at + d * channels + k]) * taps[3 + d][k];
    for (int d = 0; d < 3; ++d)
      for (int k = 0; k < COUNT; ++k) sum[k] += float(below[at + d * channels + k]) * taps[6 + d][k];
    for (int k = 0; k < COUNT; ++k) out[at + channels + k] = kk_pixel(sum[k], T(0));
  }
}

// The same pixels by pieces of three lines that become floats once, beside as many repeated weights: for elements of less than 32 bits
// and up to MOST channels.
template <int MOST, typename P, typename W, typename T>
inline void kk_depthwise_lines(P x, W w, device T* out, size_t channels, size_t n) {
  float taps[9][MOST];
  const size_t step = MOST / channels * channels;
  for (int t = 0; t < 9; ++t)
    for (size_t j = 0; j < step; j += channels)
      for (size_t c = 0; c < channels; ++c) taps[t][j + c] = float(w[t * channels + c]);
  float a[3 * MOST], b[3 * MOST], d[3 * MOST], sums[MOST];
  for (size_t at = channels; at + channels < n; at += step) {
    const size_t count = metal::min(step, n - channels - at), all = count + 2 * channels;
    const P middle = x + (at - channels);
    const P above = middle - n;
    const P below = middle + n;
    kk_line_floats(above, all, a);
    kk_line_floats(middle, all, b);
    kk_line_floats(below, all, d);
    for (size_t j = 0; j < count; ++j) {
      const size_t k = j + channels, l = k + channels;
      sums[j] = a[j] * taps[0][j] + a[k] * taps[1][j] + a[l] * taps[2][j] + b[j] * taps[3][j] + b[k] * taps[4][j] +
                b[l] * taps[5][j] + d[j] * taps[6][j] + d[k] * taps[7][j] + d[l] * taps[8][j];
    }
    kk_store_line(out + at, count, sums);
  }
}

template <typename P, typename W, typename S, typename T>
inline void kk_depthwise_row(P x, W w, S shape, device T* out, size_t row) {
  const size_t channels = shape[3], width = shape[2], n = width * channels;
  const size_t y = row % shape[1];
  const bool above = y > 0, below = y + 1 < size_t(shape[1]);
  const P from = x + row * n;
  device T* to = out + row * n;
  // Which channels of pixels with all neighbours are done at once; the rest of the row is left to the loop.
  constexpr bool floats = sizeof(T) == 4;
  const bool inside = above && below;
  size_t done = 0;
  if (inside && floats) {
    for (; done + 16 <= channels; done += 16) kk_depthwise_channels<16>(from + done, w + done, to + done, n, channels, width);
  }
  if (inside && !floats && channels <= 512 && width > 2) {
    kk_depthwise_lines<512>(from, w, to, channels, n);
    done = channels;
  }
  for (size_t i = 0; i < width; ++i) {
    const bool left = i > 0, right = i + 1 < width;
    size_t c = inside && left && right ? done : 0;
    for (; c + 16 <= channels; c += 16)
      kk_taps<16>(from + i * channels + c, w + c, to + i * channels + c, n, channels, above, below, left, right);
    for (; c < channels; ++c)
      kk_taps<1>(from + i * channels + c, w + c, to + i * channels + c, n, channels, above, below, left, right);
  }
}

// ROWS rows of the result, of image `image` from `first` on: this thread's pieces of them. Each line of the image is read once, for
// the rows above it, beside it and below it.
template <int COUNT, bool SURE, int ROWS, typename P, typename W, typename S, typename T>
inline void kk_depthwise_strip(P x, W w, S shape, device T* out, size_t image, int first, size_t place, size_t step) {
  const int height = shape[1];
  const size_t channels = shape[3], width = shape[2], n = width * channels;
  const uint pieces = uint(channels) / COUNT;
  for (size_t e = place; e < n / COUNT; e += step) {
    const size_t i = uint(e) / pieces, c = (e - i * pieces) * COUNT;
    float taps[9][COUNT];
    for (int t = 0; t < 9; ++t)
      for (int k = 0; k < COUNT; ++k) taps[t][k] = float(w[t * channels + c + k]);
    // Of the rows above a line, beside it and below it.
    float sums[3][COUNT];
    for (int k = 0; k < COUNT; ++k) sums[1][k] = sums[2][k] = 0.0f;
    _Pragma("unroll 2") for (int r = -1; r <= ROWS; ++r) {
      const int y = first + r;
      for (int k = 0; k < COUNT; ++k) {
        sums[0][k] = sums[1][k];
        sums[1][k] = sums[2][k];
        sums[2][k] = 0.0f;
      }
      if (y >= 0 && y < height) {
        const size_t at = (image * height + y) * n + e * COUNT;
        for (int d = 0; d < 3; ++d) {
          if ((d == 0 && i == 0) || (d == 2 && i + 1 == width)) continue;
          float v[COUNT];
          kk_channels<COUNT, SURE>::load(x + (at + d * channels - channels), v);
          for (int k = 0; k < COUNT; ++k) {
            sums[0][k] += v[k] * taps[6 + d][k];
            sums[1][k] += v[k] * taps[3 + d][k];
            sums[2][k] += v[k] * taps[d][k];
          }
        }
      }
      if (r >= 1 && y - 1 < height) kk_channels<COUNT, SURE>::store(out + ((image * height + y - 1) * n + e * COUNT), sums[0]);
    }
  }
}
