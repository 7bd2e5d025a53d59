#include "kvm_backend/lab/apt.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "kvm_backend/lab/files.h"
#include "kvm_backend/lab/process.h"
#include "ops/error.h"

namespace tscsim::kvm_backend::lab {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMirrorVariable = "TSCSIM_DEBIAN_MIRROR";
constexpr const char* kKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

bool is_debian_archive(std::string uri) {
  while (!uri.empty() && uri.back() == '/') uri.pop_back();
  const std::string last = uri.substr(uri.rfind('/') + 1);
  return last == "debian";  // not debian-security, not another vendor's
}

// "deb [signed-by=KEYRING] URI SUITE COMPONENT..."
void read_one_line(const fs::path& file, std::vector<Mirror>& found) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::vector<std::string> words = words_of(line);
    if (words.empty() || words[0] != "deb") continue;
    Mirror mirror;
    std::size_t at = 1;
    if (at < words.size() && words[at].front() == '[') {
      for (; at < words.size(); ++at) {
        const std::size_t key = words[at].find("signed-by=");
        if (key != std::string::npos)
          mirror.signed_by = words[at].substr(key + 10, words[at].find(']', key) - key - 10);
        if (words[at].back() == ']') break;
      }
      ++at;
    }
    if (at < words.size()) mirror.uri = words[at];
    found.push_back(mirror);
  }
}

// Stanzas of "Field: value" (deb822), of which only the first URI counts.
void read_stanzas(const fs::path& file, std::vector<Mirror>& found) {
  std::ifstream in(file);
  Mirror mirror;
  const auto end_stanza = [&] {
    if (!mirror.uri.empty()) found.push_back(mirror);
    mirror = {};
  };
  for (std::string line; std::getline(in, line);) {
    if (words_of(line).empty()) end_stanza();
    const std::vector<std::string> words = words_of(line);
    if (words.size() < 2) continue;
    if (words[0] == "URIs:") mirror.uri = words[1];
    if (words[0] == "Signed-By:" && words[1].front() == '/') mirror.signed_by = words[1];
  }
  end_stanza();
}

std::string megabytes(std::uint64_t bytes) { return fmt::format("{}.{} MB", bytes / 1'000'000, bytes / 100'000 % 10); }

std::string apt_report(const fs::path& log) {
  const std::string tail = tail_of(log, 6);
  return tail.empty() ? "" : "\n" + tail.substr(0, tail.size() - 1);
}

// Version order for names that differ in their numbers only: digits compare as numbers.
bool version_less(const std::string& a, const std::string& b) {
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    const bool digits =
        std::isdigit(static_cast<unsigned char>(a[i])) != 0 && std::isdigit(static_cast<unsigned char>(b[j])) != 0;
    if (!digits) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i, ++j;
      continue;
    }
    char *end_a = nullptr, *end_b = nullptr;
    const std::uint64_t left = std::strtoull(&a[i], &end_a, 10), right = std::strtoull(&b[j], &end_b, 10);
    if (left != right) return left < right;
    i = static_cast<std::size_t>(end_a - a.data());
    j = static_cast<std::size_t>(end_b - b.data());
  }
  return a.size() - i < b.size() - j;
}

}  // namespace

Mirror find_mirror(const fs::path& folder) {
  std::vector<fs::path> files = {folder / "sources.list"};
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder / "sources.list.d", ignored)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<Mirror> mirrors;
  for (const fs::path& file : files) {
    if (file.extension() == ".list") read_one_line(file, mirrors);
    if (file.extension() == ".sources") read_stanzas(file, mirrors);
  }
  const auto found =
      std::find_if(mirrors.begin(), mirrors.end(), [](const Mirror& m) { return is_debian_archive(m.uri); });
  return found == mirrors.end() ? Mirror{} : *found;
}

Apt::Apt(fs::path folder, std::string suite, Notice notice, const std::atomic<bool>* interrupted)
    : folder_(std::move(folder)), suite_(std::move(suite)), notice_(std::move(notice)), interrupted_(interrupted) {
  if (find_program("apt-get").empty() || find_program("dpkg-deb").empty())
    throw ops::TargetError(
        "the lab's kernels come as Debian packages, and here is no apt-get and dpkg-deb to fetch them with");
  Mirror mirror = find_mirror();
  if (const char* chosen = std::getenv(kMirrorVariable)) mirror = {chosen, ""};
  if (mirror.uri.empty())
    throw ops::TargetError(fmt::format(
        "there is no Debian archive among apt's sources (/etc/apt)\n  mend: set {} to one", kMirrorVariable));
  if (mirror.signed_by.empty() && fs::exists(kKeyring)) mirror.signed_by = kKeyring;
  std::error_code error;
  for (const char* sub : {"lists/partial", "cache/archives/partial"}) fs::create_directories(folder_ / sub, error);
  if (error) throw ops::TargetError(folder_.string() + " cannot be made: " + error.message());
  write_file(folder_ / "sources.list",
             fmt::format("deb {}{} {} main\n", mirror.signed_by.empty() ? "" : "[signed-by=" + mirror.signed_by + "] ",
                         mirror.uri, suite_));
  write_file(folder_ / "status", "");  // nothing is installed: dependencies are resolved from the ground up
}

std::vector<std::string> Apt::command(const std::string& program) const {
  std::vector<std::string> argv = {program, "-q"};
  const auto option = [&](const std::string& name, const std::string& value) {
    argv.push_back("-o");
    argv.push_back(name + "=" + value);
  };
  option("Dir::Etc::SourceList", folder_ / "sources.list");
  for (const char* none : {"SourceParts", "Preferences", "PreferencesParts"})
    option(std::string("Dir::Etc::") + none, "/dev/null");
  option("Dir::State", folder_);
  option("Dir::State::Lists", folder_ / "lists");
  option("Dir::State::status", folder_ / "status");
  option("Dir::Cache", folder_ / "cache");
  option("APT::Sandbox::User", "root");  // no change of user: the folder is ours
  option("Debug::NoLocking", "true");    // the system's locks are not ours to take
  option("Acquire::Languages", "none");
  option("Acquire::Retries", "3");
  option("APT::Install-Recommends", "false");
  return argv;
}

