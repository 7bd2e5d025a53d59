// For tests: why /dev/kvm cannot be used here, so that a test that needs it skips with the reason.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "kvm_backend/ioctl/system.h"
#include "ops/error.h"

namespace tscsim::kvm_backend {

inline std::string why_no_kvm() {
  try {
    const System system("/dev/kvm");
    return "";
  } catch (const ops::TargetError& error) {
    return error.what();
  }
}

}  // namespace tscsim::kvm_backend

#define TSCSIM_NEEDS_KVM() \
  if (const std::string why = ::tscsim::kvm_backend::why_no_kvm(); !why.empty()) GTEST_SKIP() << why
