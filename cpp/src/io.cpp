#include "zmlx/io.h"

#include <fstream>

#include "zmlx/ops/stay.h"
#include "zmlx/src/bridge/io.rs.h"

namespace zmlx::io {

namespace {

class MemoryWriter : public mx::io::Writer {
 public:
  bool is_open() const override {
    return true;
  }
  bool good() const override {
    return true;
  }
  void seek(int64_t, std::ios_base::seekdir) override {
    throw std::runtime_error("[write] Memory does not seek.");
  }
  std::string label() const override {
    return "bytes in memory";
  }
};

class TextWriter : public MemoryWriter {
 public:
  size_t tell() override {
    return data.size();
  }
  void write(const char* bytes, size_t n) override {
    data.append(bytes, n);
  }

  std::string data;
};

// It belongs to one call, and so does the sink.
class SinkWriter : public MemoryWriter {
 public:
  explicit SinkWriter(Sink& out) : out_(out) {}

  size_t tell() override {
    return out_.written();
  }
  void write(const char* bytes, size_t n) override {
    if (!out_.append(Bytes(reinterpret_cast<const uint8_t*>(bytes), n))) {
      throw std::bad_alloc();
    }
  }

 private:
  Sink& out_;
};

using Map = std::unordered_map<std::string, Array>;

template <typename T>
Map map(const T& named) {
  Map out;
  size_t i = 0;
  for (const auto& name : named.names) {
    out.insert_or_assign(std::string(name), (*named.arrays)[i++]);
  }
  return out;
}

std::unordered_map<std::string, std::string> metadata(const Named& n) {
  std::unordered_map<std::string, std::string> out;
  for (const auto& e : n.metadata) {
    out.insert_or_assign(std::string(e.key), std::string(e.value));
  }
  return out;
}

} // namespace

// MLX lays float64 out on the default device, which takes the same bytes as integers.
static std::string save_as_integers(const Array& a) {
  auto out = std::make_shared<TextWriter>();
  mx::save(out, mx::view(a, mx::int64, mx::Device::cpu));
  const auto at = out->data.find("'<i8'");
  if (at == std::string::npos) {
    throw std::runtime_error("[save] The header names another type.");
  }
  out->data.replace(at, 5, "'<f8'");
  return std::move(out->data);
}

void save_bytes(const Array& a, Sink& out) {
  if (ops::may_stray(a)) {
    const auto bytes = save_as_integers(a);
    SinkWriter(out).write(bytes.data(), bytes.size());
  } else {
    mx::save(std::make_shared<SinkWriter>(out), a);
  }
}

void save(Bytes file, const Array& a) {
  if (ops::may_stray(a)) {
    const auto bytes = save_as_integers(a);
    std::ofstream out(path(file), std::ios::binary);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!out.flush()) {
      throw std::runtime_error("[save] Failed to write " + path(file));
    }
  } else {
    mx::save(path(file), a);
  }
}

void save_safetensors(Bytes file, const Named& arrays) {
  mx::save_safetensors(path(file), map(arrays), metadata(arrays));
}

void save_safetensors_bytes(const Named& arrays, Sink& out) {
  mx::save_safetensors(std::make_shared<SinkWriter>(out), map(arrays), metadata(arrays));
}

} // namespace zmlx::io
