// Rows that take the place of others, in place where nobody else holds the array.
#include <cstring>
#include <stdexcept>

#include "mlx/backend/cpu/encoder.h"
#include "mlx/primitives.h"
#include "zmlx/ops/index.h"
#include "zmlx/room.h"
#include "zmlx/strided.h"

namespace zmlx::ops {

namespace {

struct Move {
  int32_t from;
  int64_t to;

  bool operator==(const Move&) const = default;
};

// MLX's scatter takes an index at a time, and copies what it may not change into fresh small pages.
class WriteRows : public mx::UnaryPrimitive {
 public:
  WriteRows(mx::Stream s, std::vector<Move> moves, size_t elements)
      : UnaryPrimitive(s), moves_(std::move(moves)), elements_(elements) {}

  void eval_cpu(const ArrayVec& inputs, Array& out) override {
    const auto &a = inputs[0], &rows = inputs[1];
    auto& encoder = mx::cpu::get_command_encoder(stream());
    std::vector<DenseCopy> copies;
    const auto copy = [&](const Array& x, Array& to) {
      copies.push_back({x.data<char>(), to.data<char>(), x.shape(), x.strides(), x.itemsize()});
    };
    const char* whole = nullptr;
    if (a.is_donatable() && a.flags().row_contiguous) {
      out.copy_shared_buffer(a);
    } else {
      out.set_data(allocate(out.nbytes()));
      if (a.flags().row_contiguous) {
        whole = a.data<char>();
      } else {
        copy(a, out);
      }
    }
    const char* from = rows.data<char>();
    if (!rows.flags().row_contiguous) {
      Array dense(allocate(rows.nbytes()), rows.shape(), rows.dtype());
      copy(rows, dense);
      from = dense.data<char>();
      encoder.add_temporary(std::move(dense));
    }
    encoder.dispatch([copies = std::move(copies),
                      moves = moves_,
                      whole,
                      from,
                      to = out.data<char>(),
                      all = out.nbytes(),
                      bytes = elements_ * out.itemsize()] {
      if (whole) {
        std::memcpy(to, whole, all);
      }
      for (const auto& c : copies) {
        c.run();
      }
      for (const auto& m : moves) {
        std::memcpy(to + m.to * bytes, from + m.from * bytes, bytes);
      }
    });
  }

  void eval_gpu(const ArrayVec&, Array&) override {
    throw std::runtime_error("[zmlx] rows on a CPU were given to a GPU stream");
  }

  const char* name() const override {
    return "ZmlxWriteRows";
  }

  bool is_equivalent(const Primitive& other) const override {
    auto* o = dynamic_cast<const WriteRows*>(&other);
    return o && moves_ == o->moves_ && elements_ == o->elements_;
  }

  std::vector<mx::Shape> output_shapes(const ArrayVec& inputs) override {
    return {inputs[0].shape()};
  }

 private:
  std::vector<Move> moves_;
  // Of a row.
  size_t elements_;
};

} // namespace

ArrayPtr write_rows(
    const Array& a,
    const Array& rows,
    Ints from,
    rust::Slice<const int64_t> to,
    StreamRef s) {
  const auto count = rows.ndim() > 0 ? rows.shape(0) : 0;
  const auto elements = count > 0 ? rows.size() / count : 0;
  if (rows.dtype() != a.dtype() || from.size() != to.size() || elements == 0 || a.size() % elements != 0) {
    throw std::invalid_argument("`write_rows`: rows that do not fit");
  }
  std::vector<Move> moves;
  for (size_t i = 0; i < from.size(); ++i) {
    const bool there = from[i] >= 0 && from[i] < count && to[i] >= 0 &&
        static_cast<size_t>(to[i]) < a.size() / elements;
    if (!there) {
      throw std::out_of_range("`write_rows`: a row that is not there");
    }
    moves.push_back({from[i], to[i]});
  }
  auto rule = std::make_shared<WriteRows>(mx::to_stream(on(s)), std::move(moves), elements);
  return box(Array(a.shape(), a.dtype(), std::move(rule), {a, rows}));
}

} // namespace zmlx::ops
