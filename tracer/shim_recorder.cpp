// Recording by the preloaded shim: a shared mapping is made, the command started with the shim before its libraries,
// and what lies in the mapping is read when everything that came of the command has ended.
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>

#include "base/interrupt.h"
#include "kvm_backend/ioctl/fd.h"
#include "ops/error.h"
#include "tracer/child.h"
#include "tracer/raw_clocks.h"
#include "tracer/recorder.h"
#include "tracer/shared_log.h"

namespace tscsim::tracer {
namespace {

using namespace std::chrono_literals;

// How long a command may take to end after it was asked to.
constexpr auto kPatience = 700ms;  // an interrupt ends the program within a second

class LogMemory {
 public:
  LogMemory() : fd_(::memfd_create("tscsim-trace", MFD_CLOEXEC)) {
    void* at = MAP_FAILED;
    if (fd_ && ::ftruncate(fd_.number(), sizeof(SharedLog)) == 0)
      at = ::mmap(nullptr, sizeof(SharedLog), PROT_READ | PROT_WRITE, MAP_SHARED, fd_.number(), 0);
    if (at == MAP_FAILED)
      throw ops::TargetError(fmt::format("no shared memory for the recording: {}", std::strerror(errno)));
    mapping_ = kvm_backend::Mapping(at, sizeof(SharedLog));
    log().magic = kLogMagic;  // all else begins as zeros
  }

  SharedLog& log() const { return *reinterpret_cast<SharedLog*>(mapping_.data()); }
  std::string path() const { return fmt::format("/proc/{}/fd/{}", ::getpid(), fd_.number()); }

 private:
  kvm_backend::Fd fd_;
  kvm_backend::Mapping mapping_;
};

void preload(const Order& order, const std::string& log_path) {
  const char* const already = std::getenv("LD_PRELOAD");
  const std::string list = already != nullptr ? order.shim.string() + ":" + already : order.shim.string();
  ::setenv("LD_PRELOAD", list.c_str(), 1);
  ::setenv(kLogVariable, log_path.c_str(), 1);
}

// Ends when the command and all that it started have ended. An interrupt is passed on once.
class Waiting {
 public:
  Waiting(const Order& order, pid_t command) : order_(order), command_(command) {}

  Witnessed wait() {
    Witnessed result;
    for (;;) {
      int status = 0;
      const pid_t ended = ::waitpid(-1, &status, WNOHANG | __WALL);
      if (ended == command_) result.end = command_end(status);
      if (ended < 0 && errno == ECHILD) break;
      if (ended > 0) continue;
      if (patience_is_over()) {
        result.cut = "the command went on when it was asked to end";
        return result;
      }
      std::this_thread::sleep_for(10ms);
    }
    result.cut = cut_by(result.end);
    return result;
  }

 private:
  bool patience_is_over() {
    if (order_.interrupted == nullptr || !*order_.interrupted) return false;
    base::interrupted();  // heard: what was seen is kept
    const auto now = std::chrono::steady_clock::now();
    if (!asked_) {
      asked_ = now;
      ::kill(command_, SIGTERM);
    }
    return now - *asked_ > kPatience;
  }

  const Order& order_;
  pid_t command_;
  std::optional<std::chrono::steady_clock::time_point> asked_;
};

void take_calls(const SharedLog& log, Seen& seen) {
  const std::uint32_t taken = log.calls.load();
  const std::size_t kept = std::min<std::size_t>(taken, kLogCalls);
  for (std::size_t i = 0; i < kept; ++i)
    if (log.call[i].complete.load(std::memory_order_acquire)) seen.calls.push_back(log.call[i].call);
  seen.lost = taken - kept;
  for (std::uint32_t vm = 1; vm <= std::min<std::uint32_t>(log.vms.load(), kMostVms); ++vm)
    seen.commands[vm] = log.vm[vm].command;
}

// A KVM_RUN that has not returned lasts until now.
void take_vcpus(const SharedLog& log, Seen& seen) {
  const std::size_t used = std::min<std::size_t>(log.vcpus.load(), kMostVcpus);
  for (std::size_t i = 0; i < used; ++i) {
    const VcpuSlot& slot = log.vcpu[i];
    seen.runs[{slot.vm, slot.vcpu}] = slot.runs.load();
    if (!slot.inside.load(std::memory_order_acquire)) continue;
    RawCall call = slot.first;
    call.returned = false;
    call.end = clocks_after();
    call.cpu_after = call.cpu_before;
    seen.calls.push_back(call);
  }
}

void pass_on_texts(const SharedLog& log, const Order& order) {
  if (!order.notice) return;
  for (const LogText& line : log.text)
    if (line.complete.load(std::memory_order_acquire))
      order.notice(fmt::format("process {} {}", line.pid, line.text.data()));
}

}  // namespace

Witnessed record_by_shim(const Order& order) {
  if (!std::filesystem::exists(order.shim))
    throw ops::TargetError(
        fmt::format("{} is missing: the library to preload, built with tscsim", order.shim.string()));
  const LogMemory memory;
  const std::string log_path = memory.path();
  Child child(order, [&] { preload(order, log_path); });
  child.go();
  child.check_started();
  Witnessed result = Waiting(order, child.pid()).wait();
  const SharedLog& log = memory.log();
  take_calls(log, result.seen);
  take_vcpus(log, result.seen);
  for (std::size_t key = 0; key < kRequestKeys; ++key) result.seen.others[key] = log.others[key].load();
  pass_on_texts(log, order);
  return result;
}

}  // namespace tscsim::tracer
