// Code for an NVIDIA GPU, and MLX's primitives that run it: one for each stream, size and shape.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <mutex>
#include <string_view>
#include <utility>

#include "mlx/device.h"
#include "mlx/fast.h"
#include "mlx/primitives.h"
#include "mlx/version.h"
#include "zmlx/kernel.h"
#include "zmlx/strided.h"

#include "zmlx/src/bridge/kernel.rs.h"

namespace zmlx {

namespace {

using PrimitivePtr = std::shared_ptr<mx::Primitive>;
using Triple = std::array<int32_t, 3>;

// The chip's limits for blocks.
constexpr int32_t deepest_block = 64;
constexpr int32_t most_rows = 65535;
// From so many threads on, a fraction of the blocks still fills the largest chip.
constexpr int32_t long_grid = 1 << 21;

// The sizes as MLX is told them. What passes the chip's limits is put in a row;
// the kernel finds its place by the numbers that it gets besides.
std::pair<Triple, Triple> blocks(const Triple& grid, const Triple& group) {
  auto count = [&](int i) {
    return (static_cast<int64_t>(grid[i]) + group[i] - 1) / group[i];
  };
  Triple block = group;
  if (group[2] > deepest_block) {
    block = {group[0] * group[1] * group[2], 1, 1};
  }
  Triple n = {
      static_cast<int32_t>(count(0)),
      static_cast<int32_t>(count(1)),
      static_cast<int32_t>(count(2))};
  if (n[1] > most_rows || n[2] > most_rows) {
    int64_t all = count(0) * count(1) * count(2);
    if (all > std::numeric_limits<int32_t>::max()) {
      throw std::invalid_argument("[zmlx] too many threadgroups for CUDA");
    }
    n = {static_cast<int32_t>(all), 1, 1};
  }
  Triple threads;
  for (int i = 0; i < 3; ++i) {
    int64_t t = static_cast<int64_t>(n[i]) * block[i];
    if (t > std::numeric_limits<int32_t>::max()) {
      // MLX counts threads; the last block may be short by as many as it likes.
      t = std::numeric_limits<int32_t>::max();
      if ((t + block[i] - 1) / block[i] < n[i]) {
        throw std::invalid_argument("[zmlx] too many threads for CUDA");
      }
    }
    threads[i] = static_cast<int32_t>(t);
  }
  return {threads, block};
}

std::tuple<int, int, int> tuple(const Triple& a) {
  return {a[0], a[1], a[2]};
}

// The numbers that follow a kernel's pointers, few enough to stand on the stack.
using Numbers = mx::SmallVector<int32_t, 48>;

void add_numbers(Numbers& to, const mx::Shape& shape, size_t rank) {
  for (size_t i = 0; i < rank; ++i) {
    to.push_back(i < shape.size() ? static_cast<int32_t>(shape[i]) : 1);
  }
}

void add_numbers(Numbers& to, const mx::Strides& strides, size_t rank) {
  for (size_t i = 0; i < rank; ++i) {
    auto s = static_cast<uint64_t>(i < strides.size() ? strides[i] : 0);
    to.push_back(static_cast<int32_t>(static_cast<uint32_t>(s)));
    to.push_back(static_cast<int32_t>(static_cast<uint32_t>(s >> 32)));
  }
}

// NaN is itself.
bool same_bits(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

// What nodes carry of code that lies in a file.
const std::string& word() {
  static const std::string text = "zmlx";
  return text;
}

} // namespace

// A primitive of MLX's for one kernel and all its numbers.
struct CudaPlan::Entry {
  Geometry geometry;
  int stream;
  Numbers numbers;
  PrimitivePtr primitive;
};

struct CudaPlan::Entries {
  std::mutex mutex;
  std::vector<Entry> list;
  size_t next = 0;
  // What nodes carry: the code, or the word for it.
  std::string carried;
  // Beside the word, the code, until MLX has found it.
  std::string code;
  std::atomic<bool> unproven = false;
};

CudaPlan::CudaPlan(
    rust::Str name,
    rust::Slice<const uint8_t> code,
    const KernelSpec& spec,
    size_t rank,
    uint32_t in_turn,
    uint32_t shared,
    bool exact,
    bool aside)
    : kernel_(spec.name.data(), spec.name.size()),
      name_(text(name)),
      extras_(extras_of(spec)),
      ensure_row_contiguous_(spec.ensure_row_contiguous),
      rank_(rank),
      in_turn_(static_cast<int32_t>(in_turn)),
      shared_(static_cast<int>(shared)),
      exact_(exact),
      entries_(std::make_unique<Entries>()) {
  std::string bytes(reinterpret_cast<const char*>(code.data()), code.size());
  if (aside) {
    entries_->carried = word();
    entries_->code = std::move(bytes);
    entries_->unproven = true;
  } else {
    entries_->carried = std::move(bytes);
  }
}

CudaPlan::~CudaPlan() = default;

PrimitivePtr CudaPlan::primitive(
    mx::Stream s,
    const Geometry& geometry,
    const Outputs& outputs,
    const ArrayVec& inputs) const {
  // Enough for the shapes that a program launches in turn.
  constexpr size_t most = 16;
  const auto& group = geometry.threadgroup;
  Numbers numbers;
  if (!exact_) {
    for (const auto& size : {geometry.grid, group}) {
      for (int n : size) {
        numbers.push_back(n);
      }
    }
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto& in = inputs[i];
    const auto& extras = extras_[i];
    if (in.ndim() == 0) {
      continue;
    }
    if (extras.shape) {
      add_numbers(numbers, in.shape(), rank_);
    }
    if (extras.strides) {
      bool dense = ensure_row_contiguous_ || in.flags().row_contiguous;
      add_numbers(
          numbers, dense ? row_major(in.shape()) : in.strides(), rank_);
    }
    if (extras.ndim) {
      numbers.push_back(static_cast<int32_t>(in.ndim()));
    }
  }
  auto fits = [&](const Entry& e) {
    return e.stream == s.index && e.geometry.grid == geometry.grid &&
        e.geometry.threadgroup == group &&
        e.geometry.has_init == geometry.has_init &&
        (!geometry.has_init || same_bits(e.geometry.init, geometry.init)) &&
        std::equal(
            e.numbers.begin(),
            e.numbers.end(),
            numbers.begin(),
            numbers.end());
  };
  std::lock_guard lock(entries_->mutex);
  for (const auto& e : entries_->list) {
    if (fits(e)) {
      return e.primitive;
    }
  }
  auto whole = geometry.grid;
  bool row = whole[1] == 1 && whole[2] == 1;
  if (in_turn_ > 1 && row && whole[0] >= long_grid) {
    // The kernel sees by the sizes that each block has several threadgroups.
    int64_t share = static_cast<int64_t>(group[0]) * in_turn_;
    whole[0] = static_cast<int32_t>((whole[0] + share - 1) / share * group[0]);
  }
  auto [grid, block] = blocks(whole, group);
  auto nodes = mx::fast::precompiled_cuda_kernel(
      name_,
      entries_->carried,
      inputs,
      outputs.shapes(),
      outputs.dtypes(),
      std::vector<mx::fast::ScalarArg>(numbers.begin(), numbers.end()),
      tuple(grid),
      tuple(block),
      shared_,
      geometry.has_init ? std::optional<float>(geometry.init) : std::nullopt,
      ensure_row_contiguous_,
      s);
  Entry entry{
      geometry, s.index, std::move(numbers), nodes[0].primitive_ptr()};
  auto primitive = entry.primitive;
  auto& list = entries_->list;
  if (list.size() < most) {
    list.push_back(std::move(entry));
  } else {
    list[entries_->next] = std::move(entry);
    entries_->next = (entries_->next + 1) % most;
  }
  return primitive;
}

void CudaPlan::run(
    mx::Stream s,
    const Geometry& geometry,
    const Outputs& described,
    const ArrayVec& inputs,
    ArrayVec& outputs) const {
  bool unproven = entries_->unproven;
  try {
    primitive(s, geometry, described, inputs)->eval_gpu(inputs, outputs);
  } catch (const std::exception& e) {
    // MLX says so, before it has handed anything over, when it did not find the code: somebody has deleted the file,
    // or MLX took to another folder when it began.
    bool lost = std::string_view(e.what()).find(name_) != std::string_view::npos;
    if (!unproven || !lost) {
      throw;
    }
    carry_code();
    primitive(s, geometry, described, inputs)->eval_gpu(inputs, outputs);
  }
  if (unproven) {
    // From now on MLX has the code.
    std::lock_guard lock(entries_->mutex);
    entries_->unproven = false;
    entries_->code = {};
  }
}

// Nodes carry the code from now on.
void CudaPlan::carry_code() const {
  std::lock_guard lock(entries_->mutex);
  // Another thread may have been here before.
  if (!entries_->code.empty()) {
    entries_->carried = std::exchange(entries_->code, {});
    entries_->list.clear();
    entries_->next = 0;
  }
}

// MLX copies and hashes a kernel's code at each launch. Before it takes code from
// a launch, this version looks for a file named after the kernel and that hash, so the code can
// lie there and a word stand for it.
rust::String cuda_place(rust::Str function) {
  namespace fs = std::filesystem;
  if (std::string_view(mx::version()) != "0.32.4") {
    return {};
  }
  try {
    const char* named = std::getenv("MLX_PTX_CACHE_DIR");
    fs::path dir = named
        ? fs::path(named)
        : fs::temp_directory_path() / "mlx" / mx::version() / "ptx";
    char hash[32];
    std::snprintf(hash, sizeof hash, "%zx", std::hash<std::string>{}(word()));
    return dir.empty() ? rust::String() : (dir / (text(function) + "_" + hash)).string();
  } catch (const std::exception&) {
    return {}; // no folder for temporary files, or one without a name in UTF-8
  }
}

rust::String cuda_architecture() {
  const auto& info = mx::device_info(mx::Device(mx::Device::gpu));
  auto found = info.find("architecture");
  if (found == info.end()) {
    return rust::String();
  }
  const auto* name = std::get_if<std::string>(&found->second);
  return name ? rust::String(*name) : rust::String();
}

CudaPlanPtr cuda_plan(
    rust::Str name,
    rust::Slice<const uint8_t> code,
    const KernelSpec& spec,
    size_t rank,
    uint32_t in_turn,
    uint32_t shared,
    bool exact,
    bool aside) {
  return std::make_shared<CudaPlan>(
      name, code, spec, rank, in_turn, shared, exact, aside);
}

} // namespace zmlx
