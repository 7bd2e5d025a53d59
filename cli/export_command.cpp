// tscsim export ftrace: a recording, or a scenario's replay on the model, as the kernel's tracepoints print it.
#include <fmt/format.h>

#include <iostream>

#include "cli/commands.h"
#include "cli/judged.h"
#include "cli/session.h"
#include "cli/text.h"
#include "ops/error.h"
#include "ops/ftrace_text.h"
#include "storage/recordings.h"

namespace tscsim::cli {
namespace {

constexpr std::string_view kFormat = "ftrace";

std::vector<ops::Recording> recordings_of(const std::string& path, const Arguments& arguments) {
  if (!is_scenario(path)) return storage::read_recordings(path);
  std::vector<ops::Recording> recordings;
  require_replacements({path}, arguments);
  for (const scenarios::Scenario& scenario : load_for_model(path, arguments)) {
    recordings.push_back(run_on_model(scenario, arguments, model::Tracing::on));
    recordings.back().header.scenario = scenarios::label(scenario);
  }
  return recordings;
}

void require_traces(const ops::HostHeader& host, const ops::Header& header, const std::string& path) {
  if (!host.profile.traces.empty()) return;
  throw ops::InputError(ops::Diagnostic{
      {path, 0, 0},
      fmt::format("the recording of '{}' on {} holds no trace events", header.scenario, host.profile.target),
      "record it in the lab without --no-trace, or give the scenario",
      "",
      1});
}

int run(const Arguments& arguments) {
  if (arguments.positional.front() != kFormat)
    throw UsageError(fmt::format("cannot export '{}'{}", arguments.positional.front(),
                                 suggestion(arguments.positional.front(), {std::string(kFormat)}, "only ftrace")));
  if (arguments.positional.size() < 2) throw UsageError("'export ftrace' needs scenarios or recordings");
  Json documents = Json::array();
  for (std::size_t i = 1; i < arguments.positional.size(); ++i) {
    const std::string& path = arguments.positional[i];
    for (const ops::Recording& recording : recordings_of(path, arguments)) {
      for (int host = 0; host < recording.header.hosts(); ++host) {
        const ops::HostHeader& header = recording.header.host(host);
        require_traces(header, recording.header, path);
        const std::string text = ops::ftrace_of(recording, host);
        documents.push_back({{"scenario", recording.header.scenario}, {"host", header.name}, {"text", text}});
        if (arguments.json()) continue;
        std::cout << fmt::format("# {}{} on {}: Linux {}; trace_clock=x86-tsc\n{}", recording.header.scenario,
                                 recording.header.hosts() == 1 ? "" : ", host " + header.name, header.profile.target,
                                 header.profile.kernel, text);
      }
    }
  }
  if (arguments.json())
    print({{"command", "export"}, {"summary", {{"count", documents.size()}}}, {"traces", documents}});
  return kAllHeld;
}

}  // namespace

Command export_command() {
  return {"export",
          "ftrace SCENARIO|REC...",
          "recordings, or scenarios replayed on the model, as KVM's tracepoints print them",
          "tscsim export ftrace scenarios/thread/boot-writes-zero.yaml",
          add_model_options,
          run};
}

}  // namespace tscsim::cli
