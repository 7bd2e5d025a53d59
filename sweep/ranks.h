// The other processes of one sweep, of which rank 0 holds the database. Batches are dealt out in turn, so each rank knows its own
// and rank 0 knows whose the next one is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tscsim::sweep {

class Ranks {
 public:
  virtual ~Ranks() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Rank 0's value, on all of them.
  virtual std::uint64_t shared(std::uint64_t value) = 0;
  // To rank 0, and there from `rank`, in order; returns when it has arrived.
  virtual void send(const std::string& bytes) = 0;
  virtual std::string receive(int rank) = 0;
};

}  // namespace tscsim::sweep
