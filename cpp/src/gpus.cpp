// MLX's CUDA back-end copies elements to the host on the thread's current GPU, which fails ("invalid argument") for what another GPU has
// computed. Where it frees its cache it goes through all GPUs, and leaves the last one as the current one.
#include "zmlx/gpus.h"

#include <exception>

#ifdef __linux__
#include <dlfcn.h>
#endif

#include "mlx/device.h"
#include "zmlx/turns.h"

namespace zmlx {

namespace {

void make_current(mx::Device gpu) {
#ifdef __linux__
  // `mlx::core::cu::device(Device)` and `Device::make_current()`, which MLX's CPU library has not.
  using Find = void* (*)(mx::Device);
  using Make = void (*)(void*);
  static const auto find =
      reinterpret_cast<Find>(dlsym(RTLD_DEFAULT, "_ZN3mlx4core2cu6deviceENS0_6DeviceE"));
  static const auto make =
      reinterpret_cast<Make>(dlsym(RTLD_DEFAULT, "_ZN3mlx4core2cu6Device12make_currentEv"));
  if (find != nullptr && make != nullptr) {
    make(find(gpu));
  }
#else
  (void)gpu;
#endif
}

} // namespace

void make_default_gpu_current() {
  if (on_cuda() && mx::default_device().type == mx::Device::gpu) {
    make_current(mx::default_device());
  }
}

const char* elements_of(const Array& a) {
  std::exception_ptr failure;
  try {
    return a.data<char>();
  } catch (...) {
    failure = std::current_exception();
  }
  const int gpus = on_cuda() ? mx::device_count(mx::Device::gpu) : 0;
  for (int i = 0; i < gpus && gpus > 1; ++i) {
    try {
      make_current(mx::Device(mx::Device::gpu, i));
      return a.data<char>();
    } catch (...) {
      // The first failure says what is wrong.
    }
  }
  std::rethrow_exception(failure);
}

} // namespace zmlx
