// How C++ exceptions become the text that Rust turns into `zmlx::Error`.
//
// cxx's exception type carries a string only, so the class of the exception
// travels as the string's first byte. Everything is caught, also what does not
// derive from std::exception: an exception that escapes would end the process.
//
// It is also the one gate that calls into MLX pass (gate.h).
#pragma once

#include <exception>
#include <ios>
#include <new>
#include <stdexcept>
#include <string>

#include "rust/cxx.h"
#include "zmlx/gate.h"
#include "zmlx/memory.h"

namespace zmlx {

// An array is read, or computed with, whose evaluation has failed.
struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

} // namespace zmlx

namespace rust::behavior {

template <typename Try, typename Fail>
static void trycatch(Try&& body, Fail&& fail) noexcept {
  auto say = [&fail](char kind, const char* what) {
    try {
      fail((std::string(1, kind) + what).c_str());
    } catch (...) {
      fail("?out of memory while reporting an error");
    }
  };
  try {
    zmlx::gate();
    body();
  } catch (const rust::Error& e) {
    say('c', e.what()); // a Rust callback failed; its error waits on the Rust side
  } catch (const zmlx::Failed& e) {
    say('f', e.what());
  } catch (const std::invalid_argument& e) {
    say('a', e.what());
  } catch (const std::out_of_range& e) {
    say('o', e.what());
  } catch (const std::ios_base::failure& e) {
    say('i', e.what());
  } catch (const std::bad_alloc& e) {
    say('m', e.what());
  } catch (const std::exception& e) {
    say(zmlx::notes_lack(e.what()) ? 'm' : 'r', e.what());
  } catch (...) {
    say('?', "an exception that is no std::exception");
  }
}

} // namespace rust::behavior
