#include "model/kvm/era.h"

#include <gtest/gtest.h>

namespace tscsim::model {
namespace {

TEST(KernelVersion, ReadsReleaseStrings) {
  const struct {
    const char* text;
    bool valid;
    int major, minor, patch;
  } rows[] = {
      {"6.12", true, 6, 12, -1},        {"6.1.176-1", true, 6, 1, 176}, {"6.18.44-fc-v595", true, 6, 18, 44},
      {"5.10.0-30-amd64", true, 5, 10, -1}, {"5.10.0", true, 5, 10, 0}, {"6", false, 0, 0, 0},       {"", false, 0, 0, 0},
      {".6", false, 0, 0, 0},           {"banana", false, 0, 0, 0},     {"6.", false, 0, 0, 0},
      {"7.2+deb14-cloud-amd64", true, 7, 2, -1},
  };
  for (const auto& row : rows) {
    const auto version = KernelVersion::parse(row.text);
    ASSERT_EQ(version.has_value(), row.valid) << row.text;
    if (!version) continue;
    EXPECT_EQ(version->major, row.major) << row.text;
    EXPECT_EQ(version->minor, row.minor) << row.text;
    EXPECT_EQ(version->patch, row.patch) << row.text;
  }
}

// One row for each change: the last version without it and the first with it.
TEST(Era, EachBehaviourChangesWhereTheSpecSays) {
  const auto at = [](const char* text) { return era_for(*KernelVersion::parse(text)); };
  EXPECT_EQ(at("5.9").guest_writes, ops::GuestWrites::join);
  EXPECT_EQ(at("5.10").guest_writes, ops::GuestWrites::adjust);
  EXPECT_FALSE(at("5.15").offset_attribute);
  EXPECT_TRUE(at("5.16").offset_attribute);
  EXPECT_FALSE(at("5.14").guest_adjust_requests_update);
  EXPECT_TRUE(at("5.15").guest_adjust_requests_update);
  EXPECT_TRUE(at("5.10.223").guest_adjust_requests_update);  // taken into the stable series
  EXPECT_FALSE(at("5.10.0").guest_adjust_requests_update);
  EXPECT_FALSE(at("5.17").vm_tsc_khz);
  EXPECT_TRUE(at("5.18").vm_tsc_khz);
  EXPECT_EQ(at("6.7").heuristic, "window");
  EXPECT_EQ(at("6.8").heuristic, "window-after-user-write");
  EXPECT_FALSE(at("6.16").vm_tsc_khz_refused_after_vcpu);
  EXPECT_TRUE(at("6.17").vm_tsc_khz_refused_after_vcpu);
  EXPECT_FALSE(at("6.15").page_rate_at_least_1khz);
  EXPECT_TRUE(at("6.16").page_rate_at_least_1khz);
  EXPECT_EQ(at("6.18").global_update, GlobalUpdate::delayed);
  EXPECT_EQ(at("6.19").global_update, GlobalUpdate::immediate);
  EXPECT_FALSE(at("7.0").load_update_rate_limited);
  EXPECT_TRUE(at("7.1").load_update_rate_limited);
  EXPECT_EQ(at("5.11").set_clock, SetClock::renew_then_difference);
  EXPECT_EQ(at("5.12").set_clock, SetClock::anchored_at_master_pair);
  EXPECT_EQ(at("6.7").wall_clock, WallClock::two_readings);
  EXPECT_EQ(at("6.8").wall_clock, WallClock::one_pair);
}

}  // namespace
}  // namespace tscsim::model
