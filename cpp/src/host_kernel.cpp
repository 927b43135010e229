// The lazy primitive behind a kernel on a CPU stream.
//
// When MLX evaluates it, memory for outputs and for copies of strided inputs is
// taken at once; the copies, the fill and the kernel itself run as one task of
// the stream, in order with the stream's other work.
#include <array>

#include "mlx/backend/cpu/encoder.h"
#include "mlx/primitives.h"
#include "zmlx/kernel.h"
#include "zmlx/poison.h"
#include "zmlx/room.h"
#include "zmlx/ruled.h"
#include "zmlx/run.h"
#include "zmlx/strided.h"

#include "zmlx/src/bridge/kernel.rs.h"

namespace zmlx {

namespace {

// One application of `vmap`: how many launches, and which inputs have an axis
// for them. The axes of all levels lead an input's shape, outermost first.
struct Level {
  int size;
  std::vector<bool> mapped;

  bool operator==(const Level&) const = default;
};

// Where the elements of this shape lie, from the first one on, with the strides
// from number `axis` on: the lowest and the highest.
std::pair<int64_t, int64_t> reach(
    const mx::Shape& shape,
    const mx::Strides& strides,
    size_t axis) {
  int64_t low = 0, high = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    int64_t last = std::max(shape[i] - 1, 0) * strides[axis + i];
    (last < 0 ? low : high) += last;
  }
  return {low, high};
}

// All that a launch reads and writes, once or once for each point of its
// levels. It owns the small arrays that carry shapes and strides; MLX keeps the
// buffers of inputs and outputs alive until the task that follows this one on
// the stream.
struct Task {
  HostPlanPtr plan;
  std::array<int32_t, 3> grid;
  std::array<int32_t, 3> threadgroup;
  bool filled;
  std::vector<int> sizes;
  // Where arguments lie, and of each of them the bytes from one launch to the next, for each level; empty without levels.
  std::vector<Buffer> arguments;
  std::vector<std::vector<int64_t>> steps;
  std::vector<std::unique_ptr<mx::Shape>> shapes;
  std::vector<std::unique_ptr<mx::Strides>> strides;
  std::vector<std::unique_ptr<int32_t>> ranks;
  std::vector<DenseCopy> copies;
  struct Fill {
    void* to;
    size_t n;
    Dtype type;
    float value;
  };
  std::vector<Fill> fills;

  void add(
      const void* p,
      size_t bytes,
      std::vector<int64_t> step = {},
      size_t before = 0) {
    arguments.push_back(Buffer{reinterpret_cast<size_t>(p), bytes, before});
    if (!sizes.empty()) {
      steps.push_back(std::move(step));
    }
  }

  void run() const {
    for (const auto& c : copies) {
      c.run();
    }
    for (const auto& f : fills) {
      fill(f.to, f.n, f.type, f.value);
    }
    launch(0, arguments);
  }

 private:
  void launch(size_t level, const std::vector<Buffer>& first) const {
    if (level == sizes.size()) {
      plan->entry->run(
          rust::Slice<const Buffer>(first.data(), first.size()),
          grid,
          threadgroup,
          filled);
      return;
    }
    auto buffers = first;
    for (int i = 0; i < sizes[level]; ++i) {
      launch(level + 1, buffers);
      for (size_t b = 0; b < buffers.size(); ++b) {
        if (!steps[b].empty()) {
          buffers[b].address += static_cast<size_t>(steps[b][level]);
        }
      }
    }
  }
};

class HostKernel : public Ruled {
 public:
  HostKernel(
      mx::Stream s,
      HostPlanPtr plan,
      const Geometry& geometry,
      Outputs outputs,
      std::vector<Level> levels = {})
      : Ruled(s),
        plan_(std::move(plan)),
        geometry_(geometry),
        outputs_(std::move(outputs)),
        levels_(std::move(levels)) {}

  const Outputs& outputs() const override {
    return outputs_;
  }

