#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

namespace tscsim::cli {
namespace {

std::string clock_text(std::uint64_t seconds) {
  return seconds >= 3600 ? fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
                         : fmt::format("{}:{:02}", seconds / 60, seconds % 60);
}

}  // namespace

Progress::Progress(std::string things, std::uint64_t done, std::uint64_t total)
    : things_(std::move(things)), before_(done), total_(total), terminal_(isatty(STDERR_FILENO) != 0) {}

std::string Progress::text(std::uint64_t done) const {
  constexpr std::uint64_t kWidth = 24;
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done - before_) / seconds : 0;
  const std::uint64_t filled = total_ == 0 ? kWidth : done * kWidth / total_;
  const std::string left =
      rate > 0 && done < total_
          ? ", " + clock_text(static_cast<std::uint64_t>(static_cast<double>(total_ - done) / rate) + 1) + " left"
          : "";
  return fmt::format("[{}{}] {:3} %  {} of {} {}, {:.3g}/s{}", std::string(filled, '='),
                     std::string(kWidth - filled, ' '), total_ == 0 ? 100 : done * 100 / total_, done, total_, things_,
                     rate, left);
}

void Progress::show(std::uint64_t done) {
  const auto now = Clock::now();
  if (now - last_ < (terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(10'000)) && done != total_)
    return;
  if (!terminal_ && now - start_ < std::chrono::seconds(2)) return;  // short work says nothing in a log
  last_ = now;
  shown_ = true;
  std::cerr << (terminal_ ? "\r" : "") << text(done) << (terminal_ ? "\033[K" : "\n") << std::flush;
}

void Progress::finish() {
  if (terminal_ && shown_) std::cerr << "\n";
}

}  // namespace tscsim::cli
