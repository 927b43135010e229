#include "zmlx/ops/guard.h"

#include <algorithm>
#include <limits>
#include <sstream>
#include <type_traits>

#include "zmlx/ops/elementwise.h"
#include "zmlx/run.h"

namespace zmlx::ops {

namespace {

// Reading few values costs less than a graph node; on a GPU it may move memory.
bool can_read(const Array& a, mx::StreamOrDevice s) {
  constexpr size_t few = 4096;
  return !a.is_tracer() && ready(a) && a.data_shared_ptr() && a.flags().contiguous &&
      (a.size() <= few || mx::to_stream(s).device == mx::Device::cpu);
}

// Calls `f` with the storage of an array of integers.
template <typename F>
auto with_ints(const Array& a, F&& f) {
  switch (a.dtype().val()) {
    case Dtype::bool_:
    case Dtype::uint8:
      return f(a.data<uint8_t>());
    case Dtype::uint16:
      return f(a.data<uint16_t>());
    case Dtype::uint32:
      return f(a.data<uint32_t>());
    case Dtype::uint64:
      return f(a.data<uint64_t>());
    case Dtype::int8:
      return f(a.data<int8_t>());
    case Dtype::int16:
      return f(a.data<int16_t>());
    case Dtype::int32:
      return f(a.data<int32_t>());
    case Dtype::int64:
      return f(a.data<int64_t>());
    default:
      throw std::invalid_argument("expected integers");
  }
}

bool is_signed(mx::Dtype t) {
  return mx::issubdtype(t, mx::signedinteger);
}

// The largest value of an integer type.
uint64_t largest(mx::Dtype t) {
  int bits = 8 * static_cast<int>(mx::size_of(t));
  return std::numeric_limits<uint64_t>::max() >> (64 - bits + (is_signed(t) ? 1 : 0));
}

// Throws when a value lies outside [lo, hi]. True when one is negative.
bool check(std::string_view op, const Array& idx, int64_t lo, int64_t hi, int64_t n) {
  return with_ints(idx, [&](const auto* p) {
    auto [least, most] = std::minmax_element(p, p + idx.data_size());
    bool negative = *least < 0;
    bool low = negative && static_cast<int64_t>(*least) < lo;
    bool high = *most > 0 && static_cast<uint64_t>(*most) > static_cast<uint64_t>(hi);
    if (low || high) {
      std::ostringstream msg;
      msg << "[" << op << "] index " << +(low ? *least : *most) << " is out of range [" << lo
          << ", " << hi << "] for a dimension of " << n << ".";
      throw std::out_of_range(msg.str());
    }
    return negative;
  });
}

Array range(
    std::string_view op,
    Array idx,
    const Array& a,
    std::vector<int> axes,
    int span,
    bool wrap,
    mx::StreamOrDevice s) {
  if (!mx::issubdtype(idx.dtype(), mx::integer)) {
    std::ostringstream msg;
    msg << "[" << op << "] indices must have an integer type, not " << idx.dtype() << ".";
    throw std::invalid_argument(msg.str());
  }
  if (idx.size() == 0) {
    return idx;
  }
  int64_t n = 1;
  for (int ax : axes) {
    n *= a.shape(ax);
  }
  int64_t hi = n - span;
  if (hi < 0) {
    std::ostringstream msg;
    msg << "[" << op << "] cannot index a dimension of " << n << " of an array of shape "
        << a.shape() << ".";
    throw std::out_of_range(msg.str());
  }
  wrap = wrap && is_signed(idx.dtype());
  int64_t lo = wrap ? -n : 0;
  // A negative start of a longer span has to be counted from the end first.
  bool shift = wrap && span > 1;

  auto size = mx::number_of_elements(a, axes, false, mx::int64, s);
  if (size.has_primitive()) {
    // Traced for any shape: dimensions may change, so the bounds are nodes too.
    idx = mx::astype(idx, mx::int64, s);
    auto last = mx::subtract(size, Array(int64_t(span), mx::int64), s);
    if (wrap) {
      idx = mx::where(mx::less(idx, Array(int64_t(0)), s), mx::add(idx, size, s), idx, s);
    }
    return mx::minimum(mx::maximum(idx, Array(int64_t(0)), s), last, s);
  }
  if (can_read(idx, s)) {
    bool negative = check(op, idx, lo, hi, n);
    if (!negative || !shift) {
      return idx;
    }
  }
  if (shift) {
    // The type must hold the dimension.
    if (largest(idx.dtype()) < static_cast<uint64_t>(n)) {
      idx = mx::astype(idx, mx::int64, s);
    }
    auto t = idx.dtype();
    idx = mx::where(mx::less(idx, Array(0, t), s), mx::add(idx, Array(n, t), s), idx, s);
    lo = 0;
  }
  auto t = idx.dtype();
  if (is_signed(t) && lo > -static_cast<int64_t>(largest(t)) - 1) {
    idx = mx::maximum(idx, Array(lo, t), s);
  }
  if (static_cast<uint64_t>(hi) < largest(t)) {
    idx = mx::minimum(idx, Array(hi, t), s);
  }
  return idx;
}

} // namespace

Array within(
    std::string_view op,
    const Array& indices,
    const Array& a,
    int axis,
    int span,
    bool wrap,
    mx::StreamOrDevice s) {
  int ndim = static_cast<int>(a.ndim());
  if (axis < -ndim || axis >= ndim) {
    std::ostringstream msg;
    msg << "[" << op << "] Invalid axis " << axis << " for array with " << ndim << " dimensions.";
    throw std::invalid_argument(msg.str());
  }
  return range(op, indices, a, {axis < 0 ? axis + ndim : axis}, span, wrap, s);
}

std::optional<int64_t> known(const Array& a, size_t i, mx::StreamOrDevice s) {
  if (!can_read(a, s) || !a.flags().row_contiguous) {
    return std::nullopt;
  }
  return with_ints(a, [i](const auto* p) {
    // What an int64 does not reach is beyond every array.
    constexpr auto most = std::numeric_limits<int64_t>::max();
    bool beyond = p[i] > 0 && static_cast<uint64_t>(p[i]) > static_cast<uint64_t>(most);
    return beyond ? most : static_cast<int64_t>(p[i]);
  });
}

std::optional<Array> within_stack(
    std::string_view op,
    const std::optional<Array>& indices,
    const Array& matrices,
    mx::StreamOrDevice s) {
  if (!indices) {
    return std::nullopt;
  }
  std::vector<int> axes;
  for (int i = 0; i + 2 < static_cast<int>(matrices.ndim()); ++i) {
    axes.push_back(i);
  }
  return range(op, *indices, matrices, std::move(axes), 1, false, s);
}

Divisor divisor(const Array& a, const Array& b, mx::StreamOrDevice s) {
  auto t = mx::promote_types(a.dtype(), b.dtype());
  if (mx::issubdtype(t, mx::inexact)) {
    return {b, std::nullopt, std::nullopt};
  }
  auto d = mx::astype(b, t, s);
  if (can_read(b, s)) {
    bool traps = with_ints(b, [&](const auto* p) {
      return std::any_of(p, p + b.data_size(), [](auto v) {
        using V = decltype(v);
        return v == 0 || (std::is_signed_v<V> && v == static_cast<V>(-1));
      });
    });
    if (!traps) {
      return {d, std::nullopt, std::nullopt};
    }
  }
  auto one = Array(1, t);
  auto zero = mx::equal(d, Array(0, t), s);
  if (!is_signed(t)) {
    return {mx::where(zero, one, d, s), zero, std::nullopt};
  }
  auto minus = mx::equal(d, Array(-1, t), s);
  return {mx::where(mx::logical_or(zero, minus, s), one, d, s), zero, minus};
}

namespace {

// Corrects a quotient by the substitute divisor.
Array quotient(Array q, const Divisor& d, mx::StreamOrDevice s) {
  if (d.minus_one) {
    q = mx::where(*d.minus_one, mx::subtract(Array(0, q.dtype()), q, s), q, s);
  }
  return mx::where(*d.zero, Array(0, q.dtype()), q, s);
}

} // namespace

ArrayPtr floor_divide(const Array& a, const Array& b, StreamRef s) {
  auto d = divisor(a, b, on(s));
  auto q = mx::floor_divide(a, d.safe, on(s));
  return box(d.zero ? quotient(q, d, on(s)) : q);
}

ArrayPtr power(const Array& a, const Array& b, StreamRef s) {
  auto p = mx::power(a, b, on(s));
  auto t = p.dtype();
  if (!is_signed(t) || !is_signed(b.dtype())) {
    return box(p);
  }
  if (b.size() == 1) {
    auto n = known(b, 0, on(s));
    if (n && *n >= 0) {
      return box(p);
    }
  }
  // 1 and -1 are their own inverses.
  auto number = [&](int v) { return Array(v, t); };
  auto x = mx::astype(a, t, on(s));
  auto n = mx::astype(b, t, on(s));
  auto odd = mx::not_equal(mx::remainder(n, number(2), on(s)), number(0), on(s));
  auto ones = mx::equal(mx::abs(x, on(s)), number(1), on(s));
  auto minus = mx::logical_and(odd, mx::less(x, number(0), on(s)), on(s));
  auto inverse = mx::where(ones, mx::where(minus, number(-1), number(1), on(s)), number(0), on(s));
  return box(mx::where(mx::less(n, number(0), on(s)), inverse, p, on(s)));
}

namespace {

// C++ leaves open what a shift by a negative number, or by as many bits as there are, gives.
Array shift(const Array& a, const Array& b, bool left, mx::StreamOrDevice s) {
  auto moved = [&](const Array& n) {
    return left ? mx::left_shift(a, n, s) : mx::right_shift(a, n, s);
  };
  auto whole = moved(b);
  auto t = whole.dtype();
  int bits = 8 * static_cast<int>(mx::size_of(t));
  if (can_read(b, s)) {
    bool inside = with_ints(b, [&](const auto* p) {
      return std::all_of(p, p + b.data_size(), [bits](auto n) {
        return !(n < 0) && static_cast<uint64_t>(n) < static_cast<uint64_t>(bits);
      });
    });
    if (inside) {
      return whole;
    }
  }
  auto n = mx::astype(b, t, s);
  auto beyond = mx::greater_equal(n, Array(bits, t), s);
  if (is_signed(t)) {
    beyond = mx::logical_or(beyond, mx::less(n, Array(0, t), s), s);
  }
  auto safe = moved(mx::where(beyond, Array(0, t), n, s));
  // All bits have left; a negative number keeps its sign.
  auto rest = !left && is_signed(t) ? moved(Array(bits - 1, t)) : Array(0, t);
  return mx::where(beyond, rest, safe, s);
}

} // namespace

ArrayPtr left_shift(const Array& a, const Array& b, StreamRef s) {
  return box(shift(a, b, true, on(s)));
}

ArrayPtr right_shift(const Array& a, const Array& b, StreamRef s) {
  return box(shift(a, b, false, on(s)));
}

ArrayVecPtr divmod(const Array& a, const Array& b, StreamRef s) {
  auto d = divisor(a, b, on(s));
  auto qr = mx::divmod(a, d.safe, on(s));
  if (d.zero) {
    qr[0] = quotient(qr[0], d, on(s));
  }
  return box(std::move(qr));
}

} // namespace zmlx::ops
