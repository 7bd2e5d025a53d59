#include "kvm_backend/probe.h"

#include <gtest/gtest.h>

#include <iostream>

#include "kvm_backend/kvm_required.h"

namespace tscsim::kvm_backend {
namespace {

TEST(ProbeTarget, SaysThatTheDeviceIsMissing) {
  NativeOptions options;
  options.device = "/no/such/kvm";
  EXPECT_THROW(probe_target(options), ops::TargetError);
  EXPECT_THROW(doctor(options), ops::TargetError);
}

TEST(ProbeTarget, FindsTheHost) {
  TSCSIM_NEEDS_KVM();
  NativeOptions options;
  options.target = "lab:test";
  const ops::TargetProfile profile = probe_target(options);
  EXPECT_EQ(profile.target, "lab:test");
  EXPECT_FALSE(profile.kernel.empty());
  EXPECT_GT(profile.host_khz, 0u);
  EXPECT_GE(profile.pcpus, 1);
}

TEST(Doctor, AgreesWithTheProfileAndNamesEachFindingOnce) {
  TSCSIM_NEEDS_KVM();
  const DoctorReport report = doctor();
  for (const Finding& finding : report.findings) {
    EXPECT_FALSE(finding.value.empty()) << finding.name;
    EXPECT_EQ(report.find(finding.name), &finding);
    std::cout << "  " << finding.name << ": " << finding.value
              << (finding.note.empty() ? "" : " (" + finding.note + ")") << "\n";
  }
  ASSERT_NE(report.find("guest RDTSCP"), nullptr);
  EXPECT_EQ(report.find("guest RDTSCP")->value, report.profile.guest_rdtscp ? "yes" : "no");
  ASSERT_NE(report.find("KVM_VCPU_TSC_OFFSET"), nullptr);
  EXPECT_EQ(report.find("KVM_VCPU_TSC_OFFSET")->value, report.profile.offset_attribute ? "yes" : "no");
  EXPECT_EQ(report.find("no such finding"), nullptr);
}

}  // namespace
}  // namespace tscsim::kvm_backend
