// A reader with faults, to show that the fuzzers find some: it minds one number, and the first letter says what it does then.
#include <csignal>
#include <stdexcept>

#include "target.h"

namespace tscsim::fuzz {
namespace {

void run_faulty(std::string_view input) {
  if (input.find("4294967296") == std::string_view::npos) return;
  if (input.front() == 'c') std::raise(SIGSEGV);
  if (input.front() == 't') throw std::logic_error("not an InputError");
  if (input.front() == 'p') promise(false, "of the faulty reader");
  volatile bool goes_on = input.front() == 'l';
  while (goes_on) continue;
}

std::vector<std::string> faulty_seeds(const std::string&) { return {"crash 1", "throw 2", "promise 3", "loop 4"}; }

}  // namespace

const Target& faulty_target() {
  static const Target made{"faulty", "a reader with faults", run_faulty, faulty_seeds};
  return made;
}

}  // namespace tscsim::fuzz
