// How far a long piece of work is, on standard error: rewritten in place on a terminal, now and then a line elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace tscsim::cli {

class Progress {
 public:
  // `done` of `total` `things` were done before.
  Progress(std::string things, std::uint64_t done, std::uint64_t total);
  void show(std::uint64_t done);
  void finish();  // ends the line

 private:
  std::string text(std::uint64_t done) const;

  using Clock = std::chrono::steady_clock;
  std::string things_;
  std::uint64_t before_, total_;
  bool terminal_;
  bool shown_ = false;
  Clock::time_point start_ = Clock::now(), last_{};
};

}  // namespace tscsim::cli
