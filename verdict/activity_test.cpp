// What counts as the guest's own activity, and whether the guest that goes on is the one that stopped.
#include <gtest/gtest.h>

#include <set>

#include "scenarios/procedure_alone.h"
#include "verdict/lint.h"
#include "verdict/report.h"
#include "verdict/testing.h"

namespace tscsim::verdict {
namespace {

Course case_course(const std::string& name) {
  return follow(scenarios::load_scenario(std::string(TSCSIM_SOURCE_DIR) + "/tests/verdict/cases/" + name).program);
}

const Measure& worst(const Case& c) { return c.measures.back(); }

std::set<std::string> ids_of(const Course& course) {
  std::set<std::string> ids;
  for (const Finding& finding : lint(course).findings)
    if (finding.level != Level::note) ids.insert(std::string(finding.info->id));
  return ids;
}

std::vector<std::string> errors_of(const Measure& m) {
  std::vector<std::string> names;
  for (const NamedError& error : m.errors)
    names.push_back(std::string(info(error.name).id) + " of " + std::to_string(error.vcpu));
  return names;
}

void expect_same(const Measure& a, const Measure& b, const std::string& what) {
  ASSERT_EQ(a.vcpus.size(), b.vcpus.size()) << what;
  for (std::size_t v = 0; v < a.vcpus.size(); ++v) {
    EXPECT_EQ(a.vcpus[v].tsc_error, b.vcpus[v].tsc_error) << what << ", vCPU " << v;
    EXPECT_EQ(a.vcpus[v].tsc_step, b.vcpus[v].tsc_step) << what << ", vCPU " << v;
  }
  EXPECT_EQ(a.kvmclock_error, b.kvmclock_error) << what;
  EXPECT_EQ(a.kvmclock_step, b.kvmclock_step) << what;
  EXPECT_EQ(a.master_after, b.master_after) << what;
  EXPECT_EQ(errors_of(a), errors_of(b)) << what;
}

// A reading by RDTSC and one of CLOCK_MONOTONIC, 4 s before the stop.
TEST(Activity, AReadingIsAReading) {
  const Course by_rdtsc = case_course("m7.yaml"), by_clock = case_course("m8.yaml");
  const Case a = examine(by_rdtsc), b = examine(by_clock);
  expect_same(worst(a), worst(b), "m7, m8");
  ASSERT_TRUE(worst(b).vcpus[0].tsc_step);
  EXPECT_EQ(ns_of(*worst(b).vcpus[0].tsc_step, 2'400'000).lo, 5'000'000) << "P3 to R";
}

// 2: nothing before the migration, 3: a `run`, 4: a `run` and no Linux guest. kvmclock ran on for 42.2 ms (a public report).
TEST(Activity, TheSameCallsGiveTheSameErrors) {
  for (const char* name : {"cpr-migrate2.yaml", "cpr-migrate3.yaml", "cpr-migrate4.yaml"}) {
    const Course course = case_course(name);
    const Case c = examine(course);
    ASSERT_FALSE(c.measures.empty()) << name;
    ASSERT_TRUE(worst(c).split) << name;
    EXPECT_NEAR(static_cast<double>(worst(c).split->lo), 42'225'000, 100) << name;
    EXPECT_EQ(errors_of(worst(c)), errors_of(worst(examine(case_course("cpr-migrate4.yaml"))))) << name;
    EXPECT_TRUE(ids_of(course).contains("clock-tsc-split")) << name;
    ASSERT_TRUE(worst(c).vcpus[0].decision) << name;
    EXPECT_GT(course.op(worst(c).vcpus[0].decision->moment).value, 1u) << name << ": the saved value, not the reset's";
  }
}

// One pause of 30 s that nobody tells the guest of, seen by nothing, by readings and by `run`.
TEST(Activity, APauseIsOnePauseHoweverItIsTold) {
  const Course blind = case_course("verdict-blind.yaml");
  const Case told = examine(blind);
  for (const char* name : {"verdict-blind.yaml", "verdict-reading.yaml", "verdict-seeing.yaml"}) {
    const Course course = case_course(name);
    const Case c = examine(course);
    ASSERT_EQ(c.disturbances.size(), 1u) << name;
    expect_same(c.measures[0], told.measures[0], name);
    EXPECT_EQ(c.measures[0].kvmclock_step, Span::exactly(-1'000'000'000)) << name << ": set back by a second";
    EXPECT_EQ(ids_of(course), (std::set<std::string>{"clock-tsc-split", "ctrl-missing"})) << name;
    EXPECT_EQ(course.op(*c.disturbances[0].stop).kind, ops::OpKind::pause_vm) << name;
    EXPECT_EQ(course.op(*c.disturbances[0].resume).kind, ops::OpKind::resume_vm) << name;
  }
}

TEST(Activity, ShippedScenariosWithLinuxGuests) {
  const Course lockup = course_of_file("guest/soft-lockup-without-ctrl.yaml");
  ASSERT_EQ(examine(lockup).disturbances.size(), 1u);
  EXPECT_EQ(examine(lockup).disturbances[0].kind, DisturbanceKind::pause);
  EXPECT_EQ(ids_of(lockup), std::set<std::string>{"ctrl-missing"});
  const Course split = course_of_file("guest/watchdog-migration-6-1.yaml");
  ASSERT_TRUE(worst(examine(split)).split);
  EXPECT_NEAR(static_cast<double>(worst(examine(split)).split->lo), 14'513'000, 100);
}

// A clock that is set while the guest runs is no pause: the guest goes on at once.
TEST(Activity, ALinuxGuestRunsBetweenTheOperations) {
  const Course course =
      course_of("vm: {vcpus: 1, guest: {kernel: 6.12}}",
                "  - {at: 10 s, get_clock: c}\n  - {at: 10 s, set_clock: c.clock + 1 s}\n"
                "  - {at: 20 s, set_clock: c.clock + 20 s}\n  - {at: 30 s, vcpu: 0, read_clock: {monotonic: m}}\n");
  const Case c = examine(course);
  ASSERT_EQ(c.disturbances.size(), 2u);
  for (const std::size_t n : {0u, 1u}) {
    ASSERT_TRUE(c.measures[n].kvmclock_step);
    EXPECT_NEAR(static_cast<double>(c.measures[n].kvmclock_step->lo), n == 0 ? 1e9 : 9e9, 10);
    EXPECT_EQ(c.measures[n].instants.resume, c.measures[n].instants.stop);
  }
}

TEST(Activity, AProcedureStopsAndLetsGo) {
  const Course course = case_course("m8.yaml");
  const Case c = examine(course);
  EXPECT_EQ(worst(c).instants.stop, Span::exactly(10'000'000'000)) << "the first step on the source";
  ASSERT_TRUE(worst(c).instants.resume);
  EXPECT_EQ(worst(c).instants.resume->lo, 10'305'000'000) << "P3 + entry_gap";
}

// loadvm, after the guest has run on: both clocks, and the memory.
TEST(Activity, AGuestThatGoesBackIsTheOneThatWasSaved) {
  const std::string file = std::string(TSCSIM_SOURCE_DIR) + "/scenarios/procedures/qemu/loadvm.yaml";
  const Course course = follow(scenarios::scenario_of_procedure(file, {}).program);
  const Case c = examine(course);
  ASSERT_FALSE(c.disturbances.empty());
  EXPECT_EQ(c.disturbances.back().kind, DisturbanceKind::go_back);
  ASSERT_TRUE(worst(c).vcpus[0].tsc_step);
  EXPECT_GT(worst(c).vcpus[0].tsc_step->lo, 0) << "no step back";
  EXPECT_LT(ns_of(*worst(c).vcpus[0].tsc_step, worst(c).vcpus[0].khz).lo, 100'000'000) << "P3 to R";
  const std::set<std::string> ids = ids_of(course);
  EXPECT_FALSE(ids.contains("clock-stale"));
  EXPECT_FALSE(ids.contains("page-newer-than-tsc"));
  EXPECT_TRUE(lint(course).undecided.empty()) << "a scenario says that the memory is loaded";
  // The same calls from the outside, which does not see the memory.
  ops::Recording seen = course.recording;
  std::erase_if(seen.entries, [](const ops::Entry& entry) {
    return entry.op.probe || entry.op.kind == ops::OpKind::load_memory || entry.op.kind == ops::OpKind::save_memory;
  });
  const Course outside = follow(std::move(seen));
  EXPECT_EQ(examine(outside).disturbances.back().kind, DisturbanceKind::go_back);
  std::set<std::string> open;
  for (const Undecided& undecided : lint(outside).undecided) open.insert(std::string(undecided.info->id));
  EXPECT_TRUE(open.contains("clock-stale"));
  EXPECT_FALSE(ids_of(outside).contains("clock-stale"));
}

TEST(Activity, TheCureOfAnInterleavedCreationIsClean) {
  for (const char* name : {"interleaved-then-cured.yaml", "restore-then-create.yaml"})
    EXPECT_FALSE(ids_of(case_course(name)).contains("interleaved-create")) << name;
  EXPECT_FALSE(
      ids_of(course_of_file("vmm/cloud-hypervisor/interleaved-restore-cured.yaml")).contains("interleaved-create"));
}

}  // namespace
}  // namespace tscsim::verdict
