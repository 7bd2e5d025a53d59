#include "kvm_backend/guest_code/guest_vcpu.h"

#include <fmt/format.h>

#include <cerrno>

#include "kvm_backend/guest_code/boot_state.h"
#include "kvm_backend/guest_code/guest_code.h"
#include "kvm_backend/ioctl/kvm_error.h"

namespace tscsim::kvm_backend {

namespace {

// An update of the page takes far less than one turn of the guest's loop; so many in a row mean that it never
// ends.
constexpr std::uint64_t kPvclockRetries = 1000;

GuestPage copy_of(const volatile GuestPage& page) {
  GuestPage copy;
#define TSCSIM_FIELD(name, offset) copy.name = page.name;
  TSCSIM_GUEST_PAGE(TSCSIM_FIELD)
#undef TSCSIM_FIELD
  return copy;
}

bool is_done_exit(const kvm_run& run) {
  return run.exit_reason == KVM_EXIT_IO && run.io.direction == KVM_EXIT_IO_OUT && run.io.port == kDonePort;
}

std::string fault_text(std::uint64_t fault) {
  if (fault == guest_fault::kGeneralProtection) return "#GP";
  if (fault == guest_fault::kUndefinedOpcode) return "#UD";
  if (fault == guest_fault::kRetriesUsedUp)
    return fmt::format("the page's version did not stand still in {} tries", kPvclockRetries);
  if (fault == guest_fault::kPageInvalid) return "the page's sequence is 0: the guest is to read the MSR instead";
  if (fault == guest_fault::kUnknownCommand) return "the guest does not know this command";
  return fmt::format("exception {}", fault);
}

std::string internal_error_text(std::uint32_t suberror) {
  // include/uapi/linux/kvm.h, KVM_INTERNAL_ERROR_*.
  switch (suberror) {
    case 1:
      return "emulation failed";
    case 2:
      return "simultaneous exceptions";
    case 3:
      return "exit while an event was delivered";
    case 4:
      return "unexpected exit reason";
    default:
      return "unknown";
  }
}

}  // namespace

std::string exit_text(const kvm_run& run) {
  switch (run.exit_reason) {
    case KVM_EXIT_IO:
      return fmt::format("KVM_EXIT_IO (port {:#x})", run.io.port);
    case KVM_EXIT_HLT:
      return "KVM_EXIT_HLT";
    case KVM_EXIT_MMIO:
      return fmt::format("KVM_EXIT_MMIO (address {:#x})", std::uint64_t{run.mmio.phys_addr});
    case KVM_EXIT_SHUTDOWN:
      return "KVM_EXIT_SHUTDOWN";
    case KVM_EXIT_FAIL_ENTRY:
      return fmt::format("KVM_EXIT_FAIL_ENTRY (reason {:#x})",
                         std::uint64_t{run.fail_entry.hardware_entry_failure_reason});
    case KVM_EXIT_INTERNAL_ERROR:
      return fmt::format("KVM_EXIT_INTERNAL_ERROR (suberror {}: {})", std::uint32_t{run.internal.suberror},
                         internal_error_text(run.internal.suberror));
    default:
      return fmt::format("KVM exit reason {}", std::uint32_t{run.exit_reason});
  }
}

GuestVcpu::GuestVcpu(Vcpu vcpu, int index, GuestMemory& memory)
    : vcpu_(std::move(vcpu)), index_(index), memory_(&memory) {}

void GuestVcpu::boot(const System& system, const Platform& platform) {
  auto cpuid = boot_cpuid(system.supported_cpuid(), index_);
  if (platform.hyperv) cpuid = with_hyperv(std::move(cpuid));
  if (platform.local_apics) cpuid = with_deadline_timer(std::move(cpuid));
  vcpu_.set_cpuid(cpuid);
  boot_sregs_ = boot_sregs(vcpu_.get_sregs());
  vcpu_.set_sregs(boot_sregs_);
  vcpu_.set_regs(boot_regs(index_));
  if (platform.local_apics) vcpu_.make_runnable();
}

void GuestVcpu::restart() {
  vcpu_.clear_events();
  vcpu_.set_sregs(boot_sregs_);
  vcpu_.set_regs(boot_regs(index_));
}

void GuestVcpu::write_command(const GuestCall& call) {
  volatile GuestPage& page = memory_->command_page(index_);
  page.command = static_cast<std::uint64_t>(call.command);
  page.msr = call.msr;
  page.operand = call.operand;
  page.retry_limit = kPvclockRetries;
  page.stack_top = guest_map::stack_top(index_);
}

// EINTR with no kick behind it is a stray signal (a debugger, job control): the guest goes on where it was.
CallResult GuestVcpu::enter() {
  for (;;) {
    const CallResult result = vcpu_.run();
    if (result.error != EINTR || kicked_) return result;
  }
}

GuestResult GuestVcpu::call(const GuestCall& call, const HostClocks& clocks, ops::Bracket& bracket) {
  write_command(call);
  const std::uint64_t completed_before = memory_->command_page(index_).completed;
  kicked_ = false;
  vcpu_.exit_at_once(false);
  clocks.open(bracket);
  const CallResult entered = enter();
  clocks.close(bracket);
  if (entered.error == EINTR) {
    vcpu_.exit_at_once(false);
    restart();
    return {GuestEnd::kicked, 0, {}, "taken out of KVM_RUN"};
  }
  if (!entered.ok()) return {GuestEnd::refused, entered.error, {}, "KVM_RUN failed: " + errno_name(entered.error)};
  GuestResult result = read_result();
  if (result.end != GuestEnd::stuck && result.page.completed != completed_before + 1) {
    result = {GuestEnd::stuck, 0, {}, "the guest left without having executed its command"};
    restart();
  }
  return result;
}

GuestResult GuestVcpu::read_result() {
  if (!is_done_exit(vcpu_.run_area())) {
    GuestResult stuck{GuestEnd::stuck, 0, {}, exit_text(vcpu_.run_area())};
    restart();
    return stuck;
  }
  GuestResult result{GuestEnd::done, 0, copy_of(memory_->command_page(index_)), ""};
  if (result.page.fault != guest_fault::kNone) {
    result.end = GuestEnd::fault;
    result.note = fault_text(result.page.fault);
  }
  return result;
}

void GuestVcpu::kick() {
  kicked_ = true;
  vcpu_.exit_at_once(true);
}

}  // namespace tscsim::kvm_backend
