#include "zmlx/io.h"

#include <cstring>
#include <fstream>

#include "zmlx/ops/stay.h"
#include "zmlx/src/bridge/io.rs.h"

namespace zmlx::io {

namespace {

// Bytes in memory as a file. MLX reads tensors later, on its own threads.
class MemoryReader : public mx::io::Reader {
 public:
  explicit MemoryReader(Bytes data) : data_(data.begin(), data.end()) {}

  bool is_open() const override {
    return true;
  }
  bool good() const override {
    return true;
  }
  size_t tell() override {
    return at_;
  }
  void seek(int64_t off, std::ios_base::seekdir way) override {
    int64_t base = way == std::ios_base::beg ? 0
        : way == std::ios_base::end          ? static_cast<int64_t>(data_.size())
                                             : static_cast<int64_t>(at_);
    if (base + off < 0) {
      throw std::runtime_error("[read] Seek before the start.");
    }
    at_ = static_cast<size_t>(base + off);
  }
  void read(char* out, size_t n) override {
    read(out, n, at_);
    at_ += n;
  }
  void read(char* out, size_t n, size_t offset) override {
    if (offset > data_.size() || n > data_.size() - offset) {
      throw std::runtime_error("[read] Unable to read past the end.");
    }
    std::memcpy(out, data_.data() + offset, n);
  }
  std::string label() const override {
    return "bytes in memory";
  }

 private:
  std::vector<uint8_t> data_;
  size_t at_{0};
};

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

template <typename T>
void unmap(const Map& from, T& into) {
  into.arrays = std::make_unique<ArrayVec>();
  for (const auto& [name, array] : from) {
    into.names.push_back(rust::String(name));
    into.arrays->push_back(array);
  }
}

Named named(const mx::SafetensorsLoad& load) {
  Named out;
  unmap(load.first, out);
  for (const auto& [key, value] : load.second) {
    out.metadata.push_back(Entry{rust::String(key), rust::String(value)});
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

GgufEntry entry(const std::string& key, const mx::GGUFMetaData& value) {
  GgufEntry e;
  e.key = rust::String(key);
  e.kind = 0;
  if (const auto* a = std::get_if<Array>(&value)) {
    e.kind = 1;
    e.array = box(*a);
  } else if (const auto* t = std::get_if<std::string>(&value)) {
    e.kind = 2;
    e.texts.push_back(rust::String(*t));
  } else if (const auto* v = std::get_if<std::vector<std::string>>(&value)) {
    e.kind = 3;
    for (const auto& t : *v) {
      e.texts.push_back(rust::String(t));
    }
  }
  return e;
}

mx::GGUFMetaData value(const GgufEntry& e) {
  switch (e.kind) {
    case 1:
      return *e.array;
    case 2:
      return std::string(e.texts.at(0));
    case 3: {
      std::vector<std::string> out;
      for (const auto& t : e.texts) {
        out.push_back(std::string(t));
      }
      return out;
    }
    default:
      return std::monostate{};
  }
}

} // namespace

ArrayPtr load_bytes(Bytes data, StreamRef s) {
  return box(mx::load(std::make_shared<MemoryReader>(data), on(s)));
}

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

Named load_safetensors(Bytes file, StreamRef s) {
  return named(mx::load_safetensors(path(file), on(s)));
}

Named load_safetensors_bytes(Bytes data, StreamRef s) {
  return named(
      mx::load_safetensors(std::make_shared<MemoryReader>(data), on(s)));
}

void save_safetensors(Bytes file, const Named& arrays) {
  mx::save_safetensors(path(file), map(arrays), metadata(arrays));
}

std::unique_ptr<std::string> save_safetensors_bytes(const Named& arrays) {
  auto out = std::make_shared<MemoryWriter>();
  mx::save_safetensors(out, map(arrays), metadata(arrays));
  return std::move(out->data);
}

GgufFile load_gguf(Bytes file, StreamRef s) {
  auto load = mx::load_gguf(path(file), on(s));
  GgufFile out;
  unmap(load.first, out);
  for (const auto& [key, value] : load.second) {
    out.metadata.push_back(entry(key, value));
  }
  return out;
}

void save_gguf(Bytes file, const GgufFile& content) {
  std::unordered_map<std::string, mx::GGUFMetaData> meta;
  for (const auto& e : content.metadata) {
    meta.insert_or_assign(std::string(e.key), value(e));
  }
  mx::save_gguf(path(file), map(content), std::move(meta));
}

} // namespace zmlx::io