std::string Apt::output_of(std::vector<std::string> argv, const std::string& what) const {
  ProcessSpec spec;
  spec.argv = std::move(argv);
  spec.output_file = folder_ / "output";
  spec.error_file = folder_ / "log";
  spec.interrupted = interrupted_;
  spec.environment = {"LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"};
  const ProcessEnd end = run_process(spec);
  if (end.status != 0)
    throw ops::TargetError(fmt::format("{} (suite {}) failed{}{}", what, suite_,
                                       end.timed_out ? ": no answer in time" : "", apt_report(spec.error_file)));
  return read_file(spec.output_file);
}

void Apt::update() {
  if (notice_) notice_(fmt::format("package lists of {}", suite_));
  std::vector<std::string> argv = command("apt-get");
  argv.insert(argv.end(), {"-o", "APT::Update::Error-Mode=any", "update"});
  output_of(argv, "apt-get update");
}

std::vector<std::string> Apt::search(const std::string& name_pattern) const {
  std::vector<std::string> argv = command("apt-cache");
  argv.insert(argv.end(), {"search", "--names-only", name_pattern});
  std::istringstream lines(output_of(argv, "apt-cache search"));
  std::vector<std::string> names;
  for (std::string line; std::getline(lines, line);) names.push_back(line.substr(0, line.find(' ')));
  std::sort(names.begin(), names.end(), version_less);
  return names;
}

std::vector<std::string> Apt::dependencies(const std::string& package) const {
  std::vector<std::string> argv = command("apt-cache");
  argv.insert(argv.end(), {"depends", "--important", package});
  std::istringstream lines(output_of(argv, "apt-cache depends"));
  std::vector<std::string> names;
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> words = words_of(line);
    if (words.size() == 2 && words[0] == "Depends:") names.push_back(words[1]);
  }
  return names;
}

// `uris`: what --print-uris says: 'URI' FILE BYTES HASH.
void Apt::announce(const std::string& name, const std::string& uris) const {
  if (!notice_) return;
  std::istringstream lines(uris);
  std::uint64_t bytes = 0, files = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> words = words_of(line);
    if (words.size() < 3 || words[0].front() != '\'') continue;
    bytes += std::strtoull(words[2].c_str(), nullptr, 10);
    ++files;
  }
  notice_(fmt::format("{}: {} in {} package{}", name, megabytes(bytes), files, files == 1 ? "" : "s"));
}

void Apt::unpack(const std::vector<std::string>& packages, const fs::path& to) {
  const fs::path archives = folder_ / "debs";
  fs::remove_all(archives);
  fs::create_directories(archives);
  std::vector<std::string> argv = command("apt-get");
  argv.push_back("download");
  argv.insert(argv.end(), packages.begin(), packages.end());
  std::vector<std::string> ask = argv;
  ask.push_back("--print-uris");
  announce(packages.front(), output_of(ask, "apt-get download"));
  // apt-get download writes where it stands.
  argv.insert(argv.begin(), {"env", "--chdir=" + archives.string()});
  output_of(argv, "apt-get download");
  unpack_all(archives, to);
  fs::remove_all(archives);
}

void Apt::unpack_with_dependencies(const std::vector<std::string>& packages, const fs::path& to) {
  std::vector<std::string> argv = command("apt-get");
  argv.insert(argv.end(), {"-y", "--download-only", "install"});
  argv.insert(argv.end(), packages.begin(), packages.end());
  std::vector<std::string> ask = argv;
  ask.push_back("--print-uris");
  announce(packages.front(), output_of(ask, "apt-get install"));
  output_of(argv, "apt-get install");
  // One tree without the old split between /lib and /usr/lib, whichever of the two a package still uses.
  for (const char* name : {"bin", "sbin", "lib", "lib64"}) {
    fs::create_directories(to / "usr" / name);
    if (!fs::exists(fs::symlink_status(to / name))) fs::create_symlink(std::string("usr/") + name, to / name);
  }
  unpack_all(folder_ / "cache/archives", to);
  fs::remove_all(folder_ / "cache/archives");
}

void Apt::unpack_all(const fs::path& archives, const fs::path& to) const {
  std::vector<fs::path> debs;
  for (const auto& entry : fs::directory_iterator(archives))
    if (entry.path().extension() == ".deb") debs.push_back(entry.path());
  std::sort(debs.begin(), debs.end());
  const std::string tar = folder_ / "unpacking.tar";
  for (const fs::path& deb : debs) {
    ProcessSpec spec;
    spec.argv = {"dpkg-deb", "--fsys-tarfile", deb.string()};
    spec.output_file = tar;
    spec.error_file = folder_ / "log";
    spec.interrupted = interrupted_;
    if (run_process(spec).status != 0)
      throw ops::TargetError(
          fmt::format("{} cannot be unpacked{}", deb.filename().string(), apt_report(spec.error_file)));
    output_of({"tar", "-x", "--keep-directory-symlink", "--no-same-owner", "--exclude=./usr/share/doc",
               "--exclude=./usr/share/man", "--exclude=./usr/share/locale", "-f", tar, "-C", to.string()},
              "unpacking " + deb.filename().string());
  }
  fs::remove(tar);
}

}  // namespace tscsim::kvm_backend::lab
