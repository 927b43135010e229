// The lazy primitive behind a kernel on a CPU stream.
//
// When MLX evaluates it, memory for outputs and for copies of strided inputs is
// taken at once; the copies, the fill and the kernel itself run as one task of
// the stream, in order with the stream's other work.
#include <cstring>

#include "mlx/backend/cpu/encoder.h"
#include "mlx/primitives.h"
#include "zmlx/kernel.h"

#include "zmlx/src/bridge/kernel.rs.h"

namespace zmlx {

namespace {

// Where a strided input lies, and the dense copy of it.
struct DenseCopy {
  const char* from;
  char* to;
  mx::Shape shape;
  mx::Strides strides;
  size_t itemsize;

  void run() const {
    copy(0, from, to);
  }

 private:
  char* copy(size_t axis, const char* in, char* out) const {
    if (axis == shape.size()) {
      std::memcpy(out, in, itemsize);
      return out + itemsize;
    }
    auto step = strides[axis] * static_cast<int64_t>(itemsize);
    if (axis + 1 == shape.size()) {
      switch (itemsize) {
        case 1:
          return row<uint8_t>(axis, in, out);
        case 2:
          return row<uint16_t>(axis, in, out);
        case 4:
          return row<uint32_t>(axis, in, out);
        default:
          return row<uint64_t>(axis, in, out);
      }
    }
    for (int i = 0; i < shape[axis]; ++i) {
      out = copy(axis + 1, in + i * step, out);
    }
    return out;
  }

  template <typename T>
  char* row(size_t axis, const char* in, char* out) const {
    auto* src = reinterpret_cast<const T*>(in);
    auto* dst = reinterpret_cast<T*>(out);
    auto step = strides[axis];
    for (int i = 0; i < shape[axis]; ++i) {
      dst[i] = src[i * step];
    }
    return reinterpret_cast<char*>(dst + shape[axis]);
  }
};

template <typename T>
void fill_as(void* to, size_t n, float value) {
  std::fill_n(static_cast<T*>(to), n, static_cast<T>(value));
}

void fill(void* to, size_t n, Dtype type, float value) {
  switch (type) {
    case Dtype::bool_:
      return fill_as<bool>(to, n, value);
    case Dtype::uint8:
      return fill_as<uint8_t>(to, n, value);
    case Dtype::uint16:
      return fill_as<uint16_t>(to, n, value);
    case Dtype::uint32:
      return fill_as<uint32_t>(to, n, value);
    case Dtype::uint64:
      return fill_as<uint64_t>(to, n, value);
    case Dtype::int8:
      return fill_as<int8_t>(to, n, value);
    case Dtype::int16:
      return fill_as<int16_t>(to, n, value);
    case Dtype::int32:
      return fill_as<int32_t>(to, n, value);
    case Dtype::int64:
      return fill_as<int64_t>(to, n, value);
    case Dtype::float16:
      return fill_as<mx::float16_t>(to, n, value);
    case Dtype::float32:
      return fill_as<float>(to, n, value);
    case Dtype::float64:
      return fill_as<double>(to, n, value);
    case Dtype::bfloat16:
      return fill_as<mx::bfloat16_t>(to, n, value);
    case Dtype::complex64:
      return fill_as<mx::complex64_t>(to, n, value);
  }
}

mx::Strides row_major(const mx::Shape& shape) {
  mx::Strides strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * shape[i];
  }
  return strides;
}

// All that one launch reads and writes. It owns the small arrays that carry
// shapes and strides; MLX keeps the buffers of inputs and outputs alive until
// the task that follows this one on the stream.
struct Task {
  HostPlanPtr plan;
  std::array<int32_t, 3> grid;
  std::array<int32_t, 3> threadgroup;
  std::vector<Buffer> buffers;
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

  void add(const void* p, size_t bytes) {
    buffers.push_back(Buffer{reinterpret_cast<size_t>(p), bytes});
  }

  void run() const {
    for (const auto& c : copies) {
      c.run();
    }
    for (const auto& f : fills) {
      fill(f.to, f.n, f.type, f.value);
    }
    plan->entry->run(
        rust::Slice<const Buffer>(buffers.data(), buffers.size()),
        grid,
        threadgroup);
  }
};

class HostKernel : public mx::Primitive {
 public:
  HostKernel(mx::Stream s, HostPlanPtr plan, const Geometry& geometry)
      : Primitive(s), plan_(std::move(plan)), geometry_(geometry) {}

