// mlx/fast.h without its custom kernels.
#pragma once

#include "mlx/fast.h"
#include "zmlx/types.h"

namespace zmlx::fast {

namespace mf = mx::fast;

inline ArrayPtr
rms_norm(const Array& x, ArrayRef weight, float eps, StreamRef s) {
  return box(mf::rms_norm(x, maybe(weight), eps, on(s)));
}

inline ArrayPtr layer_norm(
    const Array& x,
    ArrayRef weight,
    ArrayRef bias,
    float eps,
    StreamRef s) {
  return box(mf::layer_norm(x, maybe(weight), maybe(bias), eps, on(s)));
}

// MLX reads whatever a class index out of range points at; its CUDA kernel takes
// negative ones for such, too. So indices are clamped and counted from the first class.
inline ArrayPtr
cross_entropy(const Array& logits, const Array& targets, StreamRef s) {
  auto where = on(s);
  auto index = targets;
  if (logits.ndim() > 0 && mx::issubdtype(targets.dtype(), mx::integer)) {
    // A dtype that cannot hold the number of classes cannot exceed it either.
    auto classes = static_cast<int64_t>(logits.shape(-1));
    if (targets.dtype() == mx::uint64) {
      // As signed, large ones would be negative.
      index = mx::minimum(targets, Array(static_cast<uint64_t>(classes), mx::uint64), where);
    }
    index = mx::astype(index, mx::int64, where);
    index = mx::minimum(index, Array(classes - 1, mx::int64), where);
    index = mx::maximum(index, Array(-classes, mx::int64), where);
    auto negative = mx::less(index, Array(int64_t{0}, mx::int64), where);
    auto from_last = mx::add(index, Array(classes, mx::int64), where);
    index = mx::where(negative, from_last, index, where);
    index = mx::astype(index, mx::int32, where);
  }
  return box(mf::cross_entropy(logits, index, where));
}

// The frequencies replace the base when they are there.
inline ArrayPtr rope(
    const Array& x,
    int32_t dims,
    bool traditional,
    float base,
    float scale,
    const Array& offset,
    ArrayRef freqs,
    StreamRef s) {
  auto b = freqs.ptr ? std::nullopt : std::optional<float>(base);
  return box(mf::rope(
      x, dims, traditional, b, scale, offset, maybe(freqs), on(s)));
}

// MLX's attention gains arguments within 0.32. Numbers, bools and streams convert into each other, so a call
// by place may compile and mean something else. Here a form is chosen by its whole type; `More` are the
// arguments that not every version has.
template <typename... More>
using AttentionForm = Array (*)(
    const Array&,
    const Array&,
    const Array&,
    const float,
    const std::string&,
    std::optional<Array>,
    const std::optional<Array>&,
    More...,
    mx::StreamOrDevice);

template <typename Form>
concept MlxAttention = requires { static_cast<Form>(&mf::scaled_dot_product_attention); };

template <typename... Same>
Array attention(bool force_fused, mx::StreamOrDevice s, const Same&... same) {
  // A dependent type, so that only the form that is there is compiled.
  using Fused = AttentionForm<std::enable_if_t<(sizeof...(Same) > 0), bool>>;
  using Plain = std::enable_if_t<(sizeof...(Same) > 0), AttentionForm<>>;
  if constexpr (MlxAttention<Fused>) {
    return static_cast<Fused>(&mf::scaled_dot_product_attention)(same..., force_fused, s);
  } else if constexpr (MlxAttention<Plain>) {
    if (force_fused) {
      throw std::invalid_argument(
          "[scaled_dot_product_attention] the MLX of this build has no `force_fused`.");
    }
    return static_cast<Plain>(&mf::scaled_dot_product_attention)(same..., s);
  } else {
    throw std::invalid_argument(
        "[scaled_dot_product_attention] the MLX of this build has arguments that zmlx does not know.");
  }
}

inline ArrayPtr scaled_dot_product_attention(
    const Array& queries,
    const Array& keys,
    const Array& values,
    float scale,
    bool causal,
    ArrayRef mask,
    ArrayRef sinks,
    bool force_fused,
    StreamRef s) {
  return box(attention(
      force_fused,
      on(s),
      queries,
      keys,
      values,
      scale,
      std::string(causal ? "causal" : ""),
      maybe(mask),
      maybe(sinks)));
}

inline ArrayVecPtr gated_delta_update(
    const Array& queries,
    const Array& keys,
    const Array& values,
    const Array& gates,
    const Array& beta,
    ArrayRef state,
    ArrayRef mask,
    StreamRef s) {
  return box(mf::gated_delta_update(
      queries, keys, values, gates, beta, maybe(state), maybe(mask), on(s)));
}

} // namespace zmlx::fast
