// The fuzzer that `./test` runs: no coverage, no other compiler, and the same seeds, mutations and targets as the long run's.
//
//   tscsim_fuzz list                              name, longest input, what it is
//   tscsim_fuzz seeds TARGET FOLDER               the seeds, one file each, for libFuzzer
//   tscsim_fuzz replay TARGET FILE|FOLDER...      each file once
//   tscsim_fuzz run TARGET|all [--seconds N] [--executions N] [--seed N] [--keep FOLDER]
//   --patience N: how many seconds of processor time one input may take
//
// `run` replays the target's seeds and tests/fuzz/found/TARGET first. What is found is written to FOLDER, and the number
// printed that finds it again. Exit status: 0 nothing was found, 1 something was, 2 bad usage.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <typeinfo>

#include "mutator.h"
#include "target.h"

namespace tscsim::fuzz {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kFound = 1, kBadUsage = 2;
constexpr double kSlow = 1.0;        // seconds of processor time for one input
constexpr std::size_t kPool = 2000;  // inputs that are changed further

int patience = 20;  // seconds of processor time for one input, and it is not waited for any more

// What a signal handler needs of the input that runs.
const char* volatile running_bytes = nullptr;
volatile std::size_t running_size = 0;
volatile std::uint64_t running_number = 0;
char kept_path[4096] = "";
char again_text[512] = "";

void say(const char* text) { (void)!::write(STDERR_FILENO, text, std::strlen(text)); }

void keep_running() {
  const int file = ::open(kept_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return;
  (void)!::write(file, running_bytes, running_size);
  ::close(file);
  say("kept ");
  say(kept_path);
  say("\nagain ");
  say(again_text);
  say("\n");
}

void on_crash(int signal) {
  say(signal == SIGFPE ? "found: SIGFPE\n" : signal == SIGABRT ? "found: SIGABRT\n" : "found: SIGSEGV or its like\n");
  keep_running();
  ::_exit(kFound);
}

void on_tick(int) {
  static std::uint64_t seen = 0;
  static int ticks = 0;
  if (running_number != seen) seen = running_number, ticks = 0;
  if (running_bytes == nullptr || ++ticks < patience) return;
  say("found: no end\n");
  keep_running();
  ::_exit(kFound);
}

void watch() {
  static std::array<char, 1 << 16> stack;  // for when the other one is full
  const stack_t other{stack.data(), 0, stack.size()};
  ::sigaltstack(&other, nullptr);
  struct sigaction action {};
  action.sa_handler = on_crash;
  action.sa_flags = SA_ONSTACK;
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGILL}) ::sigaction(signal, &action, nullptr);
  action.sa_handler = on_tick;
  action.sa_flags = SA_ONSTACK | SA_RESTART;
  ::sigaction(SIGVTALRM, &action, nullptr);
  const itimerval second{{1, 0}, {1, 0}};
  ::setitimer(ITIMER_VIRTUAL, &second, nullptr);
}

double processor_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// True: the input does what the target promises.
bool passes(const Target& target, const std::string& input) {
  running_bytes = input.data();
  running_size = input.size();
  running_number = running_number + 1;
  const double before = processor_seconds();
  std::string trouble;
  try {
    target.run(input);
  } catch (const std::exception& error) {
    trouble = fmt::format("thrown: {}: {}", typeid(error).name(), error.what());
  } catch (...) {
    trouble = "thrown: something else";
  }
  const double took = processor_seconds() - before;
  if (trouble.empty() && took > kSlow) trouble = fmt::format("slow: {:.1f} s of processor time", took);
  if (trouble.empty()) {
    running_bytes = nullptr;
    return true;
  }
  say(fmt::format("found: {}\n", trouble).c_str());
  keep_running();
  running_bytes = nullptr;
  return false;
}

