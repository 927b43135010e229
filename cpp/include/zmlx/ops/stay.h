// float64, which only CPUs have, where a GPU is the default device.
//
// MLX computes a step of some derivatives on the process's default device, whatever the stream of the
// operation: softmax's, the second of logsumexp, the forward mode of where. With a GPU as that device they
// fail in float64. These are composed of operations whose derivatives stay.
#pragma once

#include "zmlx/types.h"

namespace zmlx::ops {

bool may_stray(const Array& a);

Array staying_softmax(const Array& a, const std::vector<int>& axes, mx::StreamOrDevice s);
Array staying_logsumexp(
    const Array& a, const std::vector<int>& axes, bool keepdims, mx::StreamOrDevice s);
Array staying_where(const Array& c, const Array& x, const Array& y, mx::StreamOrDevice s);

} // namespace zmlx::ops
