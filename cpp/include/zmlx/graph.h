// mlx/graph_utils.h, and what mlx/utils.h, mlx/compile.h, mlx/memory.h and mlx/backend/metal/metal.h offer beside operations.
#pragma once

#include <sstream>

#include "mlx/backend/metal/metal.h"
#include "mlx/compile.h"
#include "mlx/graph_utils.h"
#include "mlx/memory.h"
#include "zmlx/types.h"

namespace zmlx::graph {

inline mx::NodeNamer namer(Arrays named, const rust::Vec<rust::String>& names) {
  mx::NodeNamer namer;
  for (size_t i = 0; i < named.size(); ++i) {
    namer.set_name(*named[i].ptr, std::string(names[i]));
  }
  return namer;
}

inline rust::String
print_graph(Arrays outputs, Arrays named, const rust::Vec<rust::String>& names) {
  std::ostringstream text;
  mx::print_graph(text, namer(named, names), list(outputs));
  return rust::String::lossy(text.str());
}

inline rust::String
export_to_dot(Arrays outputs, Arrays named, const rust::Vec<rust::String>& names) {
  std::ostringstream text;
  mx::export_to_dot(text, namer(named, names), list(outputs));
  return rust::String::lossy(text.str());
}

// 0: disabled, 1: no_simplify, 2: no_fuse, 3: enabled.
inline void set_compile_mode(uint8_t mode) {
  switch (mode) {
    case 0:
      return mx::set_compile_mode(mx::CompileMode::disabled);
    case 1:
      return mx::set_compile_mode(mx::CompileMode::no_simplify);
    case 2:
      return mx::set_compile_mode(mx::CompileMode::no_fuse);
    case 3:
      return mx::set_compile_mode(mx::CompileMode::enabled);
  }
  throw std::invalid_argument("unknown mode");
}

inline Dtype promote_types(Dtype a, Dtype b) {
  return mx::promote_types(dtype(a), dtype(b)).val();
}

inline size_t array_buffer_size(Arrays arrays) {
  return mx::get_array_buffer_size(list(arrays));
}

inline void start_capture(rust::Str path) {
  mx::metal::start_capture(text(path));
}

inline void stop_capture() {
  mx::metal::stop_capture();
}

inline void set_metallib_path(rust::Str path) {
  mx::metal::set_metallib_path(text(path));
}

inline rust::String metallib_path() {
  return rust::String::lossy(mx::metal::get_metallib_path());
}

} // namespace zmlx::graph
