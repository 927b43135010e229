// float64, which only CPUs have, where a GPU is the default device.
//
// MLX computes a step of some derivatives on the process's default device, whatever the stream of the
// operation: softmax's, the second of logsumexp, the forward mode of where and of abs. With a GPU as that device they
// fail in float64. These are composed of operations whose derivatives stay.
#pragma once

#include "zmlx/types.h"

namespace zmlx::ops {

bool may_stray(const Array& a);

// Softmax and logsumexp of any array. Those of float64 are composed everywhere, as MLX's own
// compute in float32. MLX's take no arrays without elements, and over all but the last axis
// compute integers as integers and halves as halves.
Array any_softmax(const Array& a, const std::vector<int>& axes, bool precise, StreamRef s);
Array any_logsumexp(const Array& a, const std::vector<int>& axes, bool keepdims, StreamRef s);
Array staying_abs(const Array& x, mx::StreamOrDevice s);
Array staying_where(const Array& c, const Array& x, const Array& y, mx::StreamOrDevice s);

} // namespace zmlx::ops
