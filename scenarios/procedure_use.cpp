// A line that uses a procedure, written out: each of its steps is read like a line of the scenario, with the procedure's
// own names for hosts, instants and captures. What is wrong in it is shown there, with the line that uses it.
#include <algorithm>
#include <limits>

#include "scenarios/timeline_lines.h"
#include "scenarios/units.h"

namespace tscsim::scenarios {

using Kind = YamlNode::Kind;

namespace {

bool moves(ProcedureKind kind) { return kind == ProcedureKind::migrate || kind == ProcedureKind::restore; }

// Besides the procedure's parameters.
std::vector<std::string> keys_of(const Procedure& procedure) {
  std::vector<std::string> keys{"with", "as"};
  if (!procedure.of.empty()) keys.emplace_back("of");
  if (procedure.kind == ProcedureKind::start) keys.emplace_back("on");
  if (procedure.kind == ProcedureKind::migrate) keys.emplace_back("from");
  if (moves(procedure.kind)) keys.emplace_back("to");
  for (const ProcedureParameter& parameter : procedure.parameters) keys.push_back(parameter.name);
  return keys;
}

const char* example_of(const std::string& kind) {
  if (kind == "migrate") return "migrate: {from: a, to: b, with: qemu/migrate}";
  if (kind == "restore") return "restore: {of: snapshot1, to: b, with: firecracker/restore}";
  if (kind == "pause") return "pause: {with: qemu/stop-cont, for: 10 s}";
  if (kind == "start") return "start: {with: qemu/start}";
  if (kind == "snapshot") return "snapshot: {with: firecracker/snapshot}";
  if (kind == "reset") return "reset: {with: qemu/reset}";
  return "hotplug: {with: qemu/hotplug}";
}

}  // namespace

void TimelineParser::use_procedure(const Line& line) {
  for (const char* key : {"on", "vcpu", "gap", "as", "fails", "may_fail", "thread"})
    if (const YamlNode* node = line.fields->key(key)) {
      diagnostics().add(*node, std::string("'") + key + "' belongs to steps; this line is a procedure's", "remove it");
      return;
    }
  if (!line.operand->is(Kind::mapping)) {
    diagnostics().add(*line.operand, std::string("expected which procedure to use, found ") + found_text(*line.operand),
                      std::string("write '") + example_of(line.word->text) + "'");
    return;
  }
  const Fields fields(diagnostics(), *line.operand, line.word->text, {});
  const Procedure* procedure = find_procedure(line, fields);
  if (!procedure) return;
  std::string prefix;
  if (!read_prefix(line, fields, prefix)) return;
  ProcedureScope scope(*procedure, prefix, diagnostics().place(*line.node));
  scope.begin_at(line.at_ns);
  const bool good = read_roles(line, fields, scope);
  if (!read_arguments(line, fields, scope) || !good) return;
  out_.procedures.push_back({line.word->text, procedure->name, diagnostics().place(*line.node)});
  if (procedure->kind == ProcedureKind::start) {
    if (past_.empty()) out_.stays.clear();
    out_.stays.push_back({past_.empty() ? 0 : line.at_ns, scope.source});
  }
  stop_guest(scope);
  expand(scope);
  finish_use(line, scope);
}

const Procedure* TimelineParser::find_procedure(const Line& line, const Fields& fields) {
  const YamlNode* with = fields.find("with");
  if (!with) {
    diagnostics().add(*line.operand, std::string("this ") + line.word->text + " does not say which procedure",
                      std::string("write '") + example_of(line.word->text) + "'");
    return nullptr;
  }
  const auto name = reader().text(*with, "the name of a procedure");
  if (!name) return nullptr;
  try {
    const Procedure* found = procedures_.find(procedures_.replaced(*name, *procedure_kind_from(line.word->text)));
    if (!found) {
      const bool path = name->rfind('.', 0) == 0 || name->rfind('/', 0) == 0;
      const std::string near = ops::nearest_word(*name, procedures_.names());
      diagnostics().add(*with,
                        path ? "there is no procedure file '" + *name + "'" : "unknown procedure '" + *name + "'",
                        path           ? "a path is from the scenario's folder"
                        : near.empty() ? "see 'tscsim list procedures'"
                                       : "did you mean '" + near + "'?");
      return nullptr;
    }
    if (scenarios::name_of(found->kind) == line.word->text) return found;
    diagnostics().add(
        *with,
        "'" + found->name + "' is for " + std::string(scenarios::name_of(found->kind)) + ", not for " + line.word->text,
        std::string("write '") + example_of(std::string(scenarios::name_of(found->kind))) +
            "', or name another procedure");
  } catch (const ops::InputError& error) {
    for (const ops::Diagnostic& fault : error.diagnostics()) diagnostics().add_used(fault, diagnostics().place(*with));
  }
  return nullptr;
}

// "migrate3", or what the author says; captures are called after it.
bool TimelineParser::read_prefix(const Line& line, const Fields& fields, std::string& prefix) {
  prefix = line.word->text + std::to_string(++uses_[line.word->text]);
  const YamlNode* as = fields.find("as");
  if (as) {
    const auto name = reader().capture_name(*as);
    if (!name) return false;
    prefix = *name;
  }
  const auto taken = std::find_if(past_.begin(), past_.end(), [&](const PastUse& use) { return use.prefix == prefix; });
  if (taken == past_.end()) return true;
  diagnostics().add(as ? *as : *line.operand, "there is a use called '" + prefix + "' already",
                    "name this one by 'as: '");
  return false;
}

const PastUse* TimelineParser::past_use(const YamlNode& node, const Procedure& procedure) {
  std::vector<std::string> names;
  for (const PastUse& use : past_) {
    names.push_back(use.prefix);
    if (!node.is(Kind::scalar) || use.prefix != node.text) continue;
    if (std::find(procedure.of.begin(), procedure.of.end(), use.procedure) != procedure.of.end()) return &use;
    std::string wanted;
    for (const std::string& name : procedure.of) wanted += (wanted.empty() ? "" : " or ") + name;
    diagnostics().add(
        node, "'" + use.prefix + "' is " + use.procedure + ", whose state '" + procedure.name + "' does not know",
        "use " + wanted + " there");
    return nullptr;
  }
  if (names.empty()) diagnostics().add(node, "no procedure was used before", "use " + procedure.of.front() + " first");
  else diagnostics().add_unknown(node, "use of a procedure", names);
  return nullptr;
}

// Who is source and destination, and how many vCPUs the guest has.
bool TimelineParser::read_roles(const Line& line, const Fields& fields, ProcedureScope& scope) {
  const ProcedureKind kind = scope.procedure().kind;
  scope.source = host_ = out_.stays.back().host;
  scope.vcpus = kind == ProcedureKind::start ? vm_.vcpus : here().vcpus();
  bool good = true;
  const auto host = [&](const char* key, std::optional<std::int32_t> otherwise) {
    const YamlNode* node = fields.find(key);
    const auto found = node ? host_from(*node) : otherwise;
    if (!found && !node)
      diagnostics().add(*line.operand, std::string("this ") + line.word->text + " has no '" + key + "'",
                        std::string("write '") + example_of(line.word->text) + "'");
    good = found.has_value() && good;
    return found;
  };
  if (kind == ProcedureKind::start) scope.source = host("on", scope.source).value_or(scope.source);
  if (kind == ProcedureKind::migrate)
    if (const auto from = host("from", scope.source); from && *from != scope.source) {
      diagnostics().add(*fields.find("from"),
                        "the guest is on host " + name_of(scope.source) + ", not on " + name_of(*from),
                        "name the host where the guest is");
      good = false;
    }
  if (moves(kind)) scope.destination = host("to", std::nullopt);
  if (kind == ProcedureKind::migrate && scope.destination == scope.source) {
    diagnostics().add(*fields.find("to"), "the guest is on host " + name_of(scope.source) + " already",
                      "name another host");
    good = false;
  }
  if (scope.procedure().of.empty()) {
    if (kind != ProcedureKind::start && !here().exists) {
      diagnostics().add(*line.node, "there is no VM on host " + name_of(host_) + " yet",
                        "start one, or move this line down");
      good = false;
    }
    return good;
  }
  const YamlNode* of = fields.find("of");
  if (!of)
    diagnostics().add(
        *line.operand, std::string("this ") + line.word->text + " has no 'of'",
        "name the use of " + scope.procedure().of.front() + " that it goes on from, such as 'of: snapshot1'");
  const PastUse* use = of ? past_use(*of, scope.procedure()) : nullptr;
  if (!use) return false;
  scope.inherit(*use);
  if (kind == ProcedureKind::restore) {
    scope.source = use->host;
    scope.vcpus = use->vcpus;
  }
  return good;
}

bool TimelineParser::read_arguments(const Line& line, const Fields& fields, ProcedureScope& scope) {
  const Procedure& procedure = scope.procedure();
  const std::vector<std::string> known = keys_of(procedure);
  const YamlNode* with = fields.find("with");
  const bool replaced = procedures_.replaced(with->text, procedure.kind) != with->text;
  const std::size_t before = diagnostics().size();
  for (const ProcedureParameter& parameter : procedure.parameters) scope.set_argument(parameter.name, parameter.value);
  for (const std::string& key : fields.keys()) {
    if (const ProcedureParameter* parameter = procedure.find(key)) {
      const YamlNode& value = *fields.find(key);
      using Counts = ProcedureParameter::Counts;
      if (parameter->counts == Counts::time) reader().duration_ns(value);
      if (parameter->counts == Counts::rate) reader().frequency_khz(value);
      if (parameter->counts == Counts::number) reader().integer(value, INT64_MIN, INT64_MAX);
      scope.set_argument(key, value.text);
    } else if (std::find(known.begin(), known.end(), key) == known.end() && !replaced) {
      // What another procedure in this one's place does not know, it does without.
      diagnostics().add_unknown(*fields.key(key), "key", known,
                                std::string(" in ") + line.word->text + " with " + procedure.name);
    }
  }
  return diagnostics().size() == before;
}

// From here on diagnostics are the procedure file's, until all its steps are read.
void TimelineParser::expand(ProcedureScope& scope) {
  Diagnostics own(scope.procedure().file, scope.procedure().text);
  Reader own_reader(own);
  Reader* const scenario_reader = reader_;
  reader_ = &own_reader;
  scope_ = &scope;
  for (const YamlNode& node : scope.procedure().steps) expand_step(node);
  if (own.empty()) check_arrival(scope);
  scope_ = nullptr;
  reader_ = scenario_reader;
  for (ops::Diagnostic& fault : own.all()) diagnostics().add_used(std::move(fault), scope.used_at());
}

void TimelineParser::expand_step(const YamlNode& written) {
  const YamlNode node = scope_->with_arguments(written);
  const Fields fields(diagnostics(), node, "a step of a procedure", procedure_step_keys());
  Line line;
  line.node = &node;
  line.fields = &fields;
  bool good = read_instant_of_procedure(line);
  if (const YamlNode* each = fields.find("each_vcpu")) {
    if (good) expand_turns(*each, line);
    return;
  }
  good = read_word(line) && good;
  if (!line.word) return;
  parse_line(line, good);
}

bool TimelineParser::read_instant_of_procedure(Line& line) {
  const YamlNode& at = *line.fields->find("at");
  const auto ns = scope_->instant_ns(reader(), at);
  if (!ns) return false;
  line.at_ns = *ns;
  const std::int64_t earliest = scope_->has_run() ? scope_->end_ns() : free_from_ns_;
  scope_->pivot({*ns, true});
  scope_->pivot({*ns - earliest, true});
  if (*ns < earliest) {
    const std::string what = scope_->has_run() ? "the steps above have" : "the procedure before this one has";
    diagnostics().add(
        at, found_text(at) + " is " + grouped(*ns) + " ns, before " + what + " ended, at " + grouped(earliest) + " ns",
        scope_->has_run() ? "write 'at: end', or use it with times that leave room" : "use this one later");
    return false;
  }
  scope_->reach(*ns);
  const YamlNode* instant = line.fields->find("instant");
  if (!instant) return true;
  const auto name = reader().capture_name(*instant);
  if (name && scope_->has_instant(*name)) {
    diagnostics().add(*instant, "there is an instant '" + *name + "' already", "name it otherwise");
    return false;
  }
  if (name) scope_->set_instant(*name, *ns);
  return name.has_value();
}

// Each vCPU in turn goes through all steps of the group.
void TimelineParser::expand_turns(const YamlNode& each, const Line& group) {
  const YamlNode* gap = group.fields->find("gap");
  const std::int64_t gap_ns = gap ? reader().instant_ns(*gap).value_or(0) : 0;
  const ops::Wide last = static_cast<ops::Wide>(scope_->vcpus - 1) * gap_ns + group.at_ns;
  if (last > std::numeric_limits<std::int64_t>::max())
    return diagnostics().add(gap ? *gap : each, "the last vCPU's turn is beyond 292 years", "");
  const std::size_t before = diagnostics().size();
  for (std::int32_t vcpu = 0; vcpu < scope_->vcpus && diagnostics().size() == before; ++vcpu) {
    scope_->turn = vcpu;
    const std::int64_t turn_ns = group.at_ns + vcpu * gap_ns;
    scope_->reach(turn_ns);
    scope_->set_instant("turn", turn_ns);
    for (const YamlNode& item : each.items) {
      YamlNode step = item;
      // `on` of the group holds for its steps.
      for (const YamlMember& member : group.node->members)
        if (member.key.text == "on") step.members.push_back(member);
      expand_turn(step, turn_ns);
    }
  }
  scope_->turn.reset();
  scope_->drop_instant("turn");
}

void TimelineParser::expand_turn(const YamlNode& node, std::int64_t turn_ns) {
  const Fields fields(diagnostics(), node, "a step of each_vcpu", procedure_step_keys());
  Line line;
  line.node = &node;
  line.fields = &fields;
  line.at_ns = turn_ns;
  bool good = !fields.find("at") || read_instant_of_procedure(line);
  if (!fields.find("at")) {
    scope_->pivot({turn_ns - scope_->end_ns(), false});
    line.at_ns = std::max(turn_ns, scope_->end_ns());
  }
  good = read_word(line) && good;
  if (line.word) parse_line(line, good);
}

// ---- what a step of a procedure has otherwise than a line ----

bool TimelineParser::read_vcpus_of_procedure(Line& line) {
  const YamlNode* node = line.fields->find("vcpu");
  const std::string word = line.word->text;
  const bool on_vm = line.word->target == Target::vm && line.word->kind != OpKind::create_vcpu;
  const auto at_fault = [&](const YamlNode& place, const std::string& message, const std::string& mend) {
    diagnostics().add(place, message, mend);
    return false;
  };
  line.vcpus = {ops::kVm};
  scope_visible_ = scope_->visible(scope_->turn || !on_vm);
  if (scope_->turn) {
    if (node)
      return at_fault(*line.fields->key("vcpu"), "in each_vcpu it is the vCPU whose turn it is", "remove 'vcpu'");
    if (!on_vm) line.vcpus = {*scope_->turn};
  } else if (on_vm) {
    if (node)
      return at_fault(*line.fields->key("vcpu"), "'" + word + "' acts on the VM, not on one vCPU", "remove 'vcpu'");
  } else if (!node) {
    if (line.word->target == Target::either) {
      scope_visible_ = scope_->visible(false);
      return true;
    }
    return at_fault(*line.node, "'" + word + "' needs a vCPU", "add 'vcpu: all', 'vcpu: new' or 'vcpu: 0'");
  } else if (node->text == "all" || node->text == "new") {
    line.vcpus.clear();
    for (std::int32_t vcpu = 0; node->text == "all" && vcpu < scope_->vcpus; ++vcpu) line.vcpus.push_back(vcpu);
    if (node->text == "new") line.vcpus.push_back(scope_->vcpus);
  } else {
    const auto vcpu = reader().integer(*node, 0, ops::layout::kMaxVcpus - 1);
    if (!vcpu) return false;
    line.vcpus = {static_cast<std::int32_t>(*vcpu)};
  }
  if (line.word->kind == OpKind::create_vcpu || line.vcpus == std::vector<std::int32_t>{ops::kVm}) return true;
  for (const std::int32_t vcpu : line.vcpus)
    if (vcpu >= vcpu_count())
      return at_fault(node ? *node : *line.node,
                      "vCPU " + std::to_string(vcpu) + " does not exist on host " + name_of(host_) + " yet",
                      "create it first, with 'create_vcpu: '");
  return true;
}

void TimelineParser::create_vcpus_of_procedure(const Line& line) {
  for (const std::int32_t vcpu : line.vcpus) {
    if (vcpu != vcpu_count() && vcpu != ops::kVm) {
      diagnostics().add(*line.node,
                        "the next vCPU on host " + name_of(host_) + " is " + std::to_string(vcpu_count()) + ", not " +
                            std::to_string(vcpu),
                        "create each once, after 'create_vm'");
      return;
    }
    if (vcpu_count() >= ops::layout::kMaxVcpus) {
      diagnostics().add(*line.node,
                        "host " + name_of(host_) + " has " + std::to_string(vcpu_count()) + " vCPUs already",
                        "that is the most there can be; create fewer");
      return;
    }
    Line one = line;
    one.vcpus = {vcpu == ops::kVm ? vcpu_count() : vcpu};
    one.at_ns = line.at_ns + line.gap_ns * (vcpu == ops::kVm ? 0 : vcpu - line.vcpus.front());
    plan_each(one, [&](ops::Step& step) { step.op.flags = vcpu_flags(); });
    add_vcpu();
  }
}

bool TimelineParser::keep_local_capture(Line& line, const YamlNode& node, const std::string& name) {
  const bool each = scope_->turn || line.first_vcpu() != ops::kVm;
  LocalCapture local{{name, line.word->kind, capture_msr(line), line.first_vcpu(), diagnostics().place(node)},
                     scope_->prefix(),
                     each,
                     scope_->vcpus};
  if (!scope_->declare(diagnostics(), node, local)) return false;
  for (const std::int32_t vcpu : line.vcpus) {
    Capture full = local.capture;
    full.name = scope_->actual(name, vcpu);
    full.vcpu = vcpu;
    if (find_capture(out_.captures, full.name)) {
      diagnostics().add(node, "the scenario has a capture '" + full.name + "' already", "name the use by 'as: '");
      return false;
    }
    out_.captures.push_back(std::move(full));
  }
  line.capture = name;
  return true;
}

std::string TimelineParser::actual(const std::string& name, std::int32_t vcpu) const {
  return scope_ ? scope_->actual(name, vcpu) : name;
}

// The names of a procedure become those of the scenario.
void TimelineParser::localise(ops::Step& step) {
  if (!scope_) return;
  if (!step.capture.empty()) step.capture = scope_->actual(step.capture, step.op.vcpu);
  if (!step.saved.empty()) step.saved = scope_->actual(step.saved, step.op.vcpu);
  if (step.value) step.value = scope_->actual(*step.value, step.op.vcpu);
  if (step.realtime) step.realtime = scope_->actual(*step.realtime, step.op.vcpu);
}

// ---- the end of a use ----

void TimelineParser::check_arrival(const ProcedureScope& scope) {
  if (!scope.destination || out_.stays.back().host == *scope.destination) return;
  diagnostics().add(scope.procedure().steps.back(), "the steps end and the guest is not on the destination",
                    "add 'load_memory: source' there, or 'transfer: {from: source, to: destination}'");
}

// A guest that boots enables kvmclock itself.
void TimelineParser::enable_kvmclock(const Line& line, std::int64_t at_ns) {
  for (std::int32_t vcpu = 0; vm_.kvmclock && vcpu < vcpu_count(); ++vcpu) {
    if (known(vcpu).kvmclock_on) continue;
    ops::Operation& op = plan(line, OpKind::wrmsr, vcpu, at_ns).op;
    op.msr = ops::msr::kKvmSystemTimeNew;
    op.value = page_of(ops::layout::kPvclockPages, vcpu) | 1;
    known(vcpu).kvmclock_on = true;
  }
}

// A step of the guest's that no line of the procedure's file is.
ops::Operation& TimelineParser::plan_for_guest(OpKind kind, std::int64_t at_ns, const ProcedureScope& scope) {
  Planned planned;
  planned.step.op.kind = kind;
  planned.step.op.at_ns = at_ns;
  planned.step.op.host = out_.stays.back().host;
  planned.step.place = planned.step.used_at = scope.used_at();
  planned.step.procedure = scope.procedure().name;
  planned_.push_back(std::move(planned));
  return planned_.back().step.op;
}

// A procedure begins when the VMM stops the vCPUs; QEMU's emulated devices stand still with them. Who pauses the guest by steps of
// his own lets it go on by such, too.
void TimelineParser::stop_guest(const ProcedureScope& scope) {
  const ProcedureKind kind = scope.procedure().kind;
  const std::vector<YamlNode>& steps = scope.procedure().steps;
  const bool says_so = std::any_of(steps.begin(), steps.end(), [](const YamlNode& step) {
    return std::any_of(step.members.begin(), step.members.end(),
                       [](const YamlMember& member) { return member.key.text == "pause_vm"; });
  });
  guest_stopped_at_ns_.reset();
  if (!vm_.guest || guest_paused_ || says_so || kind == ProcedureKind::start || kind == ProcedureKind::hotplug) return;
  guest_stopped_at_ns_ = scope.begin_ns();
  plan_for_guest(OpKind::pause_vm, *guest_stopped_at_ns_, scope).flags = ops::pause_flag::kDevicesStop;
}

// After a reset the guest boots again.
void TimelineParser::let_guest_go(std::int64_t at_ns, const ProcedureScope& scope) {
  const bool boots = scope.procedure().kind == ProcedureKind::reset;
  ops::Operation& op = plan_for_guest(boots ? OpKind::boot_guest : OpKind::resume_vm, at_ns, scope);
  if (boots) op.guest = *vm_.guest;
  guest_stopped_at_ns_.reset();
}

// The first `run` that lies behind the stop lets the guest go on, on all vCPUs.
void TimelineParser::note_pause(const Line& line) {
  if (line.word->kind == OpKind::pause_vm) guest_paused_ = true;
  if (line.word->kind == OpKind::resume_vm) guest_paused_ = false;
  const bool goes_on = scope_ != nullptr && guest_stopped_at_ns_ && line.word->kind == OpKind::run &&
                       line.word->operand == Operand::nothing && host_ == out_.stays.back().host &&
                       line.at_ns >= *guest_stopped_at_ns_;
  if (goes_on) let_guest_go(line.at_ns, *scope_);
}

void TimelineParser::finish_use(const Line& line, const ProcedureScope& scope) {
  host_ = out_.stays.back().host;
  const ProcedureKind kind = scope.procedure().kind;
  if (guest_stopped_at_ns_) let_guest_go(scope.end_ns(), scope);
  if (kind == ProcedureKind::start && vm_.guest)
    plan_for_guest(OpKind::boot_guest, scope.end_ns(), scope).guest = *vm_.guest;
  if ((kind == ProcedureKind::start || kind == ProcedureKind::reset) && !vm_.guest)
    enable_kvmclock(line, scope.end_ns());
  out_.pivots.insert(out_.pivots.end(), scope.pivots().begin(), scope.pivots().end());
  past_.push_back({scope.prefix(), scope.procedure().name, scope.captures(), host_, here().vcpus()});
  last_at_ns_ = free_from_ns_ = scope.end_ns();
  last_at_place_ = scope.used_at();
  busy_with_ = scope.procedure().name;
}

}  // namespace tscsim::scenarios
