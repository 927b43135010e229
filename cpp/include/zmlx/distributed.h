// Operations of mlx/distributed: groups of processes and what they send each other.
#pragma once

#include "mlx/distributed/distributed.h"
#include "mlx/distributed/distributed_impl.h"
#include "mlx/distributed/ops.h"
#include "zmlx/types.h"

namespace zmlx::distributed {

namespace md = mx::distributed;

using Group = md::Group;

inline bool is_available(rust::Str backend) {
  return md::is_available(text(backend));
}

inline std::shared_ptr<Group> init(bool strict, rust::Str backend) {
  return std::make_shared<Group>(md::init(strict, text(backend)));
}

inline void clear_backends() {
  md::clear_backends();
}

inline int32_t rank(const Group& g) {
  return g.rank();
}

inline int32_t size(const Group& g) {
  return g.size();
}

// Whether its operations run on a GPU. The thread's default streams have to be there.
inline bool on_gpu(const Group& g) {
  return g.raw_group()->communication_stream().device == mx::Device::gpu;
}

inline std::shared_ptr<Group> split(const Group& g, int32_t color, int32_t key) {
  return std::make_shared<Group>(g.split(color, key));
}

inline ArrayPtr all_sum(const Array& x, const Group& g, StreamRef s) {
  return box(md::all_sum(x, g, on(s)));
}

inline ArrayPtr all_max(const Array& x, const Group& g, StreamRef s) {
  return box(md::all_max(x, g, on(s)));
}

inline ArrayPtr all_min(const Array& x, const Group& g, StreamRef s) {
  return box(md::all_min(x, g, on(s)));
}

inline ArrayPtr all_gather(const Array& x, const Group& g, StreamRef s) {
  return box(md::all_gather(x, g, on(s)));
}

inline ArrayPtr sum_scatter(const Array& x, const Group& g, StreamRef s) {
  return box(md::sum_scatter(x, g, on(s)));
}

inline ArrayPtr send(const Array& x, int32_t to, const Group& g, StreamRef s) {
  return box(md::send(x, to, g, on(s)));
}

inline ArrayPtr
recv(Ints dims, Dtype of, int32_t from, const Group& g, StreamRef s) {
  return box(md::recv(shape(dims), dtype(of), from, g, on(s)));
}

} // namespace zmlx::distributed
