// MLX's CUDA back-end copies elements to the host on the thread's current GPU, which fails ("invalid argument") for what another GPU has
// computed. Where it frees its cache it goes through all GPUs, and leaves the last one as the current one.
#include "zmlx/gpus.h"

#ifdef __linux__
#include <dlfcn.h>
#endif

#include "mlx/device.h"
#include "zmlx/turns.h"
#include "zmlx/types.h"

namespace zmlx {

#ifdef __linux__
namespace {

// A function of MLX's library, which is loaded for this program alone (cpp/linux/load.cpp), so that no other way finds it.
void* function_of_mlx(const char* name) {
  Dl_info library{};
  if (dladdr(&mx::default_device(), &library) == 0) {
    return nullptr;
  }
  void* handle = dlopen(library.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  return handle != nullptr ? dlsym(handle, name) : nullptr;
}

} // namespace
#endif

void make_default_gpu_current() {
#ifdef __linux__
  if (!on_cuda()) {
    return;
  }
  // `mlx::core::cu::device(Device)` and `Device::make_current()`, which MLX's CPU library has not. The latter costs nothing where the GPU is
  // the current one.
  using Find = void* (*)(mx::Device);
  using Make = void (*)(void*);
  static const auto find =
      reinterpret_cast<Find>(function_of_mlx("_ZN3mlx4core2cu6deviceENS0_6DeviceE"));
  static const auto make =
      reinterpret_cast<Make>(function_of_mlx("_ZN3mlx4core2cu6Device12make_currentEv"));
  if (find != nullptr && make != nullptr) {
    const mx::Device usual = mx::default_device();
    make(find(usual.type == mx::Device::gpu ? usual : mx::Device(mx::Device::gpu, 0)));
  }
#endif
}

} // namespace zmlx
