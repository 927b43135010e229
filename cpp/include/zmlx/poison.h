// What fills outputs before a launch that gives them no value, so that an unwritten element shows.
#pragma once
#include <cstdint>
#include <optional>

#include "zmlx/kernel.h"

namespace zmlx {

// The byte; none where nothing is filled.
std::optional<uint8_t> poison();

// MLX fills arrays on CUDA with one number for all outputs of a kernel. This one stands for the byte, and differs for
// 0x55 and 0xff in every dtype.
float poison_number(uint8_t byte, const Outputs& outputs);

} // namespace zmlx
