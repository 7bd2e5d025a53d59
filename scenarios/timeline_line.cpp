// What every line has besides its operation: when, where, on which vCPUs, under which name it is kept.
#include "scenarios/timeline_lines.h"

#include <algorithm>
#include <limits>

#include "scenarios/errno_names.h"
#include "scenarios/kernel_groups.h"
#include "scenarios/units.h"

namespace tscsim::scenarios {
namespace {

std::string repeated_message(const Capture& capture) { return "'" + capture.name + "' is already captured"; }

}  // namespace

using Kind = YamlNode::Kind;

bool TimelineParser::read_word(Line& line) {
  const YamlNode* first = nullptr;
  for (const std::string& key : line.fields->keys()) {
    const Word* word = find_word(key);
    if (!word) continue;
    if (line.word) {
      diagnostics().add_clash(*line.fields->key(key), "'" + key + "' is a second operation in this step",
                              "the first stands", diagnostics().place(*first), "write each in a step of its own");
      return false;
    }
    first = line.fields->key(key);
    line.word = word;
    line.operand = line.fields->find(key);
  }
  if (!line.word && line.node->members.size() == line.fields->keys().size())
    diagnostics().add(*line.node, "this step has no operation", "add one, such as 'rdtsc: a'");
  return line.word != nullptr;
}

bool TimelineParser::read_instant(Line& line) {
  const YamlNode* at = line.fields->find("at");
  if (!at) {
    diagnostics().add(*line.node, "this step has no 'at'", "add 'at: 0 ms'");
    return false;
  }
  const auto ns = reader().instant_ns(*at);
  if (!ns) return false;
  line.at_ns = *ns;
  out_.pivots.push_back({*ns - last_at_ns_, true});
  if (*ns < last_at_ns_ && !busy_with_.empty()) {
    diagnostics().add_clash(
        *at, found_text(*at) + " is before '" + busy_with_ + "' has ended, at " + grouped(last_at_ns_) + " ns",
        "it is used", last_at_place_, "move the line, or give the procedure shorter times");
    return false;
  }
  if (*ns < last_at_ns_) {
    diagnostics().add_clash(*at, found_text(*at) + " is before the step above", "that step's 'at' stands",
                            last_at_place_, "time runs down the page; move the line up");
    return false;
  }
  last_at_ns_ = *ns;
  last_at_place_ = diagnostics().place(*at);
  return true;
}

std::vector<std::int32_t> TimelineParser::all_vcpus() const {
  std::vector<std::int32_t> all;
  for (std::int32_t vcpu = 0; vcpu < vcpu_count(); ++vcpu) all.push_back(vcpu);
  return all;
}

bool TimelineParser::read_one_vcpu(const YamlNode& node, std::vector<std::int32_t>& out) {
  const auto vcpu = reader().integer(node, 0, ops::layout::kMaxVcpus - 1);
  if (!vcpu) return false;
  if (*vcpu >= vcpu_count()) {
    const std::string here =
        vcpu_count() == 1 ? "only vCPU 0 does" : "vCPUs 0 to " + std::to_string(vcpu_count() - 1) + " do";
    diagnostics().add(node, "vCPU " + std::to_string(*vcpu) + " does not exist here; " + here,
                      "create more with 'vm: {vcpus: ...}' or a step 'create_vcpu'");
    return false;
  }
  const auto index = static_cast<std::int32_t>(*vcpu);
  if (std::find(out.begin(), out.end(), index) != out.end()) {
    diagnostics().add(node, "vCPU " + std::to_string(index) + " is named twice", "name each once");
    return false;
  }
  out.push_back(index);
  return true;
}

bool TimelineParser::read_vcpus(Line& line) {
  if (scope_) return read_vcpus_of_procedure(line);
  const YamlNode* node = line.fields->find("vcpu");
  const std::string word = line.word->text;
  if (line.word->target == Target::vm) {
    line.vcpus = {ops::kVm};
    if (!node) return true;
    diagnostics().add(*line.fields->key("vcpu"), "'" + word + "' acts on the VM, not on one vCPU", "remove 'vcpu'");
    return false;
  }
  if (!node) {
    line.vcpus = line.word->operand == Operand::sample ? all_vcpus() : std::vector<std::int32_t>{ops::kVm};
    if (line.word->target == Target::either) return true;
    diagnostics().add(*line.node, "'" + word + "' needs a vCPU", "add 'vcpu: 0', 'vcpu: [0, 1]' or 'vcpu: all'");
    return false;
  }
  return read_vcpu_list(*node, line.vcpus);
}

bool TimelineParser::read_vcpu_list(const YamlNode& node, std::vector<std::int32_t>& out) {
  if (node.is(Kind::scalar) && node.text == "all") {
    out = all_vcpus();
    return true;
  }
  if (!node.is(Kind::sequence)) return read_one_vcpu(node, out);
  bool good = true;
  for (const YamlNode& item : node.items) good = read_one_vcpu(item, out) && good;
  if (node.items.empty()) diagnostics().add(node, "an empty list of vCPUs", "write 'vcpu: all' or name some");
  return good && !node.items.empty();
}

bool TimelineParser::read_gap(Line& line) {
  const YamlNode* node = line.fields->find("gap");
  if (!node || line.vcpus.empty()) return true;  // without a vCPU the line is at fault, and has been told so
  if ((line.vcpus.size() < 2 && !scope_) || line.word->operand == Operand::sample) {
    diagnostics().add(*line.fields->key("gap"), "'gap' stands between vCPUs, and this step has not several",
                      "name several vCPUs, or remove 'gap'");
    return false;
  }
  const auto ns = reader().instant_ns(*node);
  line.gap_ns = ns.value_or(0);
  const auto last = static_cast<ops::Wide>(line.vcpus.size() - 1) * line.gap_ns + line.at_ns;
  if (last <= std::numeric_limits<std::int64_t>::max()) return ns.has_value();
  diagnostics().add(*node, "the last vCPU's turn is beyond 292 years", "");
  line.gap_ns = 0;
  return false;
}

// Which thread of the VMM makes the call.
bool TimelineParser::read_thread(Line& line) {
  const YamlNode* node = line.fields->find("thread");
  if (!node) return true;
  if (line.word->kind != OpKind::set_msr) {
    diagnostics().add(*line.fields->key("thread"), "'thread' stands beside writes of the VMM to MSRs only",
                      "remove it");
    return false;
  }
  const auto thread = reader().word(*node, "thread", {"vcpu", "main"});
  line.by_main_thread = thread == "main";
  return thread.has_value();
}

bool TimelineParser::read_fails(Line& line) {
  const YamlNode* node = line.fields->find("fails");
  if (!node) return true;
  if (line.word->operand == Operand::sample || line.word->operand == Operand::transfer) {
    diagnostics().add(*line.fields->key("fails"), std::string("a ") + line.word->text + " cannot be expected to fail",
                      "remove 'fails'");
    return false;
  }
  if (node->is(Kind::mapping)) return read_fails_by_kernel(line, *node);
  const auto name = reader().word(*node, "errno", errno_names());
  if (name) line.fails.push_back({*errno_from(*name), {}});
  return name.has_value();
}

// {5.7: EINVAL, 5.8: no}
bool TimelineParser::read_fails_by_kernel(Line& line, const YamlNode& node) {
  std::vector<std::string> words = errno_names();
  words.emplace_back("no");
  const std::size_t before = diagnostics().size();
  for (const KernelGroup& group : parse_kernel_groups(reader(), node, "fails", kernels_, false)) {
    const auto name = reader().word(*group.value, "errno", words);
    if (name && *name != "no") line.fails.push_back({*errno_from(*name), group.range});
  }
  return diagnostics().size() == before;
}

// What KVM answers does not matter to this VMM, if it is one of these errors.
bool TimelineParser::read_may_fail(Line& line) {
  const YamlNode* node = line.fields->find("may_fail");
  if (!node) return true;
  const bool refuses = !fields_of(line.word->kind).empty() || line.word->operand == Operand::sample ||
                       line.word->operand == Operand::transfer;
  if (refuses || line.fields->find("fails")) {
    diagnostics().add(
        *line.fields->key("may_fail"),
        refuses ? std::string("what '") + line.word->text + "' returns would be missing" : "'may_fail' beside 'fails'",
        "remove 'may_fail'");
    return false;
  }
  const std::vector<YamlNode> one{*node};
  for (const YamlNode& item : node->is(Kind::sequence) ? node->items : one) {
    const auto name = reader().word(item, "errno", errno_names());
    if (!name) return false;
    line.may_fail.push_back(*errno_from(*name));
  }
  return true;
}

// The name stands after `as`, or directly after the word of an operation that takes no other operand.
const YamlNode* TimelineParser::capture_node(const Line& line) {
  const YamlNode* as = line.fields->find("as");
  const bool direct = line.word->operand == Operand::capture && !line.operand->is(Kind::null);
  if (line.word->kind == OpKind::read_clock && line.operand->is(Kind::mapping) && line.operand->members.size() == 1 &&
      !as)
    return &line.operand->members.front().value;
  if (!as || !direct) return as ? as : (direct ? line.operand : nullptr);
  diagnostics().add_clash(*as, "this step captures into two names", "the first stands",
                          diagnostics().place(*line.operand), "keep one of the two");
  return nullptr;
}

bool TimelineParser::read_capture(Line& line) {
  const YamlNode* node = capture_node(line);
  if (!node) return true;
  const auto name = reader().capture_name(*node);
  if (!name) return false;
  if (!may_capture(line, *node)) return false;
  if (scope_) return keep_local_capture(line, *node, *name);
  Capture capture{*name, line.word->kind, capture_msr(line), line.first_vcpu(), diagnostics().place(*node)};
  if (const Capture* first = find_capture(out_.captures, *name)) {
    diagnostics().add_clash(*node, repeated_message(capture), "first captured", first->place,
                            "capture into another name");
    return false;
  }
  line.capture = *name;
  pending_capture_ = std::move(capture);
  return true;
}

bool TimelineParser::may_capture(const Line& line, const YamlNode& node) {
  const std::string word = line.word->text;
  if (fields_of(line.word->kind).empty() || line.word->operand == Operand::sample) {
    diagnostics().add(node, "'" + word + "' returns nothing to capture", "remove the name");
    return false;
  }
  if (line.vcpus.size() > 1 && !scope_) {
    diagnostics().add(node, found_text(node) + " cannot hold the readings of several vCPUs",
                      "write one step for each vCPU");
    return false;
  }
  if (!line.always_fails()) return true;
  diagnostics().add(node, "a step that fails has nothing to capture", "remove the name or 'fails'");
  return false;
}

std::uint32_t TimelineParser::capture_msr(const Line& line) {
  if (line.word->operand != Operand::msr_name || !line.operand->is(Kind::scalar)) return 0;
  return ops::msr_from(line.operand->text).value_or(0);
}

}  // namespace tscsim::scenarios
