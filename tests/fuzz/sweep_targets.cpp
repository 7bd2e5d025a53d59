// What `tscsim sweep` is told: distributions, quantities.
#include <array>
#include <stdexcept>

#include "seeds.h"
#include "sim/random.h"
#include "sweep/distribution.h"
#include "sweep/quantity.h"
#include "sweep/subject.h"
#include "target.h"

namespace tscsim::fuzz {
namespace {

// Not empirical(): it reads files.
void run_distribution(std::string_view input) {
  if (input.find("empirical") != std::string_view::npos) return;
  try {
    const sweep::Distribution distribution = sweep::parse_variation(std::string(input)).distribution;
    sim::Stream stream(1, "fuzz");
    for (const std::uint64_t run : {std::uint64_t{0}, std::uint64_t{1}, UINT64_MAX})
      distribution.written(distribution.draw(stream, run));
    distribution.written(distribution.typical());
    distribution.grid_points();
  } catch (const std::invalid_argument& error) {
    promise(*error.what() != '\0', "a refusal says something");
  }
}

void run_quantity(std::string_view input) {
  try {
    const sweep::Quantity quantity = sweep::Quantity::parse(std::string(input));
    promise(sweep::Quantity::parse(quantity.text()).text() == quantity.text(), "a quantity is read as it was written");
    quantity.unit();
  } catch (const std::invalid_argument& error) {
    promise(*error.what() != '\0', "a refusal says something");
  }
}

std::vector<std::string> distribution_seeds(const std::string&) {
  return {"downtime=uniform(100 ms, 2 s)",         "timeline.1.at=normal(0 ms, 3 ms)", "a=normal(5 s, 1 ms, 4 s, 6 s)",
          "host.tsc=exponential(5 ms, 1 ms, 1 s)", "17:at=choice(0 ms, 1 ms, 10 ms)",  "x=grid(0 ms, 100 ms, 10 ms)",
          "rate=uniform(2_600_000 kHz, 3 GHz)",    "drift=normal(0 ppm, 1 ppm)",       "n=uniform(1, 64)"};
}

std::vector<std::string> quantity_seeds(const std::string&) {
  std::vector<std::string> texts = {"after.tsc", "after - before - 1 s", "lost = before - after", "e = ns(a.tsc - b)"};
  for (const sweep::Quantity& metric : sweep::all_metrics()) texts.push_back(metric.text());
  return texts;
}

constexpr std::array kTargets = {
    Target{"distribution", "what varies in a sweep, and draws of it", run_distribution, distribution_seeds, Form::text,
           120},
    Target{"quantity", "what a sweep tells of each run", run_quantity, quantity_seeds, Form::text, 120},
};

}  // namespace

std::span<const Target> sweep_targets() { return kTargets; }

}  // namespace tscsim::fuzz
