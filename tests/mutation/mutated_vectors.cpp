// The vectors of model/kvm/vectors_test.cpp and model/guest/vectors_test.cpp against one mutant, named by the environment variable
// TSCSIM_MUTANT. A failing exit means that the vectors notice it. Exit 2: there is no such mutant.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "model/mutation.h"

int main(int argc, char** argv) {
  using namespace tscsim::model;
  testing::InitGoogleTest(&argc, argv);
  const char* const wanted = std::getenv("TSCSIM_MUTANT");
  const std::string_view name = wanted == nullptr ? "none" : wanted;
  for (std::size_t i = 0; i < kMutants.size(); ++i) {
    if (kMutants[i].name != name) continue;
    active_mutant = static_cast<Mutant>(i);
    return RUN_ALL_TESTS();
  }
  std::cerr << "no mutant '" << name << "'\n";
  return 2;
}
