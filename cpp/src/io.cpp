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
  size_t tell() override {
    return data->size();
  }
  void seek(int64_t, std::ios_base::seekdir) override {
    throw std::runtime_error("[write] Memory does not seek.");
  }
  void write(const char* bytes, size_t n) override {
    data->append(bytes, n);
  }
  std::string label() const override {
    return "bytes in memory";
  }

  std::unique_ptr<std::string> data = std::make_unique<std::string>();
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

std::unique_ptr<std::string> save_bytes(const Array& a) {
  auto out = std::make_shared<MemoryWriter>();
  if (ops::may_stray(a)) {
    // MLX lays it out on the default device, which takes the same bytes as integers.
    mx::save(out, mx::view(a, mx::int64, mx::Device::cpu));
    const auto at = out->data->find("'<i8'");
    if (at == std::string::npos) {
      throw std::runtime_error("[save] The header names another type.");
    }
    out->data->replace(at, 5, "'<f8'");
  } else {
    mx::save(out, a);
  }
  return std::move(out->data);
}

void save(Bytes file, const Array& a) {
  if (ops::may_stray(a)) {
    const auto bytes = save_bytes(a);
    std::ofstream out(path(file), std::ios::binary);
    out.write(bytes->data(), static_cast<std::streamsize>(bytes->size()));
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

std::unique_ptr<std::string> save_safetensors_bytes(const Named& arrays) {
  auto out = std::make_shared<MemoryWriter>();
  mx::save_safetensors(out, map(arrays), metadata(arrays));
  return std::move(out->data);
}

} // namespace zmlx::io
