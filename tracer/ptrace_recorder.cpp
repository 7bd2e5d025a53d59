// Recording by ptrace. A seccomp filter, installed in the command before it begins, stops it at KVM's calls only, and not
// at KVM_RUN: a thread is stopped at all its calls just from one that was kept to its next KVM_RUN, which is then noted.
// A process that runs already has no filter and is stopped at every system call.
#include <fmt/format.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <exception>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <thread>

#include "base/interrupt.h"
#include "ops/error.h"
#include "tracer/child.h"
#include "tracer/payload.h"
#include "tracer/proc_files.h"
#include "tracer/raw_clocks.h"
#include "tracer/recorder.h"

namespace tscsim::tracer {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 700ms;  // an interrupt ends the program within a second
// A thread that has made so many calls without KVM_RUN is none that runs a vCPU.
constexpr int kMostWatchedCalls = 2000;
constexpr unsigned kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                              PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP;

// Stops at ioctl() with a number of KVM's, but for KVM_RUN.
void install_filter() {
  constexpr std::uint32_t kNumber = offsetof(seccomp_data, args[1]);
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 7),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNumber),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KVM_RUN, 3, 0),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff00),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KVMIO << 8, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0) return;
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);  // who may not filter otherwise may so
  ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

struct KvmObject {
  KvmFile file;
  std::uint32_t vm = kNoVm;
};

struct Thread {
  std::uint32_t process = 0;
  std::optional<RawCall> call;  // that it is in, if it is one to keep
  unsigned long argument = 0;
  std::uint32_t runs_vm = kNoVm;      // it has called on vCPUs of this VM,
  std::set<std::int32_t> runs_vcpus;  // these
  bool awaits_run = false;            // stopped at every call until KVM_RUN of each of them has been noted
  int calls = 0;                      // since then

  void watch() {
    awaits_run = true;
    calls = 0;
  }
};

struct Vm {
  std::uint64_t changes = 0;                           // calls other than KVM_RUN
  std::map<std::int32_t, std::uint64_t> seen_changes;  // at a vCPU's last KVM_RUN that was kept
};

// A thread that waits for the command to start. It is joined whatever happens: where the loop has thrown, the command is
// killed first, which ends the wait.
class Joined {
 public:
  template <class Work>
  Joined(pid_t command, Work work) : command_(command), thread_(std::move(work)) {}
  Joined(const Joined&) = delete;
  Joined& operator=(const Joined&) = delete;
  ~Joined() {
    if (std::uncaught_exceptions() > exceptions_) ::kill(command_, SIGKILL);
    thread_.join();
  }

 private:
  const int exceptions_ = std::uncaught_exceptions();
  pid_t command_;
  std::thread thread_;
};

class Ptrace {
 public:
  explicit Ptrace(const Order& order) : order_(order) {}

  Witnessed launch() {
    Child child(order_, install_filter);
    seize(child.pid());
    command_ = child.pid();
    child.go();
    // The command's first stops come before it has become the command, so it cannot be waited for here.
    {
      const Joined failed_start(child.pid(), [&] {
        try {
          child.check_started();
        } catch (const ops::InputError&) {
          start_failure_ = std::current_exception();
        }
      });
      loop();
    }
    if (start_failure_) std::rethrow_exception(start_failure_);
    result_.cut = !result_.cut.empty() ? result_.cut : cut_by(result_.end);
    return std::move(result_);
  }

  Witnessed attach() {
    every_call_ = true;
    command_ = order_.pid;
    seize_all_threads();
    find_open_files();
    loop();
    return std::move(result_);
  }

 private:
  // ---- threads

  void seize(pid_t tid) {
    if (::ptrace(PTRACE_SEIZE, tid, nullptr, kOptions) != 0)
      throw ops::TargetError(fmt::format(
          "process {} cannot be traced: {}\n  next: be its owner or root, and see /proc/sys/kernel/yama/ptrace_scope",
          tid, std::strerror(errno)));
    add(tid);
  }

