// mlx/io.h. Files are checked on the Rust side before MLX reads them.
#pragma once

#include "mlx/io.h"
#include "zmlx/types.h"

namespace zmlx::io {

struct Named;
struct Entry;
struct GgufFile;
struct GgufEntry;
using Bytes = rust::Slice<const uint8_t>;

inline std::string path(Bytes p) {
  return std::string(reinterpret_cast<const char*>(p.data()), p.size());
}

inline ArrayPtr load(Bytes file, StreamRef s) {
  return box(mx::load(path(file), on(s)));
}
void save(Bytes file, const Array& a);
ArrayPtr load_bytes(Bytes data, StreamRef s);
std::unique_ptr<std::string> save_bytes(const Array& a);

Named load_safetensors(Bytes file, StreamRef s);
Named load_safetensors_bytes(Bytes data, StreamRef s);
void save_safetensors(Bytes file, const Named& arrays);
std::unique_ptr<std::string> save_safetensors_bytes(const Named& arrays);

GgufFile load_gguf(Bytes file, StreamRef s);
void save_gguf(Bytes file, const GgufFile& content);

} // namespace zmlx::io
