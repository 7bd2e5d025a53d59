// Batches of a sweep on several threads. Whoever takes them gets them in their order, whichever thread was faster; no more of
// them are under way than the threads keep busy with, so memory does not grow with the number of runs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "sweep/database.h"
#include "sweep/ranks.h"
#include "sweep/subject.h"

namespace tscsim::sweep {

// Of the shard's own batches, counted from 0: first, first + step, ... below `end`.
struct BatchRange {
  std::uint64_t first = 0, end = 0, step = 1;
};

Aggregate run_batch(const Subject& subject, Worker& worker, const Inputs& inputs, std::uint64_t own_batch);

class BatchPool {
 public:
  BatchPool(const Subject& subject, const Inputs& inputs, BatchRange range, unsigned threads,
            const std::atomic<bool>* interrupted);
  BatchPool(const BatchPool&) = delete;
  BatchPool& operator=(const BatchPool&) = delete;
  ~BatchPool();

  // The next one; none at the end, or when the sweep was interrupted. Throws what a thread threw.
  std::optional<Aggregate> take();

 private:
  void work();
  bool stopped() const;

  const Subject& subject_;
  const Inputs& inputs_;
  const BatchRange range_;
  const std::atomic<bool>* interrupted_;
  const std::uint64_t ahead_;  // how many may be under way
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t next_ = 0, taken_ = 0;  // counted along the range
  std::map<std::uint64_t, Aggregate> ready_;
  std::exception_ptr thrown_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

// What one rank of several does: computes its share and sends it, or on rank 0 commits everybody's. `database` is null elsewhere.
bool run_sweep_on_ranks(const Subject& subject, const Inputs& inputs, Database* database, Ranks& ranks,
                        unsigned threads, const std::atomic<bool>* interrupted,
                        const std::function<void(std::uint64_t batches)>& committed);

// Commits what is left of the sweep. False when it was interrupted before the end.
bool run_sweep(const Subject& subject, Database& database, unsigned threads, const std::atomic<bool>* interrupted,
               const std::function<void(std::uint64_t batches)>& committed);

}  // namespace tscsim::sweep
