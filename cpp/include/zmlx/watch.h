// Which primitives may fail while they run, and how they are watched.
#pragma once

#include "zmlx/run.h"

#include "mlx/primitives.h"

namespace zmlx {

enum class Care : uint8_t {
  none, // cannot fail once it has been handed to its stream
  watch, // may
  own, // may, and reports itself
};

Care care_for(const mx::Primitive& p);

// Lets a reduction over no elements begin at an input that lies in rows. Of any other MLX's CPU
// code asks for the last of no strides, so that what follows (a wrong start, a loop without end)
// depends on what the memory held before.
void straighten(const Array& reduction);

// Stands in for a primitive while it is evaluated: behind the primitive's own work it looks
// for its error.
class Watched : public mx::Primitive {
 public:
  Watched(std::shared_ptr<mx::Primitive> inner, Report report)
      : Primitive(inner->stream()), inner_(std::move(inner)), report_(std::move(report)) {}

  void eval_cpu(const ArrayVec& inputs, ArrayVec& outputs) override;
  void eval_gpu(const ArrayVec& inputs, ArrayVec& outputs) override;
  const char* name() const override;

  const std::shared_ptr<mx::Primitive>& inner() const {
    return inner_;
  }

 private:
  std::shared_ptr<mx::Primitive> inner_;
  Report report_;
};

} // namespace zmlx
