#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace tscsim::base {

void check_failed(const char* file, int line, const char* relation) noexcept {
  std::fprintf(stderr, "%s:%d: internal error: %s does not hold\n", file, line, relation);
  std::abort();
}

}  // namespace tscsim::base
