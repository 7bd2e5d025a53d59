#include "ops/program_json.h"

#include <gtest/gtest.h>

#include "ops/error.h"

namespace tscsim::ops {
namespace {

Program example() {
  Program program;
  program.name = "a \"quoted\" name";
  program.hash = "0123456789abcdef";
  program.heuristic = "never";
  program.hosts.front().name = "b";
  program.hosts.front().kernel = "6.12";
  program.hosts.front().vendor = "svm";
  program.hosts.front().tsc_scaling = true;
  program.hosts.front().tsc_khz = 1'234'567;
  program.hosts.front().tsc_error_ppb = -17;
  program.hosts.front().tsc_khz_written = true;
  program.hosts.front().uptime_ns = 5;
  program.hosts.front().realtime_ns = 9'000'000'000'000'000'000;
  program.hosts.front().realtime_error_ns = -3;
  program.hosts.front().realtime_drift_ppb = 4;
  program.hosts.front().tsc_clocksource = false;
  program.hosts.front().tsc_unstable = true;
  program.hosts.front().pcpus = {{0}, {-1'000'000'000'000}};
  Step created;
  created.op.kind = OpKind::create_vcpu;
  created.op.vcpu = 0;
  program.setup = {created};
  Step set;
  set.op.kind = OpKind::set_clock;
  set.op.flags = 4;
  set.op.at_ns = -1;
  set.op.realtime = UINT64_MAX;
  set.value = Expression::parse("saved.clock + 100 ms - cycles(3 us)", Unit::ns);
  set.realtime = Expression::constant(-(Wide{1} << 100));
  set.capture = "again";
  set.place = {"folder/x.yaml", 7, 3};
  Step write;
  write.op.kind = OpKind::set_msr;
  write.op.vcpu = 3;
  write.op.msr = msr::kIa32Tsc;
  write.op.value = UINT64_MAX;
  write.value = Expression::parse("1 ms", Unit::cycles);
  write.procedure = "qemu/migrate";
  write.used_at = {"folder/x.yaml", 12, 5};
  program.timeline = {set, write};
  return program;
}

// Program has no operator==: expressions have none. Their text and unit are what they are made of.
void expect_same(const std::optional<Expression>& a, const std::optional<Expression>& b) {
  ASSERT_EQ(a.has_value(), b.has_value());
  if (!a) return;
  EXPECT_EQ(a->text(), b->text());
  EXPECT_EQ(a->unit(), b->unit());
  EXPECT_EQ(a->as_constant(), b->as_constant());
}

void expect_same(const std::vector<Step>& a, const std::vector<Step>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].op, b[i].op);
    expect_same(a[i].value, b[i].value);
    expect_same(a[i].realtime, b[i].realtime);
    EXPECT_EQ(a[i].capture, b[i].capture);
    EXPECT_EQ(a[i].place, b[i].place);
    EXPECT_EQ(a[i].procedure, b[i].procedure);
    EXPECT_EQ(a[i].used_at, b[i].used_at);
  }
}

TEST(ProgramJson, RoundTripLosesNothing) {
  const Program program = example();
  const std::string line = to_json(program);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const Program back = program_from_json(line, "jobs");
  EXPECT_EQ(back.name, program.name);
  EXPECT_EQ(back.hash, program.hash);
  EXPECT_EQ(back.heuristic, program.heuristic);
  EXPECT_EQ(back.hosts, program.hosts);
  expect_same(back.setup, program.setup);
  expect_same(back.timeline, program.timeline);
  EXPECT_EQ(to_json(back), line);
}

TEST(ProgramJson, TheUnitOfADurationSurvives) {
  const Program back = program_from_json(to_json(example()), "jobs");
  EXPECT_EQ(static_cast<std::int64_t>(back.timeline[1].value->evaluate({}, 2'000'000)), 2'000'000);
}

std::string refusal_of(const std::string& line) {
  try {
    program_from_json(line, "jobs");
  } catch (const InputError& error) {
    return error.diagnostics().front().message;
  }
  return "accepted";
}

std::string with(std::string line, const std::string& from, const std::string& to) {
  const std::size_t at = line.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? line : line.replace(at, from.size(), to);
}

TEST(ProgramJson, RefusesWhatItDoesNotKnow) {
  const std::string good = to_json(example());
  const struct {
    std::string line, refusal;
  } cases[] = {
      {"", "not JSON"},
      {"[]", "program: expected an object, found array"},
      {with(good, "tscsim-program-3", "tscsim-program-1"),
       "program of format 'tscsim-program-1', this program reads tscsim-program-3"},
      {with(good, "\"heuristic\"", "\"heuristics\""), "program: unknown member 'heuristics'"},
      {with(good, "\"heuristic\":\"never\"", "\"name\":\"never\""), "member 'name' is there twice"},
      {with(good, "create_vcpu", "make_vcpu"), "unknown operation 'make_vcpu'"},
      {with(good, "\"unit\":\"ns\"", "\"unit\":\"us\""), "expression: unknown unit 'us'"},
      {with(good, "\"tsc_khz\":1234567", "\"tsc_khz\":-1"),
       "host: member 'tsc_khz': expected an integer within range, found -1"},
      {with(good, "\"pcpu_tsc_offsets\":[\"0\",\"-1000000000000\"]", "\"pcpu_tsc_offsets\":[]"),
       "host: there is no pCPU"},
      {with(good, "\"pcpu_tsc_offsets\":[", "\"pcpu_tsc_offsets\":[1,"),
       "pcpu: member 'tsc_offset': expected a 64-bit integer as a decimal string, found 1"},
      {with(good, "saved.clock +", "saved.clock ++ +"), "expression 'saved.clock ++ + 100 ms - cycles(3 us)': "},
  };
  for (const auto& c : cases) EXPECT_EQ(refusal_of(c.line).substr(0, c.refusal.size()), c.refusal) << c.line;
}

}  // namespace
}  // namespace tscsim::ops
