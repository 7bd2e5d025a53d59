#include "kvm_backend/ioctl/system.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "kvm_backend/ioctl/kvm_error.h"

namespace tscsim::kvm_backend {

namespace {

[[noreturn]] void throw_cannot_open(const std::string& device, int error) {
  if (error == ENOENT)
    throw ops::TargetError(
        fmt::format("{} does not exist: this kernel has no KVM, or its module is not loaded\n"
                    "  next: load kvm-intel or kvm-amd, enable nested virtualisation, or use a lab target",
                    device));
  if (error == EACCES || error == EPERM)
    throw ops::TargetError(
        fmt::format("{} is not permitted: opening it failed: {}\n"
                    "  next: join the group 'kvm' (usermod -aG kvm USER), or run as root",
                    device, errno_name(error)));
  throw ops::TargetError(
      fmt::format("{} cannot be opened: {}\n"
                  "  next: check that KVM works on this host, or use a lab target",
                  device, errno_name(error)));
}

void check_api_version(const Fd& fd, const std::string& device) {
  const CallResult version = fd.call(KVM_GET_API_VERSION);
  if (!version.ok())
    throw ops::TargetError(
        fmt::format("{} is not a KVM device: KVM_GET_API_VERSION failed: {}\n"
                    "  next: name the KVM device, usually /dev/kvm",
                    device, errno_name(version.error)));
  if (version.value != abi::kApiVersion)
    throw ops::TargetError(
        fmt::format("{} speaks version {} of the KVM API; only version {} is known\n"
                    "  next: use a kernel whose KVM speaks version {}",
                    device, version.value, abi::kApiVersion, abi::kApiVersion));
}

}  // namespace

System::System(const std::string& device) {
  OpenResult opened = open_file(device.c_str(), O_RDWR);
  if (!opened.fd) throw_cannot_open(device, opened.error);
  fd_ = std::move(opened.fd);
  check_api_version(fd_, device);
  const CallResult bytes = fd_.call(KVM_GET_VCPU_MMAP_SIZE);
  if (!bytes.ok()) throw KvmError({"KVM_GET_VCPU_MMAP_SIZE", "", bytes.error, "", ""});
  vcpu_mmap_bytes_ = static_cast<std::size_t>(bytes.value);
}

int System::check_extension(long capability) const {
  const CallResult result = fd_.call(KVM_CHECK_EXTENSION, static_cast<std::uint64_t>(capability));
  return result.ok() ? result.value : 0;
}

std::vector<kvm_cpuid_entry2> System::supported_cpuid() const {
  // The kernel refuses with E2BIG until the table has room for all entries.
  for (std::uint32_t room = 128;; room *= 2) {
    std::vector<std::byte> raw(sizeof(abi::CpuidHead) + room * sizeof(kvm_cpuid_entry2));
    abi::CpuidHead head;
    head.nent = room;
    std::memcpy(raw.data(), &head, sizeof head);
    const CallResult result = fd_.call(abi::kGetSupportedCpuid, raw.data());
    if (result.error == E2BIG && room < 4096) continue;
    if (!result.ok())
      throw KvmError({"KVM_GET_SUPPORTED_CPUID", fmt::format("{} entries", room), result.error, "", ""});
    std::memcpy(&head, raw.data(), sizeof head);
    std::vector<kvm_cpuid_entry2> entries(head.nent);
    std::memcpy(entries.data(), raw.data() + sizeof head, head.nent * sizeof(kvm_cpuid_entry2));
    return entries;
  }
}

}  // namespace tscsim::kvm_backend
