// Hosts of a program that run on this machine, one after the other or beside each other: each is a VM of its own.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "kvm_backend/native_executor.h"
#include "ops/program.h"

namespace tscsim::kvm_backend {

class NativeHosts final : public ops::Executor {
 public:
  // `hosts` are indices into Program::hosts. `saved` is the memory that other hosts put aside elsewhere.
  NativeHosts(const NativeOptions& options, const std::vector<int>& hosts, std::map<int, MemoryImage> saved = {});

  const ops::TargetProfile& profile(int host) const override { return vms_.at(host)->profile(host); }
  void start_clock(int host, std::int64_t now_ns, ops::HostHeader& header) override {
    vms_.at(host)->start_clock(host, now_ns, header);
  }
  ops::Entry execute(const ops::Operation& op) override;

  const std::map<int, MemoryImage>& saved() const { return saved_; }

 private:
  std::map<int, std::unique_ptr<NativeVm>> vms_;
  std::map<int, MemoryImage> saved_;
};

// What a host's CLOCK_REALTIME shows when its part begins, were it the wall clock that the hosts in `earlier` have, wrong
// by what the scenario says. Nothing for the first host.
std::optional<std::uint64_t> realtime_at_start(const ops::Program& program, int host, const ops::Recording& earlier);

}  // namespace tscsim::kvm_backend
