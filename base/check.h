// What must hold in our own code whatever comes in. A CHECK stays on in release builds: a wrong answer costs more than
// the comparison. It is for our own mistakes only; a bad file is an error that the user is told (ops/error.h).
#pragma once

namespace tscsim::base {

// Prints "FILE:LINE: internal error: RELATION does not hold" to standard error, and aborts.
[[noreturn, gnu::cold, gnu::noinline]] void check_failed(const char* file, int line, const char* relation) noexcept;

}  // namespace tscsim::base

// CHECK(index < vcpus.size()): one relation for each CHECK, so that the line tells which one it was. The relation is
// evaluated once, in every build.
#define CHECK(...)                                     \
  (__builtin_expect(static_cast<bool>(__VA_ARGS__), 1) \
       ? static_cast<void>(0)                          \
       : ::tscsim::base::check_failed(__FILE__, __LINE__, #__VA_ARGS__))
