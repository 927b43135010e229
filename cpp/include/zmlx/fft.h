// Operations of mlx/fft.h. The transforms of one and two dimensions are those of n with given axes.
#pragma once

#include "mlx/fft.h"
#include "zmlx/types.h"

namespace zmlx::fft {

namespace mf = mx::fft;

// 0: backward, 1: ortho, 2: forward.
inline mf::FFTNorm norm(uint8_t n) {
  switch (n) {
    case 0:
      return mf::FFTNorm::Backward;
    case 1:
      return mf::FFTNorm::Ortho;
    case 2:
      return mf::FFTNorm::Forward;
  }
  throw std::invalid_argument("unknown norm");
}

inline ArrayPtr
fftn(const Array& a, Ints n, Ints axes, uint8_t how, StreamRef s) {
  return box(mf::fftn(a, shape(n), ints(axes), norm(how), on(s)));
}

inline ArrayPtr
ifftn(const Array& a, Ints n, Ints axes, uint8_t how, StreamRef s) {
  return box(mf::ifftn(a, shape(n), ints(axes), norm(how), on(s)));
}

inline ArrayPtr
rfftn(const Array& a, Ints n, Ints axes, uint8_t how, StreamRef s) {
  return box(mf::rfftn(a, shape(n), ints(axes), norm(how), on(s)));
}

inline ArrayPtr
irfftn(const Array& a, Ints n, Ints axes, uint8_t how, StreamRef s) {
  return box(mf::irfftn(a, shape(n), ints(axes), norm(how), on(s)));
}

inline ArrayPtr fftshift(const Array& a, Ints axes, StreamRef s) {
  return box(mf::fftshift(a, ints(axes), on(s)));
}

inline ArrayPtr ifftshift(const Array& a, Ints axes, StreamRef s) {
  return box(mf::ifftshift(a, ints(axes), on(s)));
}

inline ArrayPtr fftfreq(int32_t n, double d, StreamRef s) {
  return box(mf::fftfreq(n, d, on(s)));
}

inline ArrayPtr rfftfreq(int32_t n, double d, StreamRef s) {
  return box(mf::rfftfreq(n, d, on(s)));
}

inline ArrayPtr stft(
    const Array& x,
    int32_t n_fft,
    int32_t hop,
    int32_t win,
    ArrayRef window,
    bool center,
    rust::Str pad,
    uint8_t how,
    bool onesided,
    StreamRef s) {
  return box(mf::stft(
      x, n_fft, hop, win, maybe(window), center, text(pad), norm(how), onesided, on(s)));
}

// A negative length: what the frames give.
inline ArrayPtr istft(
    const Array& x,
    int32_t n_fft,
    int32_t hop,
    int32_t win,
    ArrayRef window,
    bool center,
    uint8_t how,
    bool onesided,
    int32_t length,
    StreamRef s) {
  auto wanted = length < 0 ? std::nullopt : std::optional<int>(length);
  return box(mf::istft(
      x, n_fft, hop, win, maybe(window), center, norm(how), onesided, wanted, on(s)));
}

} // namespace zmlx::fft