  Thread& add(pid_t tid) {
    Thread& thread = threads_[tid];
    thread.process = process_of(tid);
    return thread;
  }

  static std::uint32_t process_of(pid_t tid) {
    std::ifstream status(fmt::format("/proc/{}/status", tid));
    for (std::string line; std::getline(status, line);)
      if (line.rfind("Tgid:", 0) == 0) return static_cast<std::uint32_t>(std::stoul(line.substr(5)));
    return static_cast<std::uint32_t>(tid);
  }

  void seize_all_threads() {
    const std::filesystem::path tasks = fmt::format("/proc/{}/task", order_.pid);
    std::error_code error;
    bool found = true;
    while (found) {  // threads may be born meanwhile
      found = false;
      for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
        const pid_t tid = std::stoi(task.path().filename());
        if (threads_.contains(tid)) continue;
        seize(tid);
        ::ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr);
        found = true;
      }
    }
    if (threads_.empty())
      throw ops::InputError(ops::Diagnostic{
          {}, fmt::format("there is no process {}", order_.pid), "give the number of a running process", "", 1});
  }

  // ---- the loop

  void loop() {
    while (!threads_.empty() && !left_) {
      int status = 0;
      const pid_t tid = ::waitpid(-1, &status, __WALL | (interrupted() ? WNOHANG : 0));
      const RawClocks clocks = clocks_after();
      if (tid > 0) stopped(tid, status, clocks);
      else if (tid == 0) std::this_thread::sleep_for(10ms);
      else if (errno == ECHILD) break;
      if (interrupted()) end_early();
    }
  }

  bool interrupted() const {
    const bool asked = order_.interrupted != nullptr && *order_.interrupted;
    if (asked) base::interrupted();  // heard: what was seen is kept
    return asked;
  }

  // Asks a command of ours to end, and leaves one that is not.
  void end_early() {
    const auto now = std::chrono::steady_clock::now();
    if (!asked_) {
      asked_ = now;
      if (every_call_)
        for (const auto& [tid, thread] : threads_) ::ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr);
      else ::kill(command_, SIGTERM);
    }
    if (now - *asked_ < kPatience) return;
    result_.cut = every_call_ ? "the recorder left" : "the command went on when it was asked to end";
    left_ = true;
  }

  void stopped(pid_t tid, int status, const RawClocks& clocks) {
    if (WIFEXITED(status) || WIFSIGNALED(status)) return ended(tid, status, clocks);
    if (!WIFSTOPPED(status)) return;
    if (!threads_.contains(tid)) add(tid);
    const int event = status >> 16;
    const int signal = WSTOPSIG(status);
    if (every_call_ && asked_) return leave(tid, event == 0 && signal != (SIGTRAP | 0x80) ? signal : 0);
    if (signal == (SIGTRAP | 0x80) || event == PTRACE_EVENT_SECCOMP) return at_call(tid, clocks);
    if (event == PTRACE_EVENT_STOP) return at_event_stop(tid, signal);
    if (event == PTRACE_EVENT_EXEC) forget_other_threads(tid);
    if (event == PTRACE_EVENT_CLONE) note_new_thread(tid);
    go_on(tid, event == 0 ? signal : 0);
  }

  void at_event_stop(pid_t tid, int signal) {
    const bool group_stop = signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
    if (group_stop) ::ptrace(PTRACE_LISTEN, tid, nullptr, nullptr);
    else go_on(tid, 0);
  }

  void leave(pid_t tid, int signal) {
    ::ptrace(PTRACE_DETACH, tid, nullptr, static_cast<std::uintptr_t>(signal));
    threads_.erase(tid);
    if (threads_.empty()) result_.cut = "the recorder left while the process went on";
  }

  void go_on(pid_t tid, int signal) {
    const Thread& thread = threads_.at(tid);
    const bool every = every_call_ || thread.awaits_run || thread.call;
    ::ptrace(every ? PTRACE_SYSCALL : PTRACE_CONT, tid, nullptr, static_cast<std::uintptr_t>(signal));
  }

  void ended(pid_t tid, int status, const RawClocks& clocks) {
    if (const auto found = threads_.find(tid); found != threads_.end()) {
      keep_unfinished_run(found->second, clocks);
      threads_.erase(found);
    }
    if (tid == command_) result_.end = command_end(status);
  }

  void forget_other_threads(pid_t leader) {
    const std::uint32_t process = threads_.at(leader).process;
    std::erase_if(threads_, [&](const auto& item) { return item.second.process == process && item.first != leader; });
    threads_.at(leader) = {};
    threads_.at(leader).process = process;
    std::erase_if(objects_, [&](const auto& item) { return item.first.first == process; });
  }

  // A new thread of a process that has a VM may be one that runs a vCPU.
  void note_new_thread(pid_t parent) {
    unsigned long tid = 0;
    if (::ptrace(PTRACE_GETEVENTMSG, parent, nullptr, &tid) != 0) return;
    Thread& thread = add(static_cast<pid_t>(tid));
    const auto of_process = [&](const auto& item) {
      return item.first.first == thread.process && item.second.vm != kNoVm;
    };
    if (std::any_of(objects_.begin(), objects_.end(), of_process)) thread.watch();
  }

  // ---- calls

  void at_call(pid_t tid, const RawClocks& clocks) {
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) < 0) return go_on(tid, 0);
    Thread& thread = threads_.at(tid);
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
      if (thread.call) finish(tid, thread, info.exit.rval, clocks);
      if (++thread.calls > kMostWatchedCalls) thread.awaits_run = false;
    } else {
      const auto& entry = info.entry;                                 // the same in a stop by the filter
      const auto number = static_cast<std::uint32_t>(entry.args[1]);  // as the kernel takes it; some keep it as an int
      thread.call.reset();
      if (entry.nr == SYS_ioctl && is_kvm_request(number))
        begin(tid, thread, static_cast<int>(entry.args[0]), number, entry.args[2],
              info.op == PTRACE_SYSCALL_INFO_SECCOMP);
    }
    go_on(tid, 0);
  }

  void count(unsigned long number) { ++result_.seen.others[request_key(number)]; }

  // A call that stops twice, for the filter too, is looked at the second time.
  bool stops_again(unsigned long number, bool by_filter) const {
    return !every_call_ && !by_filter && number != KVM_RUN;
  }

  void begin(pid_t tid, Thread& thread, int fd, unsigned long number, unsigned long argument, bool by_filter) {
    if (stops_again(number, by_filter)) return;
    if (!is_recorded(number)) return count(number);
    const KvmObject object = object_at(thread.process, fd);
    if (!fits(number, object.file.kind)) return count(number);
    if (number == KVM_RUN && !run_to_note(thread, object)) return;
    RawCall call;
    call.request = static_cast<std::uint32_t>(number);
    call.vm = object.vm;
    call.vcpu = object.file.vcpu;
    call.pid = thread.process;
    call.tid = static_cast<std::uint32_t>(tid);
    call.runs = runs_before(object);
    call.cpu_before = cpu_of(thread.process, tid);
    call.begin = clocks_before();
    thread.call = call;
    thread.argument = argument;
  }

  static bool fits(unsigned long number, FileKind kind) {
    if (number == KVM_CREATE_VM) return kind == FileKind::system;
    return kind == FileKind::vcpu || (kind == FileKind::vm && number != KVM_RUN);
  }

  bool run_to_note(Thread& thread, const KvmObject& object) {
    note_use(thread, object.vm, object.file.vcpu);
    if (every_call_) ++result_.seen.runs[{object.vm, object.file.vcpu}];
    Vm& vm = vms_[object.vm];
    std::uint64_t& seen = vm.seen_changes[object.file.vcpu];
    const bool to_note = seen != vm.changes;
    seen = vm.changes;
    const auto noted = [&](std::int32_t vcpu) { return vm.seen_changes[vcpu] == vm.changes; };
    if (std::all_of(thread.runs_vcpus.begin(), thread.runs_vcpus.end(), noted)) thread.awaits_run = false;
    return to_note;
  }

  static void note_use(Thread& thread, std::uint32_t vm, std::int32_t vcpu) {
    if (thread.runs_vm != vm) thread.runs_vcpus.clear();
    thread.runs_vm = vm;
    thread.runs_vcpus.insert(vcpu);
  }

  std::uint64_t runs_before(const KvmObject& object) const {
    const auto runs = result_.seen.runs.find({object.vm, object.file.vcpu});
    return runs == result_.seen.runs.end() ? 0 : runs->second - 1;
  }

  void finish(pid_t tid, Thread& thread, std::int64_t value, const RawClocks& clocks) {
    RawCall call = *thread.call;
    thread.call.reset();
    call.end = clocks;
    call.cpu_after = cpu_of(thread.process, tid);
    call.result = value < 0 ? -1 : static_cast<std::int32_t>(value);
    call.error = value < 0 ? static_cast<std::int32_t>(-value) : 0;
    const auto read = [tid](std::uint64_t address, void* to, std::size_t bytes) {
      return read_memory(tid, address, to, bytes);
    };
    if (call.request == KVM_RUN) return finish_run(thread, call);
    if (!read_payload(call, thread.argument, read)) return count(call.request);
    learn_created(call);
    keep(call);
    ++vms_[call.vm].changes;
    if (call.vcpu != kNoVcpu) note_use(thread, call.vm, call.vcpu);
    watch_for_runs(tid, call.vm);
  }

  // One that failed may not have entered the guest: the next one is noted, too.
  void finish_run(Thread& thread, const RawCall& call) {
    keep(call);
    if (call.error == 0) return;
    thread.watch();
    --vms_[call.vm].seen_changes[call.vcpu];
  }

  void keep(const RawCall& call) { result_.seen.calls.push_back(call); }

  void keep_unfinished_run(Thread& thread, const RawClocks& clocks) {
    if (!thread.call || thread.call->request != KVM_RUN) return;
    thread.call->returned = false;
    thread.call->end = clocks;
    thread.call->cpu_after = thread.call->cpu_before;
    keep(*thread.call);
  }

  static bool read_memory(pid_t tid, std::uint64_t address, void* to, std::size_t bytes) {
    const iovec here{to, bytes};
    const iovec there{reinterpret_cast<void*>(address), bytes};
    return ::process_vm_readv(tid, &here, 1, &there, 1, 0) == static_cast<ssize_t>(bytes);
  }

  // ---- the next KVM_RUN

  // Threads that run vCPUs of this VM are watched until their next KVM_RUN. One that sleeps in another call is woken for
  // it, which it does not notice; one that is in KVM_RUN, or on a CPU, is left alone, because KVM_RUN would notice.
  void watch_for_runs(pid_t caller, std::uint32_t vm) {
    for (auto& [tid, thread] : threads_) {
      if (thread.runs_vm != vm || thread.awaits_run || vm == kNoVm) continue;
      if (tid != caller && (every_call_ || !sleeps_outside_kvm(thread.process, tid))) continue;
      thread.watch();
      if (tid != caller) ::ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr);
    }
  }

  static bool sleeps_outside_kvm(std::uint32_t process, pid_t tid) {
    std::ifstream file(fmt::format("/proc/{}/task/{}/syscall", process, tid));
    std::string number, fd, request;
    file >> number >> fd >> request;
    if (number.empty() || number == "running" || number == "-1") return false;
    return number != std::to_string(SYS_ioctl) || request != fmt::format("{:#x}", KVM_RUN);
  }

  static std::int32_t cpu_of(std::uint32_t process, pid_t tid) {
    std::ifstream file(fmt::format("/proc/{}/task/{}/stat", process, tid));
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(')');  // a thread's name may hold anything
    if (name_end == std::string::npos) return 0;
    std::istringstream fields(text.substr(name_end + 1));
    constexpr int kCpuField = 37;  // proc(5): field 39, counted after the name, the second
    std::string field;
    for (int i = 0; i < kCpuField; ++i) fields >> field;
    return fields ? std::stoi(field) : 0;
  }

  // ---- descriptors

  KvmObject object_at(std::uint32_t process, int fd) {
    const KvmFile file = kvm_file(process, fd);
    const auto known = objects_.find({process, fd});
    if (known != objects_.end() && known->second.file.kind == file.kind && known->second.file.vcpu == file.vcpu)
      return known->second;
    KvmObject object{file, kNoVm};
    if (file.kind == FileKind::vm || file.kind == FileKind::vcpu) object.vm = vm_of_duplicate(process, fd, file);
    if (object.vm != kNoVm) objects_[{process, fd}] = object;
    return object;
  }

  // A duplicate of a descriptor that is open, or else of the only one of its kind that was closed since.
  std::uint32_t vm_of_duplicate(std::uint32_t process, int fd, const KvmFile& file) const {
    std::set<std::uint32_t> closed;
    for (const auto& [where, object] : objects_) {
      if (object.file.kind != file.kind || object.file.vcpu != file.vcpu) continue;
      if (same_file(process, fd, where.first, where.second)) return object.vm;
      if (where.first == process && kvm_file(process, where.second).kind != file.kind) closed.insert(object.vm);
    }
    return closed.size() == 1 ? *closed.begin() : kNoVm;
  }

  void learn_created(RawCall& call) {
    if (call.result < 0) return;
    if (call.request == KVM_CREATE_VM) {
      call.vm = ++last_vm_;
      note_command(call.vm, call.pid);
      objects_[{call.pid, call.result}] = {{FileKind::vm, kNoVcpu}, call.vm};
    }
    if (call.request == KVM_CREATE_VCPU)
      objects_[{call.pid, call.result}] = {{FileKind::vcpu, static_cast<std::int32_t>(call.value)}, call.vm};
  }

  // What a process that runs already has made. Nothing tells which VM a vCPU is of: it is taken to be of the VM whose
  // descriptor comes before its own.
  void find_open_files() {
    std::set<int> numbers;
    std::error_code error;
    for (const auto& file : std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", order_.pid), error))
      numbers.insert(std::stoi(file.path().filename()));
    const auto process = static_cast<std::uint32_t>(order_.pid);
    for (const int fd : numbers) {
      const KvmFile file = kvm_file(process, fd);
      if (file.kind == FileKind::vm) note_existing(KVM_CREATE_VM, process, fd, file, ++last_vm_);
      if (file.kind == FileKind::vcpu) note_existing(KVM_CREATE_VCPU, process, fd, file, last_vm_);
    }
  }

  void note_command(std::uint32_t vm, std::uint32_t process) {
    char text[kCommandBytes];
    read_command(process, text);
    result_.seen.commands[vm] = text;
  }

  void note_existing(unsigned long request, std::uint32_t process, int fd, const KvmFile& file, std::uint32_t vm) {
    objects_[{process, fd}] = {file, vm};
    RawCall call;
    call.request = static_cast<std::uint32_t>(request);
    call.vm = vm;
    call.pid = call.tid = process;
    call.value = file.vcpu == kNoVcpu ? 0 : static_cast<std::uint64_t>(file.vcpu);
    call.seen = false;
    call.begin = clocks_before();
    call.end = clocks_after();
    keep(call);
    ++vms_[vm].changes;
    note_command(vm, process);
  }

  const Order& order_;
  Witnessed result_;
  std::map<pid_t, Thread> threads_;
  std::map<std::pair<std::uint32_t, int>, KvmObject> objects_;  // by process and descriptor
  std::map<std::uint32_t, Vm> vms_;
  std::uint32_t last_vm_ = kNoVm;
  pid_t command_ = 0;
  bool every_call_ = false;  // attached, without a filter
  bool left_ = false;
  std::optional<std::chrono::steady_clock::time_point> asked_;
  std::exception_ptr start_failure_;
};

}  // namespace

Witnessed record_by_ptrace(const Order& order) {
  Ptrace recorder(order);
  return order.command.empty() ? recorder.attach() : recorder.launch();
}

}  // namespace tscsim::tracer
