#include "kvm_backend/supervisor.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

#include "kvm_backend/guest_code/guest_vcpu.h"
#include "kvm_backend/host_files.h"
#include "kvm_backend/kvm_required.h"
#include "kvm_backend/trial_vm.h"
#include "ops/executor.h"

namespace tscsim::kvm_backend {
namespace {

using std::chrono::milliseconds;

TEST(Supervise, RunsTheWorkAtItsDueTime) {
  PinnedThread thread(allowed_cpus().front());
  const std::uint64_t due_ns = monotonic_ns() + 2'000'000;
  std::uint64_t ran_ns = 0;
  supervise(thread, {"vcpu 0", due_ns, [&] { ran_ns = monotonic_ns(); }, {}}, {});
  EXPECT_GE(ran_ns, due_ns);
}

TEST(Supervise, AnInterruptEndsAWaitAndTheWorkIsNotDone) {
  PinnedThread thread(allowed_cpus().front());
  std::atomic<bool> interrupted{false};
  std::thread user([&] {
    std::this_thread::sleep_for(milliseconds(30));
    interrupted = true;
  });
  bool worked = false;
  const std::uint64_t start_ns = monotonic_ns();
  EXPECT_THROW(supervise(thread, {"vcpu 0", start_ns + 60'000'000'000, [&] { worked = true; }, {}},
                         {milliseconds(5000), &interrupted}),
               ops::Interrupted);
  EXPECT_FALSE(worked);
  EXPECT_LT(monotonic_ns() - start_ns, 5'000'000'000u);
  user.join();
}

TEST(Supervise, HandsBackWhatTheWorkThrows) {
  PinnedThread thread(allowed_cpus().front());
  EXPECT_THROW(supervise(thread, {"vcpu 0", 0, [] { throw std::logic_error("no"); }, {}}, {}), std::logic_error);
}

TEST(Supervise, AGuestThatDoesNotComeBackIsAnErrorAndNotAHang) {
  TSCSIM_NEEDS_KVM();
  const System system("/dev/kvm");
  TrialVm trial(system, 1);
  const HostClocks clocks;
  PinnedThread thread(allowed_cpus().front());
  ops::Bracket bracket;
  const auto spin = [&] { trial.guest(0).call({GuestCommand::spin}, clocks, bracket); };
  const auto kick = [&] { trial.guest(0).kick(); };
  try {
    supervise(thread, {"vcpu 1", 0, spin, kick}, {milliseconds(100), nullptr});
    FAIL() << "the guest came back";
  } catch (const ops::TargetError& error) {
    EXPECT_STREQ(error.what(),
                 "vcpu 1 did not come back from KVM_RUN within 100 ms\n"
                 "  next: look for a KVM bug in the host's log, or allow more time on a slow host");
  }
  std::atomic<bool> interrupted{true};
  EXPECT_THROW(supervise(thread, {"vcpu 1", 0, spin, kick}, {milliseconds(60'000), &interrupted}), ops::Interrupted);
}

TEST(Supervise, AnInterruptTakesAVcpuOutOfTheGuest) {
  TSCSIM_NEEDS_KVM();
  const System system("/dev/kvm");
  TrialVm trial(system, 1);
  const HostClocks clocks;
  PinnedThread thread(allowed_cpus().front());
  ops::Bracket bracket;
  std::atomic<bool> interrupted{false};
  std::thread user([&] {
    std::this_thread::sleep_for(milliseconds(50));
    interrupted = true;
  });
  EXPECT_THROW(supervise(thread,
                         {"vcpu 0", 0, [&] { trial.guest(0).call({GuestCommand::spin}, clocks, bracket); },
                          [&] { trial.guest(0).kick(); }},
                         {milliseconds(60'000), &interrupted}),
               ops::Interrupted);
  user.join();
}

}  // namespace
}  // namespace tscsim::kvm_backend