  void eval_cpu(const std::vector<Array>& inputs, std::vector<Array>& outputs)
      override {
    auto task = std::make_shared<Task>();
    task->plan = plan_;
    task->grid = geometry_.grid;
    task->threadgroup = geometry_.threadgroup;
    auto& encoder = mx::cpu::get_command_encoder(stream());
    for (size_t i = 0; i < inputs.size(); ++i) {
      add_input(*task, encoder, inputs[i], plan_->extras[i]);
    }
    for (auto& out : outputs) {
      out.set_data(mx::allocator::malloc(out.nbytes()));
      auto* p = out.data<char>();
      if (geometry_.has_init) {
        task->fills.push_back({p, out.size(), out.dtype().val(), geometry_.init});
      }
      task->add(p, out.nbytes());
    }
    encoder.dispatch([task = std::move(task)] { task->run(); });
  }

  void eval_gpu(const std::vector<Array>&, std::vector<Array>&) override {
    throw std::runtime_error("[zmlx] a CPU kernel was given to a GPU stream");
  }

  const char* name() const override {
    return "ZmlxHostKernel";
  }

  // Lets `compile` merge equal launches.
  bool is_equivalent(const Primitive& other) const override {
    auto* same = dynamic_cast<const HostKernel*>(&other);
    if (!same) {
      return false;
    }
    const auto& o = *same;
    const auto& g = o.geometry_;
    return plan_ == o.plan_ && geometry_.grid == g.grid &&
        geometry_.threadgroup == g.threadgroup &&
        geometry_.has_init == g.has_init &&
        (!g.has_init || geometry_.init == g.init);
  }

 private:
  void add_input(
      Task& task,
      mx::cpu::CommandEncoder& encoder,
      const Array& in,
      const Extras& extras) const {
    const char* data = in.data<char>();
    bool dense = in.flags().row_contiguous;
    bool copied = plan_->ensure_row_contiguous && !dense;
    if (copied) {
      Array copy(mx::allocator::malloc(in.nbytes()), in.shape(), in.dtype());
      task.copies.push_back(
          {data, copy.data<char>(), in.shape(), in.strides(), in.itemsize()});
      data = copy.data<char>();
      encoder.add_temporary(std::move(copy));
    }
    // A strided input's elements lie anywhere in its storage.
    task.add(data, (dense || copied ? in.size() : in.data_size()) * in.itemsize());
    if (in.ndim() == 0) {
      return;
    }
    if (extras.shape) {
      auto& s = task.shapes.emplace_back(std::make_unique<mx::Shape>(in.shape()));
      task.add(s->data(), s->size() * sizeof(int32_t));
    }
    if (extras.strides) {
      auto& s = task.strides.emplace_back(std::make_unique<mx::Strides>(
          copied ? row_major(in.shape()) : in.strides()));
      task.add(s->data(), s->size() * sizeof(int64_t));
    }
    if (extras.ndim) {
      auto& n = task.ranks.emplace_back(
          std::make_unique<int32_t>(static_cast<int32_t>(in.ndim())));
      task.add(n.get(), sizeof(int32_t));
    }
  }

  HostPlanPtr plan_;
  Geometry geometry_;
};

} // namespace

HostPlan::HostPlan(rust::Box<HostEntry> e, const KernelSpec& spec)
    : entry(std::move(e)), ensure_row_contiguous(spec.ensure_row_contiguous) {
  std::string source(spec.source);
  for (const auto& n : spec.input_names) {
    std::string name(n);
    auto has = [&](const char* what) {
      return source.find(name + what) != std::string::npos;
    };
    extras.push_back(Extras{has("_shape"), has("_strides"), has("_ndim")});
  }
}

HostPlan::~HostPlan() = default;

HostPlanPtr host_plan(rust::Box<HostEntry> entry, const KernelSpec& spec) {
  return std::make_shared<HostPlan>(std::move(entry), spec);
}

ArrayVecPtr host_launch(
    const HostPlanPtr& plan,
    Arrays inputs,
    rust::Slice<const OutputSpec> outputs,
    const Geometry& geometry,
    StreamRef s) {
  std::vector<mx::Shape> shapes;
  std::vector<mx::Dtype> dtypes;
  shapes.reserve(outputs.size());
  dtypes.reserve(outputs.size());
  for (const auto& o : outputs) {
    shapes.emplace_back(o.shape.begin(), o.shape.end());
    dtypes.push_back(dtype(o.dtype));
  }
  auto primitive =
      std::make_shared<HostKernel>(mx::to_stream(on(s)), plan, geometry);
  return box(
      Array::make_arrays(std::move(shapes), dtypes, primitive, list(inputs)));
}

} // namespace zmlx
