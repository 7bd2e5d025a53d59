// vCPUs that were created at the wrong moment or at the wrong rate, and so do not share a generation.
#include <fmt/format.h>

#include <algorithm>

#include "verdict/findings/families.h"
#include "verdict/words.h"

namespace tscsim::verdict::findings {
namespace {

bool common_generation(const VmView& vm) {
  return std::all_of(vm.vcpus.begin(), vm.vcpus.end(),
                     [&](const VcpuView& v) { return v.generation == vm.vcpus.front().generation; });
}

// Those outside the generation that counts.
std::vector<std::int32_t> outside(const VmView& vm) {
  std::vector<std::int32_t> found;
  for (std::size_t v = 0; v < vm.vcpus.size(); ++v)
    if (vm.vcpus[v].generation != vm.generation) found.push_back(static_cast<std::int32_t>(v));
  return found;
}

}  // namespace

// Where a later write brings all of them into one generation, the order did no harm.
void interleaved_create(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances) {
    const VmView& end = c.course.after(d.end());
    const auto generation = [&](std::int32_t vcpu) { return end.vcpus[static_cast<std::size_t>(vcpu)].generation; };
    std::optional<std::size_t> written;
    for (const std::size_t i : done(c, d)) {
      const ops::Operation& op = c.course.op(i);
      if (op.host != d.host) continue;
      if (op.kind == ops::OpKind::create_vm) written.reset();
      if (writes_tsc(op) && op.value > 1) written = i;
      if (op.kind != ops::OpKind::create_vcpu || !written) continue;
      const std::int32_t first = c.course.op(*written).vcpu;
      const bool there = static_cast<std::size_t>(std::max(first, op.vcpu)) < end.vcpus.size();
      if (!there || generation(first) == generation(op.vcpu)) continue;
      sink.add(i, {first, op.vcpu},
               fmt::format(
                   "vCPU {} is created after the TSC of vCPU {} was restored ({}): creation writes 0, so that the next "
                   "restored value lies outside the window",
                   op.vcpu, first, place_text(c.course, *written)));
      break;
    }
  }
}

void no_common_generation(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances) {
    const VmView& now = c.course.after(d.end());
    if (common_generation(now)) continue;
    if (d.before && d.host == d.from_host) {
      const VmView& before = c.course.after(*d.before);
      if (before.vcpus.size() == now.vcpus.size() && !common_generation(before) && before.generation == now.generation)
        continue;
    }
    sink.add(
        d.end(), outside(now),
        fmt::format("{} {} not in the generation of the last write ({} of {} vCPUs are)", vcpus_text(outside(now)),
                    outside(now).size() == 1 ? "is" : "are", now.vcpus.size() - outside(now).size(), now.vcpus.size()));
  }
}

void khz_after_create(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances) {
    const VmView& end = c.course.after(d.end());
    for (const std::size_t i : done(c, d)) {
      const ops::Operation& op = c.course.op(i);
      if (op.kind != ops::OpKind::create_vcpu || op.host != d.host || op.vcpu == 0) continue;
      const VmView& now = c.course.after(i);
      const std::uint32_t khz = now.vcpus.back().khz;
      const bool differs = now.vcpus.front().khz != khz;
      const auto v = static_cast<std::size_t>(op.vcpu);
      if (!differs || v >= end.vcpus.size()) continue;  // of a VM that another one has replaced since
      if (end.vcpus[v].generation == end.vcpus.front().generation) continue;
      sink.add(i, {op.vcpu},
               fmt::format("vCPU {} is created at {} kHz, the VM's default, while the others run at {} kHz", op.vcpu,
                           digits(khz), digits(now.vcpus.front().khz)));
    }
  }
}

}  // namespace tscsim::verdict::findings
