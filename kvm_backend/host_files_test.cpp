#include "kvm_backend/host_files.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace tscsim::kvm_backend {
namespace {

class HostFilesTest : public testing::Test {
 protected:
  HostFilesTest() : directory_(::mkdtemp(name_)) {}
  ~HostFilesTest() override { std::filesystem::remove_all(directory_); }

  void write(const std::string& file, const std::string& text) { std::ofstream(directory_ / file) << text; }
  std::string read(const std::string& file) {
    std::string text;
    std::getline(std::ifstream(directory_ / file), text);
    return text;
  }

  char name_[27] = "/tmp/tscsim-hostfil-XXXXXX";
  std::filesystem::path directory_;
};

TEST_F(HostFilesTest, NamesTheVendorByItsModule) {
  EXPECT_EQ(kvm_vendor(directory_), "none");
  std::filesystem::create_directory(directory_ / "kvm_intel");
  EXPECT_EQ(kvm_vendor(directory_), "vmx");
  std::filesystem::create_directory(directory_ / "kvm_amd");
  EXPECT_EQ(kvm_vendor(directory_), "svm");
  std::filesystem::create_directory(directory_ / "kvm_pvm");
  EXPECT_EQ(kvm_vendor(directory_), "none") << "PVM uses neither";
}

TEST_F(HostFilesTest, SelectsTheBestClocksourceThatIsNotTheTsc) {
  write("available_clocksource", "tsc hpet acpi_pm \n");
  write("current_clocksource", "tsc\n");
  const Clocksource clocksource(directory_);
  EXPECT_EQ(clocksource.current(), "tsc");
  EXPECT_EQ(clocksource.select_tsc(false), 0);
  EXPECT_EQ(read("current_clocksource"), "hpet");
}

TEST_F(HostFilesTest, ReportsThatThereIsNoOtherClocksource) {
  write("available_clocksource", "tsc\n");
  write("current_clocksource", "tsc\n");
  EXPECT_EQ(Clocksource(directory_).select_tsc(false), ENODEV);
}

TEST_F(HostFilesTest, ReportsThatAClocksourceCannotBeWritten) {
  const Clocksource nowhere(directory_ / "nowhere");
  EXPECT_EQ(nowhere.current(), "");
  EXPECT_EQ(nowhere.select_tsc(true), ENOENT);
}

TEST(AllowedCpus, AreAscendingAndHoldTheOneWeRunOn) {
  const auto cpus = allowed_cpus();
  ASSERT_FALSE(cpus.empty());
  EXPECT_TRUE(std::is_sorted(cpus.begin(), cpus.end()));
  EXPECT_NE(std::find(cpus.begin(), cpus.end(), ::sched_getcpu()), cpus.end());
}

TEST(KernelRelease, NamesTheStableVersionThatDebianKeepsInTheBuildString) {
  EXPECT_EQ(stable_release("5.10.0-32-cloud-amd64", "#1 SMP Debian 5.10.223-1 (2024-08-10)"),
            "5.10.223 (5.10.0-32-cloud-amd64)");
  EXPECT_EQ(stable_release("6.12.107+deb13-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.107-1 (2026-01-01)"),
            "6.12.107+deb13-cloud-amd64");
  EXPECT_EQ(stable_release("5.10.0", "#1 SMP Fri"), "5.10.0");
  EXPECT_EQ(stable_release("5.10.0-1", "#1 SMP Debian 5.9.1-1"), "5.10.0-1");
}

}  // namespace
}  // namespace tscsim::kvm_backend
