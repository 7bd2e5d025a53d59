// The same targets under libFuzzer, which follows coverage. TSCSIM_FUZZ_TARGET names the one that runs.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "mutator.h"
#include "target.h"

using tscsim::fuzz::Dice;
using tscsim::fuzz::Mutator;
using tscsim::fuzz::Target;

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

const Target& target() {
  static const Target* const chosen = [] {
    const char* name = std::getenv("TSCSIM_FUZZ_TARGET");
    const Target* found = tscsim::fuzz::find_target(name == nullptr ? "" : name);
    if (found != nullptr) return found;
    std::fprintf(stderr, "TSCSIM_FUZZ_TARGET has to name a target; 'tscsim_fuzz list' has them\n");
    std::exit(2);
  }();
  return *chosen;
}

const Mutator& mutator() {
  static const Mutator made(target().form, target().seeds(TSCSIM_SOURCE_DIR));
  return made;
}

std::string_view view(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

std::size_t put(const std::string& text, std::uint8_t* data) {
  std::memcpy(data, text.data(), text.size());
  return text.size();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  target().run(view(data, size));
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  Dice dice(seed);
  if (dice.chance(1, 5)) return LLVMFuzzerMutate(data, size, max_size);
  return put(mutator().changed(std::string(view(data, size)), dice, max_size), data);
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* one, std::size_t one_size,
                                                 const std::uint8_t* other, std::size_t other_size, std::uint8_t* out,
                                                 std::size_t max_size, unsigned seed) {
  Dice dice(seed);
  return put(mutator().crossed(view(one, one_size), view(other, other_size), dice, max_size), out);
}
