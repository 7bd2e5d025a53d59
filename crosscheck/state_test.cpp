// That two states are one only if they are: each member, as its enumeration has it, is changed alone.
#include "crosscheck/state.h"

#include <gtest/gtest.h>

#include <concepts>
#include <string>
#include <type_traits>

#include "crosscheck/state_text.h"
#include "model/world/simulation.h"
#include "ops/testing.h"

namespace tscsim::crosscheck {
namespace {

using ops::OpKind;
using ops::step;

// Calls one of these for each thing in a state that can be changed alone.
template <class Each>
class Members {
 public:
  explicit Members(Each& each) : each_(each) {}

  template <class Value>
  void visit(Value& value) {
    using Plain = std::remove_cvref_t<Value>;
    if constexpr (requires { value.state(); }) visit(value.state());
    else if constexpr (std::same_as<Plain, Witness> || std::is_arithmetic_v<Plain> || std::is_enum_v<Plain>)
      each_.number(value);
    else if constexpr (requires { value.has_value(); }) {
      each_.optional(value);
      if (value) visit(*value);
    } else if constexpr (requires { value.pop_back(); }) {
      each_.list(value);
      for (auto& element : value) visit(element);
    } else if constexpr (requires { value.insert(0); }) each_.set(value);
    else if constexpr (model::Enumerated<Plain>)
      Plain::each_member(value, [this](const char*, auto& member) { visit(member); });
    else if constexpr (requires { value.second; }) {
      visit(value.first);
      visit(value.second);
    } else {
      static_assert(std::same_as<Plain, ops::Range>);
      visit(value.lo);
      visit(value.hi);
    }
  }
  void visit_state(Hypothesis& hypothesis) {
    visit(hypothesis.hosts);
    visit(hypothesis.guest_writes);
  }

 private:
  Each& each_;
};

// Nothing is empty any more, so that every member of every struct is somewhere in the state.
struct Fill {
  void number(auto&) {}
  void optional(auto& value) {
    if (!value) value.emplace();
  }
  template <class List>
  void list(List& values) {
    if constexpr (std::default_initializable<typename List::value_type>)
      if (values.empty()) values.emplace_back();
  }
  void set(auto& values) { values.insert(0); }
};

// Changes the one that is `wanted`.
struct Change {
  int wanted = -1;
  int at = 0;

  bool here() { return at++ == wanted; }
  template <class Number>
  void number(Number& value) {
    if (!here()) return;
    if constexpr (std::same_as<Number, bool>) value = !value;
    else if constexpr (std::is_enum_v<Number>) value = static_cast<Number>(static_cast<int>(value) ^ 1);
    else value = static_cast<Number>(value + Number(1));
  }
  void optional(auto& value) {
    if (here()) value.reset();
  }
  void list(auto& values) {
    if (here() && !values.empty()) values.pop_back();
  }
  void set(auto& values) {
    if (here()) values.insert(77);
  }
};

template <class Each>
Each over(Hypothesis& hypothesis, Each each) {
  const WitnessSpace::Scope scope(hypothesis.space);
  Members<Each>(each).visit_state(hypothesis);
  return each;
}

Hypothesis full_state() {
  ops::Program program;
  program.setup = {step(OpKind::create_vm, 0), step(OpKind::create_vcpu, 0, 0), step(OpKind::create_vcpu, 0, 1)};
  const auto executor = model::simulate(program.hosts, program.heuristic);
  const ops::Recording recording = ops::run_program(program, *executor, 1);
  Hypothesis hypothesis(recording);
  for (std::size_t i = 0; i < recording.entries.size(); ++i) EXPECT_TRUE(advance(hypothesis, recording.entries[i], i));
  over(hypothesis, Fill{});
  return hypothesis;
}

TEST(State, EqualStatesHaveEqualDigestsAndNoDifference) {
  Hypothesis one = full_state(), other = full_state();
  EXPECT_EQ(digest(one), digest(other));
  EXPECT_TRUE(state_diff(one, other).empty());
}

TEST(State, AnyMemberThatIsChangedAloneShows) {
  Hypothesis good = full_state();
  const std::string before = digest(good);
  const int members = over(good, Change{}).at;
  EXPECT_GT(members, 200);
  for (int i = 0; i < members; ++i) {
    Hypothesis changed = full_state();
    over(changed, Change{i});
    const std::vector<std::string> lines = state_diff(good, changed);
    EXPECT_NE(digest(changed), before) << "change " << i << (lines.empty() ? "" : ": " + lines.front());
    EXPECT_FALSE(lines.empty()) << "change " << i;
  }
}

TEST(State, ADifferenceNamesItsMember) {
  Hypothesis one = full_state(), other = full_state();
  other.hosts.front().machine.state().vcpus_[1].requests ^= 4;
  const std::vector<std::string> lines = state_diff(one, other);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(lines.front().starts_with("hosts[0].machine.vcpus_[1].requests: ")) << lines.front();
}

// What is known of a reading is part of it: the history that knows more may be contradicted where the other is not.
TEST(State, KnowledgeOfAReadingShows) {
  Hypothesis one = full_state(), other = full_state();
  one.hosts.front().machine.state().vm_.kvmclock_offset = one.space.unknown(1, 100);
  other.hosts.front().machine.state().vm_.kvmclock_offset = other.space.unknown(1, 101);
  EXPECT_NE(digest(one), digest(other));
}

}  // namespace
}  // namespace tscsim::crosscheck
