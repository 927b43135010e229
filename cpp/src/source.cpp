// Where the values of lazily loaded arrays come from.
#include "zmlx/io.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>

#include <sys/stat.h>
#include <unistd.h>

#include "zmlx/ops/truth.h"

namespace zmlx::io {

namespace {

[[noreturn]] void failed(const std::string& name, const std::string& why) {
  // The tag makes an Error::Io of it.
  throw std::runtime_error("[read] " + name + ": " + why);
}

// An open file. It may be renamed or deleted; its values stay what they were. When it
// is written to, nobody knows what lies where any more, so reading fails from then on.
class FileSource : public Source {
 public:
  FileSource(int fd, std::string name) : fd_(fd), name_(std::move(name)) {
    before_ = look();
  }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;
  ~FileSource() override {
    close(fd_);
  }

  void read(char* out, size_t n, uint64_t at) const override {
    // What reads faster in parts: as MLX's own reader does.
    constexpr size_t kPart = size_t{1} << 25;
    constexpr size_t kParts = 4;
    std::vector<std::future<void>> others;
    const size_t parts = std::clamp<size_t>(n / kPart, 1, kParts);
    const size_t each = n / parts;
    for (size_t i = 1; i < parts; ++i) {
      const size_t from = i * each;
      const size_t len = i + 1 == parts ? n - from : each;
      others.push_back(std::async(std::launch::async, [=, this] {
        read_part(out + from, len, at + from);
      }));
    }
    read_part(out, parts == 1 ? n : each, at);
    for (auto& other : others) {
      other.get();
    }
    const auto now = look();
    if (now.st_size != before_.st_size || stamp(now) != stamp(before_)) {
      failed(name_, "the file was written to, or its time was changed, after it was loaded; load it again");
    }
  }

  const std::string& name() const override {
    return name_;
  }

 private:
  struct stat look() const {
    struct stat s;
    if (fstat(fd_, &s) != 0) {
      failed(name_, std::strerror(errno));
    }
    return s;
  }

  static std::pair<int64_t, int64_t> stamp(const struct stat& s) {
#ifdef __APPLE__
    return {s.st_mtimespec.tv_sec, s.st_mtimespec.tv_nsec};
#else
    return {s.st_mtim.tv_sec, s.st_mtim.tv_nsec};
#endif
  }

  void read_part(char* out, size_t n, uint64_t at) const {
    while (n > 0) {
      // Some systems refuse more than an int can count.
      const auto got =
          pread(fd_, out, std::min(n, size_t{1} << 30), static_cast<off_t>(at));
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got < 0) {
        failed(name_, std::strerror(errno));
      }
      if (got == 0) {
        failed(
            name_,
            "the file ends at " + std::to_string(at) +
                "; it was cut short after it was loaded");
      }
      out += got;
      n -= static_cast<size_t>(got);
      at += static_cast<uint64_t>(got);
    }
  }

  int fd_;
  std::string name_;
  struct stat before_;
};

// A copy of bytes in memory.
class MemorySource : public Source {
 public:
  explicit MemorySource(Bytes data) : data_(data.begin(), data.end()) {}

  void read(char* out, size_t n, uint64_t at) const override {
    if (at > data_.size() || n > data_.size() - at) {
      failed(name_, "they end too early");
    }
    if (n > 0) {
      std::memcpy(out, data_.data() + at, n);
    }
  }

  const std::string& name() const override {
    return name_;
  }

 private:
  std::vector<uint8_t> data_;
  std::string name_ = "bytes in memory";
};

// One array of a source, as MLX reads it: a header, which says what the array is,
// and then its values, wherever they lie.
class Window : public mx::io::Reader {
 public:
  Window(SourcePtr source, uint64_t at, Bytes header)
      : source_(std::move(source)),
        at_(at),
        header_(header.begin(), header.end()) {}

  bool is_open() const override {
    return true;
  }
  bool good() const override {
    return true;
  }
  size_t tell() override {
    return next_;
  }
  void seek(int64_t off, std::ios_base::seekdir way) override {
    if (way != std::ios_base::beg || off < 0) {
      failed(source_->name(), "a seek that this reader does not know");
    }
    next_ = static_cast<size_t>(off);
  }
  void read(char* out, size_t n) override {
    read(out, n, next_);
    next_ += n;
  }
  void read(char* out, size_t n, size_t offset) override {
    if (offset >= header_.size()) {
      source_->read(out, n, at_ + (offset - header_.size()));
      return;
    }
    if (n > header_.size() - offset) {
      failed(source_->name(), "a read across the end of the header");
    }
    std::memcpy(out, header_.data() + offset, n);
  }
  std::string label() const override {
    return source_->name();
  }

 private:
  SourcePtr source_;
  uint64_t at_;
  std::vector<char> header_;
  size_t next_ = 0;
};

} // namespace

SourcePtr file_source(int32_t fd, Bytes name) {
  return std::make_shared<FileSource>(fd, path(name));
}

SourcePtr memory_source(Bytes data) {
  return std::make_shared<MemorySource>(data);
}

ArrayPtr lazy(
    SourcePtr source,
    uint64_t at,
    Bytes header,
    bool truth,
    StreamRef s) {
  auto window = std::make_shared<Window>(std::move(source), at, header);
  auto a = mx::load(std::move(window), on(s));
  return box(truth ? ops::truth(a, on(s)) : std::move(a));
}

ArrayPtr read_now(const Source& source, uint64_t at, Ints dims, Dtype type) {
  const auto dt = dtype(type);
  const auto sh = shape(dims);
  size_t n = dt.size();
  for (auto d : sh) {
    n *= static_cast<size_t>(d);
  }
  mx::array::Data data(mx::allocator::malloc(n));
  if (n > 0) {
    auto* out = static_cast<char*>(data.buffer().raw_ptr());
    if (!out) {
      throw std::bad_alloc();
    }
    source.read(out, n, at);
  }
  return box(Array(std::move(data), sh, dt));
}

} // namespace zmlx::io
