// The whole of tscsim behind main(): prints what the commands throw, and turns it into the exit status.
#pragma once

#include "sweep/ranks.h"

namespace tscsim::cli {

// `ranks`: the other processes when there are several, else null.
int run_tscsim(int argc, const char* const* argv, sweep::Ranks* ranks);

sweep::Ranks* other_ranks();

}  // namespace tscsim::cli
