#include "storage/recordings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "ops/error.h"

namespace tscsim::storage {
namespace {

class RecordingFiles : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

 private:
  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("tscsim-storage-" + std::to_string(getpid()));
};

ops::Recording recording(const std::string& scenario) {
  ops::Recording made;
  made.header.scenario = scenario;
  made.header.scenario_hash = "0123456789abcdef";
  made.header.profile.target = "model";
  made.header.profile.kernel = "6.12";
  made.header.profile.vendor = "vmx";
  made.header.profile.host_khz = 2'600'000;
  made.entries.resize(3);
  made.entries[1].op.kind = ops::OpKind::create_vcpu;
  made.entries[1].op.vcpu = 0;
  made.entries[2].op.kind = ops::OpKind::rdtsc;
  made.entries[2].op.vcpu = 0;
  made.entries[2].outcome.add(ops::Field::value, 0xffff'ffff'ffff'ffffu);
  return made;
}

std::string error_of(const std::string& path) {
  try {
    read_recordings(path);
  } catch (const ops::InputError& error) {
    return error.what();
  }
  return "";
}

TEST_F(RecordingFiles, ComeBackAsTheyWere) {
  const std::vector<ops::Recording> written = {recording("one"), recording("two")};
  for (const char* name : {"plain.jsonl", "packed.jsonl.xz"}) {
    write_recordings(path(name), written);
    const std::vector<ops::Recording> read = read_recordings(path(name));
    ASSERT_EQ(read.size(), 2u) << name;
    for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(ops::fingerprint(read[i]), ops::fingerprint(written[i])) << name;
  }
  EXPECT_LT(std::filesystem::file_size(path("packed.jsonl.xz")), std::filesystem::file_size(path("plain.jsonl")));
}

TEST_F(RecordingFiles, ACutArchiveIsRefused) {
  const std::vector<ops::Recording> written = {recording("one")};
  write_recordings(path("a.jsonl.xz"), written);
  std::filesystem::resize_file(path("a.jsonl.xz"), std::filesystem::file_size(path("a.jsonl.xz")) / 2);
  EXPECT_THAT(error_of(path("a.jsonl.xz")), ::testing::HasSubstr("not in the .xz format, or is cut"));
}

TEST_F(RecordingFiles, APlainFileWithThatNameIsRefused) {
  std::ofstream(path("b.jsonl.xz")) << "{}";
  EXPECT_THAT(error_of(path("b.jsonl.xz")),
              ::testing::HasSubstr("b.jsonl.xz: error: the file is not in the .xz format"));
}

}  // namespace
}  // namespace tscsim::storage
