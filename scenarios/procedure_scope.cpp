#include "scenarios/procedure_scope.h"

#include <algorithm>
#include <functional>

namespace tscsim::scenarios {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_word(char c) { return is_letter(c) || (c >= '0' && c <= '9'); }

// Each word of `text` for which `value` has another text is replaced by that. A number's unit and what stands behind a
// point are no words.
std::string replaced_words(const std::string& text,
                           const std::function<std::optional<std::string>(const std::string&)>& value) {
  std::string out;
  bool after_number = false;  // where a unit may stand
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    while (end < text.size() && is_word(text[end])) ++end;
    if (end == at) {
      after_number = after_number && text[at] == ' ';
      out += text[at++];
      continue;
    }
    const std::string word = text.substr(at, end - at);
    const bool name = is_letter(word.front()) && !after_number && (at == 0 || text[at - 1] != '.');
    out += (name ? value(word) : std::nullopt).value_or(word);
    after_number = !is_letter(word.front());
    at = end;
  }
  return out;
}

}  // namespace

YamlNode ProcedureScope::with_arguments(const YamlNode& node) const {
  YamlNode out = node;
  const auto value = [&](bool whole) {
    return [this, whole](const std::string& word) -> std::optional<std::string> {
      const auto found = arguments_.find(word);
      if (found == arguments_.end()) return std::nullopt;
      return whole ? found->second : "(" + found->second + ")";
    };
  };
  if (node.is(YamlNode::Kind::scalar) && !node.quoted)
    out.text = replaced_words(node.text, value(arguments_.count(node.text) != 0));
  for (YamlNode& item : out.items) item = with_arguments(item);
  for (YamlMember& member : out.members) member.value = with_arguments(member.value);
  return out;
}

std::vector<std::string> ProcedureScope::words_of_time() const {
  std::vector<std::string> words{"end"};
  for (const auto& [name, ns] : instants_) words.push_back(name);
  for (const ProcedureParameter& parameter : procedure_.parameters)
    if (parameter.counts == ProcedureParameter::Counts::time) words.push_back(parameter.name);
  return words;
}

// A sum of instants and durations; parameters are durations by now.
std::optional<std::int64_t> ProcedureScope::instant_ns(Reader& reader, const YamlNode& node) const {
  if (!reader.text(node, "an instant such as 'begin + 1 ms'")) return std::nullopt;
  try {
    for (const Load& load : loads_of(ops::Expression::parse(node.text, ops::Unit::ns), ops::Unit::ns)) {
      if (has_instant(load.name) && load.field.empty()) continue;
      const std::string near = ops::nearest_word(load.name, words_of_time());
      std::string all;
      for (const std::string& word : words_of_time()) all += (all.empty() ? "" : ", ") + word;
      reader.diagnostics().add(node, "there is no instant '" + load.name + "' before this step",
                               near.empty() ? "use one of " + all : "did you mean '" + near + "'?", load.offset,
                               load.name.size());
      return std::nullopt;
    }
    const std::string text = replaced_words(node.text, [&](const std::string& word) -> std::optional<std::string> {
      if (word == "end") return "(" + std::to_string(end_ns()) + " ns)";
      const auto found = instants_.find(word);
      return found == instants_.end() ? std::nullopt : std::optional("(" + std::to_string(found->second) + " ns)");
    });
    const auto ns = ops::Expression::parse(text, ops::Unit::ns).as_constant();
    if (ns && *ns >= 0 && *ns <= INT64_MAX) return static_cast<std::int64_t>(*ns);
    reader.diagnostics().add(node, found_text(node) + " lies before scenario time 0 or beyond 292 years",
                             "use the procedure later, or with shorter times");
  } catch (const ops::ExpressionError& error) {
    reader.diagnostics().add(node, found_text(node) + ": " + error.what(), error.mend);
  }
  return std::nullopt;
}

void ProcedureScope::inherit(const PastUse& use) {
  captures_.insert(captures_.end(), use.captures.begin(), use.captures.end());
}

bool ProcedureScope::declare(Diagnostics& diagnostics, const YamlNode& node, LocalCapture capture) {
  for (const LocalCapture& known : captures_) {
    if (known.capture.name != capture.capture.name) continue;
    if (known.capture.place == capture.capture.place && known.prefix == prefix_) return true;  // another vCPU's turn
    if (known.prefix != prefix_) continue;  // of an earlier use: hidden from here on
    diagnostics.add_clash(node, "'" + known.capture.name + "' is already captured", "first captured",
                          known.capture.place, "capture into another name");
    return false;
  }
  captures_.insert(captures_.begin(), std::move(capture));
  return true;
}

std::vector<Capture> ProcedureScope::visible(bool on_vcpu) const {
  std::vector<Capture> all;
  for (const LocalCapture& local : captures_) {
    if (!local.each || on_vcpu) all.push_back(local.capture);
    for (std::int32_t vcpu = 0; local.each && vcpu < local.vcpus; ++vcpu) {
      all.push_back(local.capture);
      all.back().name += "_" + std::to_string(vcpu);
    }
  }
  return all;
}

std::string ProcedureScope::actual(const std::string& local, std::int32_t vcpu) const {
  for (const LocalCapture& known : captures_) {
    const std::string& name = known.capture.name;
    const std::string full = known.prefix + "_" + local;
    if (local == name) return known.each ? full + "_" + std::to_string(turn.value_or(vcpu)) : full;
    if (known.each && local.rfind(name + "_", 0) == 0 &&
        local.find_first_not_of("0123456789", name.size() + 1) == std::string::npos)
      return full;
  }
  return prefix_ + "_" + local;
}

ops::Expression ProcedureScope::actual(const ops::Expression& expression, std::int32_t vcpu) const {
  if (expression.names().empty()) return expression;
  const std::vector<std::string> names = expression.names();
  const std::string text =
      replaced_words(expression.text(), [&](const std::string& word) -> std::optional<std::string> {
        if (std::find(names.begin(), names.end(), word) == names.end()) return std::nullopt;
        return actual(word, vcpu);
      });
  return ops::Expression::parse(text, expression.unit());
}

}  // namespace tscsim::scenarios
