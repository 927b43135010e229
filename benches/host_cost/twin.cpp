// The operations of benches/host_cost/main.rs as a C++ program calls them. It reads a name and a count a line,
// builds and drops that many nodes, and answers with the nanoseconds they took.
#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>
#include <map>
#include <string>

#include "mlx/mlx.h"

namespace mx = mlx::core;

namespace {

template <typename F>
std::function<int64_t(int64_t)> timed(F body) {
  return [body](int64_t count) {
    auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < count; ++i) {
      auto out = body();
      // The compiler must not see that nobody reads it.
      asm volatile("" : : "r"(&out) : "memory");
    }
    auto took = std::chrono::steady_clock::now() - start;
    return std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();
  };
}

} // namespace

int main() {
  auto x = mx::zeros({4, 6, 8});
  auto y = mx::zeros({4, 6, 8});
  auto w = mx::zeros({8, 16});
  mx::eval(x, y, w);
  std::map<std::string, std::function<int64_t(int64_t)>> operations;
  operations["add"] = timed([=] { return mx::add(x, y); });
  operations["add a number"] = timed([=] { return mx::add(x, mx::array(2.0f, x.dtype())); });
  operations["exp"] = timed([=] { return mx::exp(x); });
  operations["matmul"] = timed([=] { return mx::matmul(x, w); });
  operations["reshape"] = timed([=] { return mx::reshape(x, {24, 8}); });
  operations["transpose"] = timed([=] { return mx::transpose(x, {0, 2, 1}); });
  operations["sum(-1)"] = timed([=] { return mx::sum(x, {-1}); });
  operations["sum((0, 2))"] = timed([=] { return mx::sum(x, {0, 2}); });
  operations["slice"] = timed([=] { return mx::slice(x, {0, 1, 2}, {4, 5, 8}, {1, 1, 2}); });
  operations["item"] = timed([=] {
    auto one = mx::array(1.0f);
    return one.item<float>();
  });
  std::string name;
  int64_t count;
  while (std::cin >> count && std::getline(std::cin >> std::ws, name)) {
    std::cout << operations.at(name)(count) << std::endl;
  }
  return 0;
}