std::string text_in(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<fs::path> files_of(const std::vector<std::string>& paths) {
  std::vector<fs::path> files;
  for (const std::string& path : paths) {
    if (!fs::is_directory(path)) {
      if (fs::exists(path)) files.emplace_back(path);
      continue;
    }
    for (const auto& entry : fs::recursive_directory_iterator(path))
      if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void set_texts(const std::string& kept, const std::string& again) {
  std::snprintf(kept_path, sizeof kept_path, "%s", kept.c_str());
  std::snprintf(again_text, sizeof again_text, "%s", again.c_str());
}

int replay(const Target& target, const std::vector<std::string>& paths) {
  int status = 0;
  const auto files = files_of(paths);
  for (const fs::path& file : files) {
    const std::string again = fmt::format("tscsim_fuzz replay {} {}", target.name, file.string());
    set_texts("/dev/null", again);
    if (!passes(target, text_in(file))) status = kFound;
  }
  fmt::print("{}: {} inputs replayed\n", target.name, files.size());
  return status;
}

struct Spending {
  double seconds = 5;
  std::uint64_t executions = UINT64_MAX;
  std::uint64_t seed = 1;  // the time, when none is given
  std::string keep = ".";
};

int fuzz(const Target& target, const Spending& spending) {
  set_texts(fmt::format("{}/seed-of-{}", spending.keep, target.name), "it is a seed");
  std::vector<std::string> pool = target.seeds(TSCSIM_SOURCE_DIR);
  for (const fs::path& file : files_of({fmt::format("{}/tests/fuzz/found/{}", TSCSIM_SOURCE_DIR, target.name)})) {
    set_texts("/dev/null", fmt::format("tscsim_fuzz replay {} {}", target.name, file.string()));
    if (!passes(target, text_in(file))) return kFound;
    pool.push_back(text_in(file));
  }
  for (const std::string& seed : pool)
    if (!passes(target, seed)) return kFound;
  const Mutator mutator(target.form, pool);
  const std::size_t seeds = pool.size();
  const auto begin = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  std::uint64_t done = 0;
  for (; done < spending.executions && (done % 16 != 0 || elapsed() < spending.seconds); ++done) {
    Dice dice(spending.seed + done * 0x9e3779b97f4a7c15);  // each execution from its own number
    const std::string& from = pool[dice.below(pool.size())];
    std::string input = dice.chance(1, 8) ? mutator.crossed(from, pool[dice.below(pool.size())], dice, target.max_bytes)
                                          : mutator.changed(from, dice, target.max_bytes);
    set_texts(fmt::format("{}/{}-{}-{}", spending.keep, target.name, spending.seed, done),
              fmt::format("tscsim_fuzz run {} --seed {} --executions {} --seconds 1000000", target.name, spending.seed,
                          done + 1));
    if (!passes(target, input)) return kFound;
    if (!dice.chance(1, 4)) continue;  // changes of changes
    if (pool.size() < seeds + kPool) pool.push_back(std::move(input));
    else pool[seeds + dice.below(kPool)] = std::move(input);
  }
  fmt::print("{}: {} seeds, {} executions in {:.1f} s, seed {}\n", target.name, seeds, done, elapsed(), spending.seed);
  return 0;
}

int usage() {
  std::fputs(
      "usage: tscsim_fuzz list | seeds TARGET FOLDER | replay TARGET FILE... |\n"
      "       run TARGET|all [--seconds N] [--executions N] [--seed N] [--keep FOLDER]\n",
      stderr);
  return kBadUsage;
}

bool read_option(const std::string& name, const std::string& text, Spending& spending) {
  if (name == "--keep") return spending.keep = text, true;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return false;
  if (name == "--seconds") spending.seconds = static_cast<double>(number);
  else if (name == "--executions") spending.executions = number;
  else if (name == "--seed") spending.seed = number;
  else if (name == "--patience") patience = static_cast<int>(number);
  else return false;
  return true;
}

int run(const std::string& name, const Spending& spending) {
  fs::create_directories(spending.keep);
  if (const Target* target = find_target(name)) return fuzz(*target, spending);
  int status = 0;
  for (const Target& target : targets()) status = std::max(status, fuzz(target, spending));
  return status;
}

void write_seeds(const Target& target, const fs::path& folder) {
  fs::create_directories(folder);
  std::size_t number = 0;
  for (const std::string& seed : target.seeds(TSCSIM_SOURCE_DIR))
    std::ofstream(folder / fmt::format("seed-{:04}", number++), std::ios::binary) << seed;
}

int main_of(const std::vector<std::string>& words) {
  if (words == std::vector<std::string>{"list"}) {
    for (const Target& target : targets()) fmt::print("{} {} {}\n", target.name, target.max_bytes, target.what);
    return 0;
  }
  if (words.size() < 2) return usage();
  Spending spending;
  spending.seed = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  std::vector<std::string> rest;
  for (std::size_t i = 2; i < words.size(); ++i) {
    if (!words[i].starts_with("--")) rest.push_back(words[i]);
    else if (i + 1 == words.size() || !read_option(words[i], words[i + 1], spending)) return usage();
    else ++i;
  }
  const Target* target = find_target(words[1]);
  if (words[0] == "run" && rest.empty() && (target != nullptr || words[1] == "all")) return run(words[1], spending);
  if (target == nullptr || rest.empty()) return usage();
  if (words[0] == "seeds") return write_seeds(*target, rest[0]), 0;
  return words[0] == "replay" ? replay(*target, rest) : usage();
}

}  // namespace
}  // namespace tscsim::fuzz

int main(int count, char** words) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  tscsim::fuzz::watch();
  return tscsim::fuzz::main_of({words + 1, words + count});
}