  void eval_cpu(const ArrayVec& inputs, ArrayVec& outputs) override {
    auto task = std::make_shared<Task>();
    task->plan = plan_;
    task->grid = geometry_.grid;
    task->threadgroup = geometry_.threadgroup;
    task->filled = geometry_.has_init;
    for (const auto& level : levels_) {
      task->sizes.push_back(level.size);
    }
    task->arguments.reserve(plan_->arguments() + outputs.size());
    auto& encoder = mx::cpu::get_command_encoder(stream());
    for (size_t i = 0; i < inputs.size(); ++i) {
      add_input(*task, encoder, inputs[i], i);
    }
    for (auto& out : outputs) {
      out.set_data(allocate(out.nbytes()));
      add_output(*task, out);
    }
    encoder.dispatch([task = std::move(task), report = report_of(outputs)] {
      report.guard([&] { task->run(); });
    });
  }

  void eval_gpu(const ArrayVec&, ArrayVec&) override {
    throw std::runtime_error("[zmlx] a CPU kernel was given to a GPU stream");
  }

  const char* name() const override {
    return "ZmlxHostKernel";
  }

  // Lets `compile` merge equal launches.
  bool is_equivalent(const Primitive& other) const override {
    auto* o = dynamic_cast<const HostKernel*>(&other);
    if (!o) {
      return false;
    }
    const auto& g = o->geometry_;
    return plan_ == o->plan_ && geometry_.grid == g.grid &&
        geometry_.threadgroup == g.threadgroup &&
        geometry_.has_init == g.has_init &&
        (!g.has_init || geometry_.init == g.init) &&
        outputs_ == o->outputs_ && levels_ == o->levels_;
  }

 protected:
  std::string kernel() const override {
    return plan_->name;
  }

  std::pair<ArrayVec, std::vector<int>> each(
      const ArrayVec& inputs,
      const std::vector<int>& axes) override {
    Level level{1, {}};
    ArrayVec moved;
    for (size_t i = 0; i < inputs.size(); ++i) {
      level.mapped.push_back(axes[i] >= 0);
      if (axes[i] < 0) {
        moved.push_back(inputs[i]);
      } else {
        level.size = inputs[i].shape(axes[i]);
        moved.push_back(mx::moveaxis(inputs[i], axes[i], 0, stream()));
      }
    }
    auto levels = levels_;
    levels.insert(levels.begin(), level);
    mx::Shape leading;
    for (const auto& l : levels) {
      leading.push_back(l.size);
    }
    auto whole = outputs_.shapes();
    for (auto& shape : whole) {
      shape.insert(shape.begin(), leading.begin(), leading.end());
    }
    auto outputs = Array::make_arrays(
        std::move(whole),
        outputs_.dtypes(),
        std::make_shared<HostKernel>(
            stream(), plan_, geometry_, outputs_, std::move(levels)),
        moved);
    return {outputs, std::vector<int>(outputs.size(), 0)};
  }

