#include "kvm_backend/pinned_thread.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <stdexcept>

#include "kvm_backend/host_files.h"
#include "ops/error.h"

namespace tscsim::kvm_backend {
namespace {

TEST(PinnedThread, RunsOnItsCpu) {
  for (const int cpu : allowed_cpus()) {
    PinnedThread thread(cpu);
    int seen = -1;
    thread.run([&] { seen = ::sched_getcpu(); });
    EXPECT_EQ(seen, cpu);
  }
}

TEST(PinnedThread, HandsBackWhatTheJobThrows) {
  PinnedThread thread(allowed_cpus().front());
  EXPECT_THROW(thread.run([] { throw std::runtime_error("no"); }), std::runtime_error);
  bool ran = false;
  thread.run([&] { ran = true; });
  EXPECT_TRUE(ran) << "and goes on";
}

TEST(PinnedThread, SaysWhichCpuItCannotHave) {
  try {
    const PinnedThread thread(1023);
    FAIL() << "this machine has 1024 CPUs";
  } catch (const ops::TargetError& error) {
    EXPECT_STREQ(error.what(),
                 "cannot pin a thread to CPU 1023: EINVAL\n  next: run with a CPU set that stays as it is");
  }
}

}  // namespace
}  // namespace tscsim::kvm_backend
