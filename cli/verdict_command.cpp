// tscsim verdict: what a pause, restore or migration does to the guest's clocks, why, and the cure.
#include <iostream>

#include "cli/commands.h"
#include "cli/judged.h"
#include "cli/text.h"
#include "verdict/report.h"

namespace tscsim::cli {
namespace {

constexpr std::string_view kMasterClockOff = "master-clock-off", kOffsetsDiffer = "offsets-differ";

std::string answer(const std::string& question, const verdict::Course& course, const Arguments& arguments) {
  if (question == kMasterClockOff) return verdict::why_master_clock_off(course);
  if (question == kOffsetsDiffer) return verdict::why_offsets_differ(course);
  return verdict::verdict_text(course, {arguments.has("all")});
}

void check_question(const std::string& question) {
  const std::vector<std::string> known{std::string(kMasterClockOff), std::string(kOffsetsDiffer)};
  if (question.empty() || question == known[0] || question == known[1]) return;
  throw UsageError("--why does not answer '" + question + "'" + suggestion(question, known, "it answers master-clock-off and offsets-differ"));
}

int run(const Arguments& arguments) {
  check_question(arguments.text("why"));
  Json documents = Json::array();
  bool departed = false, first = true;
  for_each_course(arguments, [&](const std::string& file, const verdict::Course& course) {
    departed = departed || course.departure.has_value();
    if (arguments.json()) {
      documents.push_back(Json::parse(verdict::verdict_json(course)));
      documents.back()["file"] = file;
      if (arguments.has("why")) documents.back()["why"] = answer(arguments.text("why"), course, arguments);
      return;
    }
    std::cout << (first ? "" : "\n") << answer(arguments.text("why"), course, arguments);
    first = false;
  });
  if (arguments.json()) print({{"command", "verdict"}, {"summary", {{"count", documents.size()}}}, {"verdicts", documents}});
  return departed ? kFailed : kAllHeld;
}

}  // namespace

Command verdict_command() {
  return {"verdict",
          "FILE|RECORDING...",
          "what happened to the guest's clocks, in one screen: steps, losses, skew, the rule and the operation, the cure",
          "tscsim verdict scenarios/bugs/interleaved-restore.yaml",
          [](po::options_description& options) {
            add_model_options(options);
            options.add_options()("why", po::value<std::string>()->value_name("QUESTION"),
                                  "only walk back to the operation that decided: master-clock-off or offsets-differ")(
                "all", "every disturbance in full, not the worst alone");
          },
          run};
}

}  // namespace tscsim::cli