 private:
  void add_input(
      Task& task,
      mx::cpu::CommandEncoder& encoder,
      const Array& in,
      size_t index) const {
    const char* data = in.data<char>();
    bool dense = in.flags().row_contiguous;
    auto strides = in.strides();
    if (plan_->ensure_row_contiguous && !dense) {
      Array copy(allocate(in.nbytes()), in.shape(), in.dtype());
      task.copies.push_back(
          {data, copy.data<char>(), in.shape(), in.strides(), in.itemsize()});
      data = copy.data<char>();
      encoder.add_temporary(std::move(copy));
      strides = row_major(in.shape());
      dense = true;
    }
    // The mapped axes come first; the kernel sees what is left.
    std::vector<int64_t> steps;
    size_t axis = 0;
    for (const auto& level : levels_) {
      bool mapped = level.mapped[index];
      steps.push_back(
          mapped ? strides[axis] * static_cast<int64_t>(in.itemsize()) : 0);
      axis += mapped;
    }
    mx::Shape seen(in.shape().begin() + axis, in.shape().end());
    size_t size = in.itemsize();
    for (int n : seen) {
      size *= static_cast<size_t>(n);
    }
    // A strided input's elements lie anywhere in its storage. MLX counts that
    // from the lowest element on, so where strides are negative the elements
    // themselves tell.
    size_t before = 0;
    if (!dense) {
      size = in.data_size() * in.itemsize();
      auto [low, high] = reach(seen, strides, axis);
      if (low < 0) {
        before = static_cast<size_t>(-low) * in.itemsize();
        size = static_cast<size_t>(high + 1) * in.itemsize();
      }
    }
    task.add(data, size, steps, before);
    if (seen.empty()) {
      return;
    }
    const auto& extras = plan_->extras[index];
    if (extras.shape) {
      auto& s = task.shapes.emplace_back(std::make_unique<mx::Shape>(seen));
      task.add(s->data(), s->size() * sizeof(int32_t));
    }
    if (extras.strides) {
      auto& s = task.strides.emplace_back(std::make_unique<mx::Strides>(
          strides.begin() + axis, strides.end()));
      task.add(s->data(), s->size() * sizeof(int64_t));
    }
    if (extras.ndim) {
      auto& n = task.ranks.emplace_back(
          std::make_unique<int32_t>(static_cast<int32_t>(seen.size())));
      task.add(n.get(), sizeof(int32_t));
    }
  }

  void add_output(Task& task, Array& out) const {
    auto* p = out.data<char>();
    if (auto byte = poison(); byte && !geometry_.has_init) {
      std::memset(p, *byte, out.nbytes());
    }
    if (geometry_.has_init) {
      task.fills.push_back({p, out.size(), out.dtype().val(), geometry_.init});
    }
    size_t launches = 1;
    for (const auto& level : levels_) {
      launches *= static_cast<size_t>(level.size);
    }
    auto bytes = out.nbytes() / std::max<size_t>(launches, 1);
    std::vector<int64_t> steps(levels_.size());
    auto step = static_cast<int64_t>(bytes);
    for (size_t l = levels_.size(); l-- > 0;) {
      steps[l] = step;
      step *= levels_[l].size;
    }
    task.add(p, bytes, std::move(steps));
  }

  HostPlanPtr plan_;
  Geometry geometry_;
  // Of one launch.
  Outputs outputs_;
  std::vector<Level> levels_;
};

} // namespace

std::vector<Extras> extras_of(const KernelSpec& spec) {
  std::vector<Extras> extras;
  std::string source(spec.source);
  for (const auto& n : spec.input_names) {
    std::string name(n);
    auto has = [&](const char* what) {
      return source.find(name + what) != std::string::npos;
    };
    extras.push_back(Extras{has("_shape"), has("_strides"), has("_ndim")});
  }
  return extras;
}

HostPlan::HostPlan(rust::Box<HostEntry> e, const KernelSpec& spec)
    : entry(std::move(e)),
      name(spec.name.data(), spec.name.size()),
      extras(extras_of(spec)),
      ensure_row_contiguous(spec.ensure_row_contiguous) {}

HostPlan::~HostPlan() = default;

size_t HostPlan::arguments() const {
  size_t n = extras.size();
  for (const auto& e : extras) {
    n += e.shape + e.strides + e.ndim;
  }
  return n;
}

HostPlanPtr host_plan(rust::Box<HostEntry> entry, const KernelSpec& spec) {
  return std::make_shared<HostPlan>(std::move(entry), spec);
}

void host_launch(
    const HostPlanPtr& plan,
    Arrays inputs,
    rust::Slice<const OutputSpec> outputs,
    const Geometry& geometry,
    StreamRef s,
    rust::Slice<Slot> to) {
  auto kernel = std::make_shared<HostKernel>(
      mx::to_stream(on(s)), plan, geometry, Outputs(outputs));
  const auto& described = kernel->outputs();
  described.node(std::move(kernel), list(inputs), to);
}

} // namespace zmlx
