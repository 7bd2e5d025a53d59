// Runs N migrations, for bench/instructions.sh: tscsim_migrations by-value|by-offsets N
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include "bench/migration.h"
#include "model/world/runner.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: tscsim_migrations by-value|by-offsets N\n";
    return 2;
  }
  const tscsim::model::Compiled compiled = tscsim::bench::compiled_migration(
      std::string(argv[1]) == "by-value" ? tscsim::bench::kByValue : tscsim::bench::kByOffsets);
  tscsim::model::Runner runner(compiled);
  const std::int64_t runs = std::atoll(argv[2]);
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < runs; ++i) {
    runner.set(0, i % 1000 * 1'000);
    runner.set(1, i % 777 - 300);
    if (!runner.run()) {
      std::cerr << runner.failure().message << '\n';
      return 1;
    }
    sum += static_cast<std::uint64_t>(*runner.captured(0));
  }
  std::cout << compiled.steps.size() << " operations, " << sum << '\n';
}
