#include "zmlx/poison.h"

#include <atomic>
#include <limits>

namespace zmlx {

namespace {

std::atomic<int32_t> chosen{-1};

} // namespace

int32_t set_poison(int32_t byte) {
  return chosen.exchange(byte);
}

std::optional<uint8_t> poison() {
  auto byte = chosen.load();
  return byte < 0 ? std::nullopt : std::optional(static_cast<uint8_t>(byte));
}

float poison_number(uint8_t byte, const Outputs& outputs) {
  // NaN, as an integer, is any number.
  bool floats = true, bools = false;
  for (size_t i = 0; i < outputs.size(); ++i) {
    floats = floats && mx::issubdtype(outputs.dtype(i), mx::inexact);
    bools = bools || outputs.dtype(i) == mx::bool_;
  }
  if (byte == 0x55) {
    // The float16 of these bits.
    return bools ? 0.0f : 85.3125f;
  }
  return floats ? std::numeric_limits<float>::quiet_NaN() : 119.0f;
}

} // namespace zmlx
