// mlx/io.h. Headers are read and checked on the Rust side; MLX's part is to read values
// when they are wanted, and to write.
#pragma once

#include "mlx/io.h"
#include "zmlx/types.h"

namespace zmlx::io {

struct Named;
struct Entry;
struct Sink;
using Bytes = rust::Slice<const uint8_t>;

inline std::string path(Bytes p) {
  return std::string(reinterpret_cast<const char*>(p.data()), p.size());
}

// An open file, or bytes in memory. Several threads may read at once.
class Source {
 public:
  virtual ~Source() = default;
  // All `n` bytes from `at` on, or an exception.
  virtual void read(char* out, size_t n, uint64_t at) const = 0;
  virtual const std::string& name() const = 0;
};
using SourcePtr = std::shared_ptr<Source>;

// Takes the descriptor, and closes it with the last array that reads from it.
SourcePtr file_source(int32_t fd, Bytes name);
// Copies the bytes.
SourcePtr memory_source(Bytes data);

// An array whose values lie at `at` of the source and are read when they are
// wanted. `header` describes it as the header of a npy file does, for MLX's reader;
// with `truth` it describes bytes that become bools.
ArrayPtr lazy(SourcePtr source, uint64_t at, Bytes header, bool truth, StreamRef s);
// The same, read at once; not for bools.
ArrayPtr read_now(const Source& source, uint64_t at, Ints dims, Dtype type);

inline void read_bytes(const Source& source, uint64_t at, rust::Slice<uint8_t> out) {
  source.read(reinterpret_cast<char*>(out.data()), out.size(), at);
}

void save(Bytes file, const Array& a);
void save_bytes(const Array& a, Sink& out);

void save_safetensors(Bytes file, const Named& arrays);
void save_safetensors_bytes(const Named& arrays, Sink& out);

} // namespace zmlx::io
