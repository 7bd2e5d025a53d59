// The table of metrics; parser, evaluation, `tscsim list metrics` and `tscsim explain` read it.
#include "scenarios/metrics.h"

#include "scenarios/guest_metrics.h"

namespace tscsim::scenarios {

const std::vector<Metric>& metrics() {
  static const std::vector<Metric> table = [] {
    std::vector<Metric> all{
        {Subject::tsc_offset, "tsc_offset",
         "The TSC offset (KVM_VCPU_TSC_OFFSET, in guest cycles) last read from each vCPU: equal, unequal or a "
         "value.",
         "{tsc_offset: {of: all, is: equal}}"},
        {Subject::tsc_adjust, "tsc_adjust", "The IA32_TSC_ADJUST last read from each vCPU, in guest cycles.",
         "{tsc_adjust: {of: 0, is: 1000}}"},
        {Subject::master_clock, "master_clock",
         "Whether the last KVM_GET_CLOCK had the flag TSC_STABLE, which says that the master clock is in use.",
         "{master_clock: on, at: 5 s}"},
        {Subject::tsc_skew, "tsc_skew",
         "The greatest difference between the guest TSCs that two vCPUs read at the same instant, in guest "
         "cycles.",
         "{tsc_skew: {is: 0}}"},
        {Subject::kvmclock_skew, "kvmclock_skew",
         "The greatest difference between the kvmclocks that two vCPUs' guests read at the same instant, in "
         "ns.",
         "{kvmclock_skew: {at_most: 1 us}}"},
        {Subject::tsc_jump, "tsc_jump",
         "The progress of a vCPU's guest TSC between two readings in a row minus the host's progress, where its size is "
         "greatest, in guest cycles: negative where the guest lost time. 'at_most' bounds its size in both directions, "
         "'at_least' asks for a step forward.",
         "{tsc_jump: {of: 0, is: 100 ms, within: 1 ms}}"},
        {Subject::kvmclock_jump, "kvmclock_jump",
         "The progress of a vCPU's kvmclock between two readings by the guest in a row minus the host's progress, where its "
         "size is greatest, in ns: negative where the guest lost time. 'at_most' bounds its size in both directions, "
         "'at_least' asks for a step forward.",
         "{kvmclock_jump: {of: 0, is: -5 s, within: 1 us}}"},
    };
    all.insert(all.end(), guest_metrics().begin(), guest_metrics().end());
    return all;
  }();
  return table;
}

const Metric* find_metric(std::string_view name) {
  for (const Metric& metric : metrics())
    if (metric.name == name) return &metric;
  return nullptr;
}

std::string_view metric_name(Subject subject) {
  for (const Metric& metric : metrics())
    if (metric.subject == subject) return metric.name;
  return {};
}

}  // namespace tscsim::scenarios
