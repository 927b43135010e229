#include "mlx/backend/cuda/cuda.h"
#include "mlx/backend/metal/metal.h"
#include "mlx/device.h"
#include "mlx/export.h"
#include "zmlx/kernel.h"

#include "zmlx/src/bridge/kernel.rs.h"

namespace zmlx {

namespace {

using TemplateArgs =
    std::vector<std::pair<std::string, mx::fast::TemplateArg>>;

TemplateArgs convert(rust::Slice<const TemplateValue> values) {
  TemplateArgs args;
  args.reserve(values.size());
  for (const auto& v : values) {
    mx::fast::TemplateArg arg = v.number;
    if (v.kind == 1) {
      arg = v.number != 0;
    } else if (v.kind == 2) {
      arg = dtype(v.dtype);
    }
    args.emplace_back(std::string(v.name), arg);
  }
  return args;
}

std::vector<std::string> strings(const rust::Vec<rust::String>& names) {
  return std::vector<std::string>(names.begin(), names.end());
}

std::tuple<int, int, int> triple(const std::array<int32_t, 3>& a) {
  return {a[0], a[1], a[2]};
}

} // namespace

bool metal_available() {
  return mx::metal::is_available();
}

bool cuda_available() {
  // The CUDA build says yes on machines without a GPU, too.
  static const bool there =
      mx::cu::is_available() && mx::device_count(mx::Device::gpu) > 0;
  return there;
}

std::unique_ptr<NativeKernel> native_kernel(const KernelSpec& spec) {
  return std::make_unique<NativeKernel>(mx::fast::metal_kernel(
      std::string(spec.name),
      strings(spec.input_names),
      strings(spec.output_names),
      std::string(spec.source),
      std::string(spec.header),
      spec.ensure_row_contiguous,
      spec.atomic_outputs,
      mx::CompileOptions(spec.math_mode)));
}

ArrayVec NativeKernel::call(
    Arrays inputs,
    rust::Slice<const OutputSpec> outputs,
    rust::Slice<const TemplateValue> template_args,
    const Geometry& geometry,
    StreamRef s) const {
  Outputs described(outputs);
  return f_(
      list(inputs),
      described.shapes(),
      described.dtypes(),
      triple(geometry.grid),
      triple(geometry.threadgroup),
      convert(template_args),
      geometry.has_init ? std::optional<float>(geometry.init) : std::nullopt,
      false,
      on(s));
}

void NativeKernel::launch(
    Arrays inputs,
    rust::Slice<const OutputSpec> outputs,
    rust::Slice<const TemplateValue> template_args,
    const Geometry& geometry,
    StreamRef s,
    rust::Slice<Slot> to) const {
  with_vmap(call(inputs, outputs, template_args, geometry, s), geometry, to);
}

void NativeKernel::export_launch(
    Arrays inputs,
    rust::Slice<const OutputSpec> outputs,
    rust::Slice<const TemplateValue> template_args,
    const Geometry& geometry,
    StreamRef s,
    rust::Slice<Slot> to) const {
  // A file holds MLX's own kernel, which is what imports know.
  put(call(inputs, outputs, template_args, geometry, s), to);
}

Generated NativeKernel::generate(
    rust::Slice<const InputClass> classes,
    rust::Slice<const OutputSpec> outputs,
    rust::Slice<const TemplateValue> template_args) const {
  // The text depends on dtypes and on how each input is passed, never on its
  // values: stand-ins of the right class do. MLX passes fewer than 8 elements
  // in the constant address space.
  ArrayVec inputs;
  for (const auto& c : classes) {
    mx::Shape dims;
    if (c.class_ > 0) {
      dims.push_back(c.class_ == 1 ? 1 : 8);
    }
    inputs.push_back(mx::zeros(dims, dtype(c.dtype), mx::Device(mx::Device::cpu)));
  }
  std::vector<mx::Dtype> dtypes;
  for (const auto& o : outputs) {
    dtypes.push_back(dtype(o.dtype));
  }
  std::vector<mx::Shape> shapes(dtypes.size(), mx::Shape{1});
  auto args = convert(template_args);

  Generated found;
  auto record = [&found](const mx::ExportCallbackInput& entry) {
    auto name = entry.find("name");
    auto arguments = entry.find("arguments");
    if (name == entry.end() || arguments == entry.end()) {
      return;
    }
    const auto* word = std::get_if<std::string>(&name->second);
    const auto* values = std::get_if<std::vector<mx::StateT>>(&arguments->second);
    if (!word || *word != "CustomKernel" || !values || values->size() < 2) {
      return;
    }
    found.function = rust::String(std::get<std::string>((*values)[0]));
    found.text = rust::String(std::get<std::string>((*values)[1]));
  };
  auto call = [&](const mx::Args& in) {
    return f_(
        in,
        shapes,
        dtypes,
        {1, 1, 1},
        {1, 1, 1},
        args,
        std::nullopt,
        false,
        mx::Device(mx::Device::gpu));
  };
  mx::export_function(
      mx::ExportCallback(record),
      std::function<std::vector<Array>(const mx::Args&)>(call),
      inputs);
  if (found.text.empty()) {
    throw std::runtime_error(
        "[metal_kernel] this MLX gives no kernel text when exporting");
  }
  return found;
}

} // namespace zmlx
