#include "zmlx/memory.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string>

#include "mlx/allocator.h"
#include "mlx/backend/cuda/cuda.h"
#include "mlx/backend/metal/metal.h"
#include "mlx/memory.h"

#include "zmlx/types.h"

namespace zmlx {

namespace {

// What is larger has to fit into the memory that is free now. Reading that takes some
// microseconds, filling a buffer of this size takes thousands.
constexpr size_t large = size_t{256} << 20;

class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(size_t bytes)
      : text_(
            "out of memory: there is no room for a buffer of " + std::to_string(bytes) +
            " bytes beside the " + std::to_string(mx::get_active_memory()) +
            " bytes of living arrays and the " + std::to_string(mx::get_cache_memory()) +
            " bytes kept for reuse") {}

  const char* what() const noexcept override {
    return text_.c_str();
  }

 private:
  std::string text_;
};

#if defined(__linux__)

struct Close {
  void operator()(std::FILE* f) const {
    std::fclose(f);
  }
};
using File = std::unique_ptr<std::FILE, Close>;

constexpr size_t unknown = std::numeric_limits<size_t>::max();

// A file that holds one number.
size_t number_in(const std::string& path) {
  File f(std::fopen(path.c_str(), "re"));
  unsigned long long n = 0;
  return f && std::fscanf(f.get(), "%llu", &n) == 1 ? static_cast<size_t>(n) : unknown;
}

// The number behind a name in a file of such pairs.
size_t number_of(const std::string& path, const char* name) {
  File f(std::fopen(path.c_str(), "re"));
  char key[64];
  unsigned long long n = 0;
  while (f && std::fscanf(f.get(), "%63s %llu%*[^\n]", key, &n) == 2) {
    if (std::strcmp(key, name) == 0) {
      return static_cast<size_t>(n);
    }
  }
  return unknown;
}

// What a control group, a container's limit, leaves: both versions of the interface.
size_t left_of_group() {
  struct Version {
    std::string folder;
    const char *limit, *used, *cached;
  };
  const Version versions[] = {
      {"/sys/fs/cgroup/", "memory.max", "memory.current", "inactive_file"},
      {"/sys/fs/cgroup/memory/",
       "memory.limit_in_bytes",
       "memory.usage_in_bytes",
       "total_inactive_file"}};
  for (const auto& v : versions) {
    size_t limit = number_in(v.folder + v.limit);
    size_t used = number_in(v.folder + v.used);
    if (limit == unknown || used == unknown) {
      continue;
    }
    size_t cached = number_of(v.folder + "memory.stat", v.cached);
    used -= std::min(used, cached == unknown ? 0 : cached);
    return limit - std::min(limit, used);
  }
  return unknown;
}

size_t free_memory() {
  size_t kib = number_of("/proc/meminfo", "MemAvailable:");
  if (kib == unknown) {
    return unknown;
  }
  size_t swap = number_of("/proc/meminfo", "SwapFree:");
  kib += swap == unknown ? 0 : swap;
  return std::min(kib * 1024, left_of_group());
}

#else

size_t free_memory() {
  return std::numeric_limits<size_t>::max();
}

#endif

#if !defined(_MSC_VER)

using mx::allocator::Allocator;
using mx::allocator::Buffer;
using Malloc = Buffer (*)(Allocator*, size_t);

// A table of virtual functions as the Itanium C++ ABI lays it out for `Allocator`:
// malloc, free, size, make_buffer, release and two destructors, behind two words that
// belong to the table.
constexpr size_t header = 2;
constexpr size_t functions = 7;
std::array<void*, header + functions> table;
Malloc original;

Buffer checked_malloc(Allocator* self, size_t bytes) {
  if (bytes >= large && bytes > free_memory()) {
    throw OutOfMemory(bytes);
  }
  auto buffer = original(self, bytes);
  if (buffer.ptr() == nullptr) {
    throw OutOfMemory(bytes);
  }
  return buffer;
}

void replace_malloc() {
  auto& allocator = mx::allocator::allocator();
  // MLX's allocator cannot be exchanged, but its object can be given another table.
  void** now;
  std::memcpy(&now, static_cast<void*>(&allocator), sizeof now);
  std::copy(now - header, now + functions, table.begin());
  std::memcpy(&original, now, sizeof original);
  Malloc ours = checked_malloc;
  std::memcpy(&table[header], &ours, sizeof ours);
  void** then = table.data() + header;
  std::memcpy(static_cast<void*>(&allocator), &then, sizeof then);
}

#else

void replace_malloc() {}

#endif

static_assert(lacks_memory("cudaMallocAsync(&data, size, stream) failed: out of memory"));
static_assert(lacks_memory("cuGraphAddKernelNode(&node) failed: out of memory"));
static_assert(lacks_memory("[malloc] Unable to allocate 8 bytes."));
static_assert(!lacks_memory("cudaStreamSynchronize(stream_) failed: an illegal memory access was encountered"));
static_assert(!lacks_memory("[read] a.npy: the copy failed: out of memory"));

// A request for memory has failed whose echo is still to come.
constinit thread_local bool lacked = false;

} // namespace

bool notes_lack(std::string_view what) noexcept {
  bool lack = lacks_memory(what);
  lacked = lacked || lack;
  return lack;
}

bool is_echo(const std::exception_ptr& thrown) noexcept {
  if (!lacked) {
    return false;
  }
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    std::string_view what = e.what();
    bool taken = what == "cudaGetLastError() failed: out of memory";
    lacked = !taken;
    // Other versions of MLX look without taking it away.
    return taken || what == "cudaPeekAtLastError() failed: out of memory";
  } catch (...) {
    return false;
  }
}

void guard_memory() {
  static const bool done = [] {
    if (!mx::metal::is_available() && !mx::cu::is_available()) {
      replace_malloc();
    }
    return true;
  }();
  (void)done;
}

} // namespace zmlx
