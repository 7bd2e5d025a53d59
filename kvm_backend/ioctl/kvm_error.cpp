#include "kvm_backend/ioctl/kvm_error.h"

#include <fmt/format.h>

#include <cstring>

namespace tscsim::kvm_backend {

std::string errno_name(int error) {
  const char* name = strerrorname_np(error);  // glibc 2.32
  return name != nullptr ? name : fmt::format("errno {}", error);
}

std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t from_end = 3; from_end < text.size(); from_end += 4) text.insert(text.size() - from_end, 1, '_');
  return text;
}

std::string to_text(const KvmFailure& failure) {
  std::string text = fmt::format("kvm: {}({}) failed: {}", failure.call, failure.arguments, errno_name(failure.error));
  if (!failure.why.empty()) text += "\n  " + failure.why;
  if (!failure.next.empty()) text += "\n  next: " + failure.next;
  return text;
}

KvmError::KvmError(KvmFailure failure) : TargetError(to_text(failure)), failure_(std::move(failure)) {}

}  // namespace tscsim::kvm_backend
