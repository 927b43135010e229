// Functions in files, several traces in one, with inputs by place and by name.
#pragma once

#include "mlx/export.h"
#include "zmlx/types.h"

namespace zmlx {

struct Callback;
using Names = rust::Vec<rust::String>;

// Writes a file. After a trace that failed nothing more may be asked of it: MLX has noted the trace without its inputs.
class Exporter {
 public:
  Exporter(std::string path, bool shapeless, std::string metadata);
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  // Writes the graph of `f`, which gets the inputs by place and then those by name, in the order of their names.
  void trace(rust::Box<Callback> f, Arrays args, const Names& names, Arrays named);

 private:
  ArrayVec run(const mx::Args& args, const mx::Kwargs& named) const;

  // Of the trace that is under way.
  const Callback* now_ = nullptr;
  mx::FunctionExporter out_;
};

std::unique_ptr<Exporter> exporter(rust::Str path, bool shapeless, rust::Str metadata);

// A function that was read from a file.
class Imported {
 public:
  explicit Imported(mx::ImportedFunction f) : f_(std::move(f)) {}
  ArrayVecPtr call(Arrays args, const Names& names, Arrays named) const;
  // MLX's text about what the function takes.
  rust::String inputs() const;
  rust::String metadata() const {
    return rust::String::lossy(f_.metadata());
  }

 private:
  mx::ImportedFunction f_;
};

std::unique_ptr<Imported> import_function(rust::Str path);

} // namespace zmlx
