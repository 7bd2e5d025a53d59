// The package manager, with a configuration of its own: packages of any Debian suite are fetched and unpacked
// into a folder. Nothing is installed, no root is needed, and signatures and checksums are apt's business.
// The mirror is the one that this machine is set up with.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace tscsim::kvm_backend::lab {

struct Mirror {
  std::string uri;
  std::string signed_by;  // keyring; may be empty
};

// The first Debian archive (not the security one) among apt's sources below `folder`, in either format. An
// empty uri when there is none.
Mirror find_mirror(const std::filesystem::path& folder = "/etc/apt");

// Told what is going on: "linux-image-…: 34.4 MB".
using Notice = std::function<void(const std::string&)>;

class Apt {
 public:
  // `folder` keeps the package lists and half-fetched packages of `suite`.
  Apt(std::filesystem::path folder, std::string suite, Notice notice, const std::atomic<bool>* interrupted);

  // All throw ops::TargetError with the end of apt's own report.
  void update();
  std::vector<std::string> search(const std::string& name_pattern) const;  // oldest first
  std::vector<std::string> dependencies(const std::string& package) const;
  void unpack(const std::vector<std::string>& packages, const std::filesystem::path& to);
  // With all that they depend on, down to the C library, so that programs run on any Linux.
  void unpack_with_dependencies(const std::vector<std::string>& packages, const std::filesystem::path& to);

 private:
  std::vector<std::string> command(const std::string& program) const;
  std::string output_of(std::vector<std::string> argv, const std::string& what) const;
  void announce(const std::string& name, const std::string& uris) const;
  void unpack_all(const std::filesystem::path& archives, const std::filesystem::path& to) const;

  std::filesystem::path folder_;
  std::string suite_;
  Notice notice_;
  const std::atomic<bool>* interrupted_;
};

}  // namespace tscsim::kvm_backend::lab
