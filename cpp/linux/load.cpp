// Finds MLX's library when the program starts, and gives its functions to the stand-ins.
//
// A program that names libmlx.so among the libraries it needs starts only where the dynamic linker finds that file, and a
// dependency cannot add a folder to the program's search path. So programs name no such library. The build
// (build/stand_in.rs) makes for each of MLX's functions that the bridge calls a function of the same name, one jump through
// a slot, and the code here fills the slots. LD_LIBRARY_PATH and a program's own rpath come first, as ever.

#include <dlfcn.h>
#include <link.h>

#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

// Written by the build: ZMLX_VERSION, the version of the headers; ZMLX_PLACES, folders of the build.
#include "zmlx_places.h"

extern "C" {
// Of the generated file: names one after another, each with a final zero, an empty one at the end; a slot for each.
extern const char zmlx_stand_in_names[];
extern void* zmlx_stand_in_slots[];
// The generated file names it, so that the linker takes this one along.
extern const int zmlx_stand_in_loader;
const int zmlx_stand_in_loader = 0;
}

namespace {

// Never freed: programs may call MLX until their very end.
std::string& problem() {
  static auto* text = new std::string("MLX's library is not loaded yet");
  return *text;
}

// What a slot holds while there is no library: the bridge's caller gets an error that says so.
[[noreturn]] void missing() {
  throw std::runtime_error(problem());
}

constexpr const char* version_name = "_ZN3mlx4core7versionEv";

// "0.32" of "0.32.4": what has to agree for the binary interface to be the same.
std::string series(const std::string& version) {
  auto second = version.find('.', version.find('.') + 1);
  return version.substr(0, second);
}

// The library, or null and a line in `tried`.
void* open(const std::string& name, std::string& tried) {
  void* library = dlopen(name.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (!library) {
    const char* said = dlerror();
    tried += "\n  " + name + ": " + (said ? said : "cannot be loaded");
    return nullptr;
  }
  using Version = const char*();
  auto version = reinterpret_cast<Version*>(dlsym(library, version_name));
  std::string found = version ? version() : "of an unknown version";
  if (series(found) == series(ZMLX_VERSION)) {
    return library;
  }
  Dl_info info{};
  bool known = version && dladdr(reinterpret_cast<void*>(version), &info) && info.dli_fname;
  tried += "\n  " + (known ? info.dli_fname : name) + ": is MLX " + found + ", and this program is built for " ZMLX_VERSION;
  dlclose(library);
  return nullptr;
}

// The folder of the program, or of the library that holds this code.
std::filesystem::path own_folder() {
  std::error_code failed;
  std::filesystem::path file = std::filesystem::read_symlink("/proc/self/exe", failed);
  Dl_info info{};
  link_map* map = nullptr;
  auto here = reinterpret_cast<void*>(&own_folder);
  // The program itself has no name there.
  if (dladdr1(here, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) && map && *map->l_name) {
    file = std::filesystem::absolute(map->l_name, failed);
  }
  return file.parent_path();
}

bool exists(const std::string& file) {
  std::error_code failed;
  return std::filesystem::exists(file, failed);
}

// `skipped`: files that are there and do not load. `tried`: all that there is to say.
void* find(std::string& tried, std::string& skipped) {
  std::string name = "libmlx.so";
  void* library = open(name, tried);
  if (tried.find(name + ": cannot open shared object file") == std::string::npos) {
    skipped = tried;
  }
  std::string places[] = {(own_folder() / "../lib/mlx/lib").lexically_normal().string(), ZMLX_PLACES};
  for (const std::string& place : places) {
    if (library) {
      break;
    }
    std::string file = place + "/" + name;
    std::string line = "\n  " + file + ": there is no such file";
    if (exists(file)) {
      line.clear();
      library = open(file, line);
      skipped += line;
    }
    tried += line;
  }
  return library;
}

// Before the constructors of other files, which may call MLX.
__attribute__((constructor(101))) void load() {
  auto fill = [](auto&& function_of) {
    void** slot = zmlx_stand_in_slots;
    for (const char* name = zmlx_stand_in_names; *name; name += std::char_traits<char>::length(name) + 1) {
      *slot++ = function_of(name);
    }
  };
  fill([](const char*) { return reinterpret_cast<void*>(&missing); });
  // Anything thrown here would end the program before it began.
  try {
    std::string tried;
    std::string skipped;
    void* library = find(tried, skipped);
    if (!library) {
      problem() =
          "MLX's library was not found: ship its folder as ../lib/mlx beside the program's, or name the folder of "
          "libmlx.so in LD_LIBRARY_PATH. Tried:" +
          tried;
      return;
    }
    if (!skipped.empty()) {
      std::fprintf(stderr, "zmlx: passed over what is no MLX library for this program here:%s\n", skipped.c_str());
    }
    std::string unknown;
    fill([&](const char* name) {
      if (void* function = dlsym(library, name)) {
        return function;
      }
      unknown += std::string(" ") + name;
      return reinterpret_cast<void*>(&missing);
    });
    if (!unknown.empty()) {
      problem() = "MLX's library lacks functions that this program was built with:" + unknown;
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "zmlx: looking for MLX's library: %s\n", e.what());
  }
}

} // namespace
