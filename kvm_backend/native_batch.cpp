#include "kvm_backend/native_batch.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>

#include "kvm_backend/native_hosts.h"
#include "kvm_backend/probe.h"

namespace tscsim::kvm_backend {
namespace {

constexpr std::int64_t kLate_ns = 500'000;

class Batch {
 public:
  Batch(const std::vector<const ops::Program*>& programs, const NativeBatch& batch)
      : programs_(programs), batch_(batch), results_(programs.size()) {
    if (!batch_.options.profile) batch_.options.profile = probe_target(batch_.options);
  }

  std::vector<NativeResult> run() {
    std::vector<std::size_t> order(programs_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    // The longest first, so that none of them is left running when all else is done.
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return length_ns(a) > length_ns(b); });
    run_all(order, std::max<std::size_t>(1, batch_.side_by_side));
    std::vector<std::size_t> again;
    for (std::size_t i = 0; i < results_.size(); ++i)
      if (batch_.side_by_side > 1 && results_[i].recording && was_disturbed(*results_[i].recording)) again.push_back(i);
    done_ -= again.size();
    run_all(again, 1);
    return std::move(results_);
  }

 private:
  std::int64_t length_ns(std::size_t i) const {
    return programs_[i]->timeline.empty() ? 0 : programs_[i]->timeline.back().op.at_ns;
  }

  bool interrupted() const { return batch_.options.interrupted != nullptr && *batch_.options.interrupted; }

  void run_all(const std::vector<std::size_t>& order, std::size_t at_once) {
    next_ = 0;
    std::vector<std::thread> workers;
    for (std::size_t i = 0; i < std::min(at_once, order.size()); ++i)
      workers.emplace_back([this, &order] { work(order); });
    for (std::thread& worker : workers) worker.join();
    if (failure_) std::rethrow_exception(failure_);
  }

  void work(const std::vector<std::size_t>& order) {
    while (!interrupted() && !failed_) {
      const std::size_t position = next_++;
      if (position >= order.size()) return;
      try {
        run_one(order[position]);
      } catch (const ops::Interrupted&) {
        return;
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
        failed_ = true;
        return;
      }
      const std::lock_guard lock(mutex_);
      ++done_;
      if (batch_.progress) batch_.progress(done_);
    }
  }

  // A second run that does not come to its end leaves the first one's recording.
  void run_one(std::size_t i) {
    NativeResult result;
    try {
      std::vector<int> hosts(programs_[i]->hosts.size());
      std::iota(hosts.begin(), hosts.end(), 0);
      NativeHosts executor(batch_.options, hosts);
      result.recording = ops::run_program(*programs_[i], executor, batch_.seed, [this](std::size_t, std::size_t) {
        if (interrupted() || failed_) throw ops::Interrupted();
      });
    } catch (const ops::InputError& error) {
      result.wrong_input = error.diagnostics();
    }
    results_[i] = std::move(result);
  }

  const std::vector<const ops::Program*>& programs_;
  NativeBatch batch_;
  std::vector<NativeResult> results_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;  // of those below
  std::size_t done_ = 0;
  std::exception_ptr failure_;
};

bool takes_its_time(ops::OpKind kind) {
  return kind == ops::OpKind::run || kind == ops::OpKind::suspend_host || kind == ops::OpKind::create_vm ||
         kind == ops::OpKind::create_vcpu;
}

}  // namespace

bool was_disturbed(const ops::Recording& recording) {
  for (const ops::Entry& entry : recording.entries) {
    if (!entry.supported || entry.bracket.base_ns.lo == 0 || takes_its_time(entry.op.kind)) continue;
    const auto began_ns =
        static_cast<std::int64_t>(entry.bracket.base_ns.lo - recording.header.host(entry.op.host).zero_base_ns);
    const auto took_ns = static_cast<std::int64_t>(entry.bracket.base_ns.hi - entry.bracket.base_ns.lo);
    if (took_ns > kLate_ns) return true;
    if (entry.op.at_ns > 0 && began_ns - entry.op.at_ns > kLate_ns) return true;
  }
  return false;
}

std::vector<NativeResult> run_side_by_side(const std::vector<const ops::Program*>& programs, const NativeBatch& batch) {
  return Batch(programs, batch).run();
}

}  // namespace tscsim::kvm_backend
