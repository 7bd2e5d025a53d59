// Results of a sweep in an SQLite file. Each batch is committed in one transaction, in the order of the batches, so that the file
// is at every moment what so many batches make, whoever computed them; a process that is killed leaves it so. The schema is in
// docs/sweeps.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sweep/aggregate.h"

namespace tscsim::sweep {

enum class Keep : std::uint8_t { aggregates, runs };

// What a sweep is: equal inputs make equal content.
struct Inputs {
  std::string tool_version;
  std::string scenario;  // the file's name without folder
  std::string scenario_text;
  std::string scenario_hash;            // with its procedures
  std::vector<std::string> procedures;  // replacements, "OLD=NEW"
  std::string kernel, heuristic;
  std::uint64_t seed = 1;
  std::uint64_t runs = 0;
  std::uint64_t batch = 0;  // runs
  std::uint64_t worst = 0;  // runs kept of each quantity
  Keep keep = Keep::aggregates;
  std::vector<std::string> variations;  // "NAME=DISTRIBUTION"
  std::vector<std::string> quantities;  // Quantity::text()
  std::uint64_t shard = 0, shards = 1;  // this file has batches b with b % shards == shard

  std::uint64_t batches() const { return (runs + batch - 1) / batch; }
  std::uint64_t own_batches() const { return batches() / shards + (batches() % shards > shard ? 1 : 0); }
  std::map<std::string, std::string> named() const;  // as they stand in table `sweep`
};

class Database {
 public:
  // A new file. Throws std::runtime_error: it is there already, or cannot be written.
  static Database create(const std::string& path, const Inputs& inputs);
  // One that is there. Throws std::runtime_error: no sweep's, or another version's.
  static Database open(const std::string& path, bool write = true);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  const Inputs& inputs() const;
  const Aggregate& total() const;
  std::uint64_t batches_done() const;
  bool complete() const { return batches_done() == inputs().own_batches(); }

  // The next batch of this shard: aggregates, rows and the new count, in one transaction.
  void commit(const Aggregate& batch, std::uint64_t batches = 1);

  // Rows in the order of their runs, where they are kept.
  void each_row(const std::function<void(const Row&)>& row) const;
  // The exact percentile of a quantity, where rows are kept.
  std::optional<std::int64_t> exact_percentile(std::size_t quantity, std::uint32_t share_ppm) const;
  // All content as text, for comparison: tables, rows and values in a fixed order.
  std::string content() const;

  // No file beside the database is left.
  void close();

 private:
  class Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tscsim::sweep
