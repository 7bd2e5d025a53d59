#include "model/kvm/era.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "model/kvm/changes.h"

namespace tscsim::model {
namespace {

TEST(KernelVersion, ReadsReleaseStrings) {
  const struct {
    const char* text;
    bool valid;
    int major, minor, patch;
  } rows[] = {
      {"6.12", true, 6, 12, -1},
      {"6.1.176-1", true, 6, 1, 176},
      {"6.18.44-fc-v595", true, 6, 18, 44},
      {"5.10.0-30-amd64", true, 5, 10, -1},
      {"5.10.0", true, 5, 10, 0},
      {"6", false, 0, 0, 0},
      {"", false, 0, 0, 0},
      {".6", false, 0, 0, 0},
      {"banana", false, 0, 0, 0},
      {"6.", false, 0, 0, 0},
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
  EXPECT_TRUE(at("3.3").window_stays_at_first_write);
  EXPECT_FALSE(at("3.4").window_stays_at_first_write);
  EXPECT_EQ(at("2.6.37").heuristic, "window-from-first-write");
  EXPECT_FALSE(at("3.3").rate_tolerance);
  EXPECT_TRUE(at("3.4").rate_tolerance);
  EXPECT_FALSE(at("4.3").vmx_tsc_scaling);
  EXPECT_TRUE(at("4.4").vmx_tsc_scaling);
  EXPECT_FALSE(at("3.19").old_msr_vetoes_master_clock);
  EXPECT_TRUE(at("4.0").old_msr_vetoes_master_clock);
  EXPECT_EQ(at("4.0").clock_start, ClockStart::host_boot);
  EXPECT_EQ(at("4.1").clock_start, ClockStart::guest_enables);
  EXPECT_EQ(at("4.4").clock_start, ClockStart::host_boot);
  EXPECT_EQ(at("4.9").clock_start, ClockStart::vm_creation);
  EXPECT_EQ(at("4.8").page_rate, PageRate::requested_once);
  EXPECT_EQ(at("4.9").page_rate, PageRate::effective);
  EXPECT_EQ(at("5.4").base_clock, BaseClock::boottime);
  EXPECT_EQ(at("5.5").base_clock, BaseClock::mixed);
  EXPECT_EQ(at("5.6").base_clock, BaseClock::raw);
  EXPECT_FALSE(at("7.3").get_clock_scales);
  EXPECT_TRUE(at("7.4").get_clock_scales);
  EXPECT_EQ(at("6.7").wall_clock, WallClock::two_readings);
  EXPECT_EQ(at("6.8").wall_clock, WallClock::one_pair);
}

TEST(Era, BeginsWith2_6_37) {
  const auto known = [](const char* text) { return has_era(*KernelVersion::parse(text)); };
  EXPECT_FALSE(known("2.6.36"));
  EXPECT_FALSE(known("2.6"));
  EXPECT_FALSE(known("2.4.37"));
  EXPECT_TRUE(known("2.6.37"));
  EXPECT_TRUE(known("3.0"));
}

// The table that is shown to users and the behaviours that the machine asks for are one history: where behaviour differs
// from the version before, the table has a change.
TEST(Changes, ThereIsOneWhereverTheEraDiffers) {
  std::set<std::string_view> changed;
  for (const Change& change : changes()) changed.insert(change.version);
  Era before = era_for(*KernelVersion::parse("3.0.0"));
  for (const auto& [major, last] : {std::pair{3, 19}, {4, 20}, {5, 19}, {6, 19}, {7, 4}})
    for (int minor = 0; minor <= last; ++minor) {
      const std::string version = std::to_string(major) + "." + std::to_string(minor);
      const Era era = era_for(*KernelVersion::parse(version + ".0"));  // without what stable series took in
      EXPECT_TRUE(era == before || changed.contains(version)) << version;
      before = era;
    }
}

TEST(Changes, AreInTheOrderOfVersionsAndSayTheirSection) {
  KernelVersion last{2, 6};
  for (const Change& change : changes()) {
    const KernelVersion version = *KernelVersion::parse(change.version);
    EXPECT_TRUE(version.at_least(last.major, last.minor)) << change.version;
    EXPECT_FALSE(change.section.empty()) << change.sentence;
    last = version;
  }
}

TEST(Era, AProposalIsAKernelAndWhatItAdds) {
  const auto modelled = [](const char* text) { return KernelVersion::parse_modelled(text); };
  EXPECT_EQ(era_for(*modelled("5.10+precise-tsc-v1")).precise_tsc, PreciseTsc::v1);
  Era expected = era_for(*modelled("6.12"));
  expected.precise_tsc = PreciseTsc::v2;
  EXPECT_EQ(era_for(*modelled("6.12+precise-tsc-v2")), expected);
  EXPECT_EQ(era_for(*modelled("7.4+clock-v6")).tsc_matching, TscMatching::rates_and_offsets);
  for (const char* unknown : {"5.9+precise-tsc-v2", "7.3+clock-v6", "7.3+clock-v7", "7.3+", "+clock-v6"})
    EXPECT_FALSE(modelled(unknown).has_value()) << unknown;
  // A real kernel may call itself anything.
  EXPECT_EQ(KernelVersion::parse("7.4.1+clock-v6")->proposal, Proposal::none);
}

}  // namespace
}  // namespace tscsim::model
