// Devices, streams and the memory counters.
#pragma once

#include "mlx/memory.h"
#include "mlx/version.h"
#include "mlx/stream.h"
#include "zmlx/gpus.h"
#include "zmlx/types.h"

namespace zmlx {

struct Fact;

inline rust::String mlx_version() {
  return rust::String(mx::version());
}

inline StreamRef ref(const mx::Stream& s) {
  return StreamRef{s.index, s.device.index, s.device == mx::Device::gpu};
}

inline StreamRef default_device() {
  auto& d = mx::default_device();
  return StreamRef{-1, d.index, d == mx::Device::gpu};
}

inline void set_default_device(StreamRef d) {
  mx::set_default_device(device(d));
}

inline bool device_available(StreamRef d) {
  return mx::is_available(device(d));
}

inline size_t device_count(bool gpu) {
  return static_cast<size_t>(
      mx::device_count(gpu ? mx::Device::gpu : mx::Device::cpu));
}

rust::Vec<Fact> device_info(StreamRef d);

inline StreamRef new_stream(StreamRef d) {
  return ref(mx::new_stream(device(d)));
}

inline StreamRef resolve(StreamRef s) {
  return ref(mx::to_stream(on(s)));
}

inline void synchronize(StreamRef s) {
  mx::synchronize(mx::to_stream(on(s)));
}

inline void clear_streams() {
  mx::clear_streams();
}

// Lets MLX's CPU allocator keep an eighth of its memory limit for reuse instead
// of 32 MiB. A buffer that is not reused costs a page fault for each 4 KiB,
// several times what writing it costs. With a GPU MLX keeps what it needs to.
void keep_buffers();

inline size_t active_memory() {
  return mx::get_active_memory();
}
inline size_t peak_memory() {
  return mx::get_peak_memory();
}
inline void reset_peak_memory() {
  mx::reset_peak_memory();
}
inline size_t cache_memory() {
  return mx::get_cache_memory();
}
inline void clear_cache() {
  mx::clear_cache();
  make_default_gpu_current();
}
inline size_t memory_limit() {
  return mx::get_memory_limit();
}
inline size_t set_memory_limit(size_t bytes) {
  return mx::set_memory_limit(bytes);
}
inline size_t set_cache_limit(size_t bytes) {
  return mx::set_cache_limit(bytes);
}
inline size_t set_wired_limit(size_t bytes) {
  return mx::set_wired_limit(bytes);
}

} // namespace zmlx
