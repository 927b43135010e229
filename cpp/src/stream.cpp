#include "zmlx/stream.h"

#include "mlx/backend/cuda/cuda.h"
#include "mlx/backend/metal/metal.h"

#include "zmlx/memory.h"

#include "zmlx/src/bridge/stream.rs.h"

namespace zmlx {

rust::Vec<Fact> device_info(StreamRef d) {
  rust::Vec<Fact> facts;
  for (const auto& [key, value] : mx::device_info(device(d))) {
    const auto* words = std::get_if<std::string>(&value);
    facts.push_back(Fact{
        rust::String(key),
        rust::String(words ? *words : std::to_string(std::get<size_t>(value)))});
  }
  return facts;
}

void keep_buffers() {
  guard_memory();
  if (!mx::metal::is_available() && !mx::cu::is_available()) {
    mx::set_cache_limit(mx::get_memory_limit() / 8);
  }
}

} // namespace zmlx
