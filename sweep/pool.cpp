#include "sweep/pool.h"

#include <algorithm>
#include <chrono>

#include "base/interrupt.h"

namespace tscsim::sweep {

Aggregate run_batch(const Subject& subject, Worker& worker, const Inputs& inputs, std::uint64_t own_batch) {
  const std::uint64_t batch = inputs.shard + own_batch * inputs.shards;
  const std::uint64_t first = batch * inputs.batch, end = std::min(first + inputs.batch, inputs.runs);
  Aggregate made(subject.spec().quantities.size(), inputs.worst);
  RunResult result;
  for (std::uint64_t run = first; run < end; ++run) {
    base::throw_if_interrupted();
    result.explain = made.fates.count(Fate::refused) == 0;  // the first of a batch stands for the others
    worker.run(run, result);
    made.add(result, run);
    if (inputs.keep == Keep::runs) made.rows.push_back({run, result.fate, result.drawn, result.seen});
  }
  return made;
}

BatchPool::BatchPool(const Subject& subject, const Inputs& inputs, BatchRange range, unsigned threads,
                     const std::atomic<bool>* interrupted)
    : subject_(subject), inputs_(inputs), range_(range), interrupted_(interrupted), ahead_(4 * std::max(threads, 1u)) {
  for (unsigned i = 0; i < std::max(threads, 1u); ++i) threads_.emplace_back([this] { work(); });
}

BatchPool::~BatchPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool BatchPool::stopped() const {
  const bool asked = interrupted_ != nullptr && *interrupted_;
  if (asked) base::interrupted();  // heard
  return stop_ || asked;
}

void BatchPool::work() {
  try {
    Worker worker(subject_);
    for (;;) {
      std::uint64_t place = 0;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopped() || next_ < taken_ + ahead_; });
        place = next_++;
        if (stopped() || range_.first + place * range_.step >= range_.end) break;
      }
      Aggregate made = run_batch(subject_, worker, inputs_, range_.first + place * range_.step);
      const std::lock_guard lock(mutex_);
      ready_.emplace(place, std::move(made));
      changed_.notify_all();
    }
  } catch (const base::Interrupted&) {  // what is complete has been handed over
    const std::lock_guard lock(mutex_);
    stop_ = true;
  } catch (...) {
    const std::lock_guard lock(mutex_);
    thrown_ = std::current_exception();
    stop_ = true;
  }
  changed_.notify_all();
}

std::optional<Aggregate> BatchPool::take() {
  if (range_.first + taken_ * range_.step >= range_.end) return std::nullopt;
  std::unique_lock lock(mutex_);
  // A signal handler cannot notify: look now and then.
  while (!ready_.count(taken_) && !stopped()) changed_.wait_for(lock, std::chrono::milliseconds(100));
  if (thrown_) std::rethrow_exception(thrown_);
  const auto found = ready_.find(taken_);
  if (found == ready_.end()) {
    stop_ = true;
    changed_.notify_all();
    return std::nullopt;
  }
  Aggregate made = std::move(found->second);
  ready_.erase(found);
  ++taken_;
  changed_.notify_all();
  return made;
}

namespace {

// An empty message says that the rank was interrupted.
bool send_batches(BatchPool& pool, std::uint64_t batches, Ranks& ranks) {
  for (std::uint64_t i = 0; i < batches; ++i) {
    const auto batch = pool.take();
    ranks.send(batch ? to_bytes(*batch) : "");
    if (!batch) return false;
  }
  return true;
}

}  // namespace

bool run_sweep_on_ranks(const Subject& subject, const Inputs& inputs, Database* database, Ranks& ranks,
                        unsigned threads, const std::atomic<bool>* interrupted,
                        const std::function<void(std::uint64_t)>& committed) {
  const std::uint64_t done = ranks.shared(database != nullptr ? database->batches_done() : 0),
                      all = inputs.own_batches();
  const auto size = static_cast<std::uint64_t>(ranks.size()), rank = static_cast<std::uint64_t>(ranks.rank());
  BatchPool pool(subject, inputs, {done + rank, all, size}, threads, interrupted);
  if (database == nullptr)
    return send_batches(pool, done + rank < all ? (all - done - rank + size - 1) / size : 0, ranks);
  for (std::uint64_t batch = done; batch < all; ++batch) {
    const int from = static_cast<int>((batch - done) % size);
    std::optional<Aggregate> made;
    if (from == 0) made = pool.take();
    else if (const std::string bytes = ranks.receive(from); !bytes.empty()) made = aggregate_from(bytes, inputs.worst);
    if (!made) return false;
    database->commit(*made);
    committed(database->batches_done());
  }
  return true;
}

bool run_sweep(const Subject& subject, Database& database, unsigned threads, const std::atomic<bool>* interrupted,
               const std::function<void(std::uint64_t)>& committed) {
  BatchPool pool(subject, database.inputs(), {database.batches_done(), database.inputs().own_batches(), 1}, threads,
                 interrupted);
  while (const auto batch = pool.take()) {
    database.commit(*batch);
    committed(database.batches_done());
  }
  return database.complete();
}

}  // namespace tscsim::sweep
