// One error type for everything that goes wrong at the KVM interface while a target is being set up: it names
// the call, what we asked, the errno and the next step. A refusal of an *operation* is not an error but an
// Outcome.
#pragma once

#include <cstdint>
#include <string>

#include "ops/error.h"

namespace tscsim::kvm_backend {

struct KvmFailure {
  std::string call;       // "KVM_SET_TSC_KHZ"
  std::string arguments;  // "vcpu 1, 2_000_000 kHz"; may be empty
  int error = 0;          // positive errno
  std::string why;        // one line about this host; may be empty
  std::string next;       // what the reader can do; may be empty
};

// kvm: KVM_SET_TSC_KHZ(vcpu 1, 2_000_000 kHz) failed: EINVAL
//   this host has no TSC scaling
//   next: ask for 2_999_250 kHz or more
std::string to_text(const KvmFailure& failure);

class KvmError : public ops::TargetError {
 public:
  explicit KvmError(KvmFailure failure);
  const KvmFailure& failure() const { return failure_; }
  int error() const { return failure_.error; }

 private:
  KvmFailure failure_;
};

// "EINVAL"; "errno 4095" when it has no name.
std::string errno_name(int error);

// 2000000 -> "2_000_000".
std::string grouped(std::uint64_t number);

}  // namespace tscsim::kvm_backend
