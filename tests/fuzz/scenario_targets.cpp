// The scenario language, procedures, and expressions.
#include <array>
#include <set>

#include "ops/error.h"
#include "ops/expression.h"
#include "scenarios/procedure.h"
#include "scenarios/scenario.h"
#include "scenarios/yaml_tree.h"
#include "seeds.h"
#include "target.h"

namespace tscsim::fuzz {
namespace {

// A first line "# set: NAME=VALUE" gives a value from outside, as a sweep does.
void run_scenario(std::string_view input) {
  constexpr std::string_view kSet = "# set: ";
  scenarios::ParseOptions options;
  if (input.starts_with(kSet)) {
    const std::string_view line = input.substr(kSet.size(), input.find('\n') - kSet.size());
    const std::size_t equals = line.find('=');
    if (equals != std::string_view::npos)
      options.overrides.push_back({std::string(line.substr(0, equals)), std::string(line.substr(equals + 1))});
  }
  refuses_or_runs([&] {
    const scenarios::Scenario scenario = scenarios::parse_scenario(input, "-", options);
    promise(!scenario.program.hosts.empty(), "a scenario has a host");
    scenarios::for_each_kernel(scenario);
  });
}

void run_procedure(std::string_view input) {
  refuses_or_runs([&] { scenarios::parse_procedure(input, "FILE", "vmm/name"); });
}

void run_yaml(std::string_view input) {
  refuses_or_runs([&] { scenarios::parse_yaml(input, "FILE"); });
}

// Names are read as what lies at the edges.
std::optional<ops::Wide> look_up(std::string_view name, std::string_view field) {
  constexpr std::array<ops::Wide, 6> kValues = {0, -1, 1, INT64_MAX, INT64_MIN, UINT64_MAX};
  if (name.size() > 3) return std::nullopt;
  return kValues[(name.size() + field.size()) % kValues.size()];
}

void run_expression(std::string_view input) {
  for (const ops::Unit unit : {ops::Unit::ns, ops::Unit::cycles}) try {
      const ops::Expression expression = ops::Expression::parse(input, unit);
      expression.as_constant();
      expression.names();
      const ops::Expression again = ops::Expression::parse(expression.text(), unit);
      promise(again.code().size() == expression.code().size(), "an expression's text is read as it was written");
      for (const std::uint32_t khz : {0u, 1u, 2'600'000u, UINT32_MAX}) try {
          expression.evaluate(look_up, khz);
        } catch (const ops::ExpressionError&) {
        }
    } catch (const ops::ExpressionError& error) {
      promise(error.offset <= input.size(), "an error lies in the text");
    }
}

void run_duration(std::string_view input) {
  try {
    ops::parse_duration(input);
  } catch (const ops::ExpressionError& error) {
    promise(error.offset <= input.size(), "an error lies in the text");
  }
}

std::vector<std::string> all_scenarios(const std::string& source) {
  std::vector<std::string> texts = texts_below(source + "/scenarios", ".yaml", 4000);
  for (const char* set : {"timeline.1.at=5 ms", "vm.vcpus=3", "host.tsc=3_000_000 kHz", "downtime=200 ms"})
    for (const std::size_t i : {std::size_t{3}, std::size_t{40}})
      texts.push_back("# set: " + std::string(set) + "\n" + texts[i % texts.size()]);
  return texts;
}

std::vector<std::string> procedure_seeds(const std::string& source) {
  return texts_below(source + "/scenarios/procedures", ".yaml", 8000);
}

std::vector<std::string> expression_seeds(const std::string& source) {
  std::set<std::string> texts = {"a + 100 ms", "-(b.tsc * 3) / 2", "cycles(1 s, 2_600_000)", "ns(a - b)", "0xffff"};
  for (const std::string& text : scenario_texts(source)) {
    const scenarios::Scenario scenario = scenarios::parse_scenario(text, "-");
    for (const scenarios::Expectation& expectation : scenario.expectations)
      for (const auto* side : {&expectation.left, &expectation.right, &expectation.within})
        if (*side) texts.insert((*side)->text());
    for (const ops::Step& step : scenario.program.timeline)
      for (const auto* operand : {&step.value, &step.realtime})
        if (*operand) texts.insert((*operand)->text());
  }
  return {texts.begin(), texts.end()};
}

std::vector<std::string> duration_seeds(const std::string&) {
  return {"400 ms", "1.5 s", "+2 ms", "-2 ms", "1_000 ns", "3 h", "2 d", "15 min", "0.001 us"};
}

constexpr std::array kTargets = {
    Target{"scenario", "a scenario, with a value from outside", run_scenario, all_scenarios, Form::text, 4500},
    Target{"procedure", "a VMM's procedure", run_procedure, procedure_seeds, Form::text, 8000},
    Target{"yaml", "YAML as a tree", run_yaml, all_scenarios, Form::text, 2000},
    Target{"expression", "an expression, evaluated at the edges", run_expression, expression_seeds, Form::text, 120},
    Target{"duration", "a duration", run_duration, duration_seeds, Form::text, 40},
};

}  // namespace

std::span<const Target> scenario_targets() { return kTargets; }

}  // namespace tscsim::fuzz
