// Guests that count at another rate than the one they were saved with.
#include <fmt/format.h>

#include "verdict/findings/families.h"
#include "verdict/words.h"

namespace tscsim::verdict::findings {
namespace {

struct Rate {
  std::size_t vcpu = 0;
  std::uint64_t saved_khz = 0;
  std::uint64_t true_khz = 0;

  Wide ppb() const { return formula::rate_error_ppb(true_khz, saved_khz); }
  bool tolerated() const {
    const model::ToleranceBand band = model::tolerance_band(static_cast<std::uint32_t>(true_khz));
    return band.contains(static_cast<std::uint32_t>(saved_khz));
  }
  std::string text() const {
    return fmt::format("saved at {} kHz, counts at {} kHz now ({} ppm)", digits(Wide{saved_khz}),
                       digits(Wide{true_khz}), digits(floor_div(ppb(), 1000)));
  }
};

// What a guest was saved with: its rate on the source, or what the VMM asked for.
std::vector<Rate> changed_rates(const Case& c, const Disturbance& d) {
  std::vector<Rate> rates;
  const VmView& now = c.course.after(d.end());
  const VmView* before = d.before ? &c.course.after(*d.before) : nullptr;
  for (std::size_t v = 0; v < now.vcpus.size(); ++v) {
    const bool known = before != nullptr && v < before->vcpus.size();
    const Rate rate{v, known ? before->vcpus[v].khz : now.vcpus[v].khz, now.vcpus[v].true_khz};
    if (rate.saved_khz != rate.true_khz) rates.push_back(rate);
  }
  return rates;
}

void report(const Case& c, Sink& sink, bool tolerated) {
  for (const Disturbance& d : c.disturbances) {
    if (!restores(d)) continue;
    std::vector<std::int32_t> vcpus;
    std::string text;
    for (const Rate& rate : changed_rates(c, d)) {
      if (rate.tolerated() != tolerated) continue;
      vcpus.push_back(static_cast<std::int32_t>(rate.vcpu));
      text = rate.text();
    }
    if (!vcpus.empty()) sink.add(d.end(), vcpus, vcpus_text(vcpus) + (vcpus.size() == 1 ? " was " : " were ") + text);
  }
}

}  // namespace

void khz_silent_250ppm(const Case& c, Sink& sink) { report(c, sink, true); }
void khz_missing(const Case& c, Sink& sink) { report(c, sink, false); }

}  // namespace tscsim::verdict::findings
