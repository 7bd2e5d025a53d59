#include "kvm_backend/native_hosts.h"

#include <algorithm>

#include "kvm_backend/probe.h"

namespace tscsim::kvm_backend {

NativeHosts::NativeHosts(const NativeOptions& options, const std::vector<int>& hosts, std::map<int, MemoryImage> saved)
    : saved_(std::move(saved)) {
  NativeOptions shared = options;
  if (!shared.profile) shared.profile = probe_target(options);
  for (const int host : hosts) vms_.emplace(host, open_native(shared));
}

ops::Entry NativeHosts::execute(const ops::Operation& op) {
  NativeVm& vm = *vms_.at(op.host);
  if (op.kind == ops::OpKind::save_memory) return vm.carry_memory(op, saved_[op.host]);
  if (op.kind == ops::OpKind::load_memory) return vm.carry_memory(op, saved_[static_cast<int>(op.value)]);
  return vm.execute(op);
}

std::optional<std::uint64_t> realtime_at_start(const ops::Program& program, int host, const ops::Recording& earlier) {
  const auto begins = std::find_if(program.timeline.begin(), program.timeline.end(),
                                   [=](const ops::Step& step) { return step.op.host == host; });
  const auto seen = std::find_if(earlier.entries.begin(), earlier.entries.end(), [](const ops::Entry& entry) {
    return entry.op.host == 0 && entry.bracket.realtime_ns.lo != 0;
  });
  if (host == 0 || begins == program.timeline.end() || seen == earlier.entries.end()) return std::nullopt;
  const std::uint64_t at_zero = seen->bracket.realtime_ns.lo - (seen->bracket.base_ns.lo - earlier.header.zero_base_ns);
  const std::int64_t error_ns =
      program.hosts[static_cast<std::size_t>(host)].realtime_error_ns - program.hosts.front().realtime_error_ns;
  return at_zero + static_cast<std::uint64_t>(begins->op.at_ns + error_ns);
}

}  // namespace tscsim::kvm_backend
