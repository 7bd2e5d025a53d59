// yaml-cpp's event stream, turned into YamlNodes on an explicit stack.
#include "scenarios/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>

#include "ops/text.h"
#include "scenarios/diagnostics.h"

namespace tscsim::scenarios {
namespace {

constexpr std::size_t kShownChars = 60;

struct Refusal {
  int line, column;
  std::string message, mend;
};

Refusal refusal_at(const YAML::Mark& mark, std::string message, std::string mend) {
  return {mark.line + 1, mark.column + 1, std::move(message), std::move(mend)};
}

class TreeBuilder : public YAML::EventHandler {
 public:
  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1)
      throw refusal_at(mark, "a second YAML document begins here", "write one scenario in each file");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(make(YamlNode::Kind::null, mark, "?", anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { throw no_anchors(mark); }
  void OnAnchor(const YAML::Mark& mark, const std::string&) override { throw no_anchors(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node = make(YamlNode::Kind::scalar, mark, tag, anchor);
    node.text = value;
    node.quoted = tag == "!";
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(YamlNode::Kind::sequence, mark, tag, anchor), mark);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(make(YamlNode::Kind::mapping, mark, tag, anchor), mark);
  }
  void OnMapEnd() override { close(); }

 private:
  static Refusal no_anchors(const YAML::Mark& mark) {
    return refusal_at(mark, "anchors and aliases are not part of the scenario language",
                      "write the text out, or quote it if the '&' or '*' is meant literally");
  }

  static YamlNode make(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) throw no_anchors(mark);
    if (!tag.empty() && tag != "?" && tag != "!")
      throw refusal_at(mark, "tags are not part of the scenario language", "remove the tag");
    YamlNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    return node;
  }

  void open(YamlNode node, const YAML::Mark& mark) {
    if (open_.size() >= static_cast<std::size_t>(kMaxDepth))
      throw refusal_at(mark, "nested more than " + std::to_string(kMaxDepth) + " levels deep",
                       "a scenario needs fewer than ten levels");
    open_.push_back({std::move(node), {}, false});
  }

  void close() {
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(node));
  }

  void add(YamlNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.is(YamlNode::Kind::sequence)) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.has_key) {
      parent.key = std::move(node);
      parent.has_key = true;
    } else {
      parent.node.members.push_back({std::move(parent.key), std::move(node)});
      parent.has_key = false;
    }
  }

  struct Open {
    YamlNode node;
    YamlNode key;
    bool has_key;
  };
  std::vector<Open> open_;
  YamlNode root_;
  int documents_ = 0;
};

[[noreturn]] void refuse(const Diagnostics& diagnostics, int line, int column, std::string message, std::string mend) {
  ops::Diagnostic diagnostic;
  diagnostic.place = {diagnostics.file(), line, column};
  diagnostic.message = std::move(message);
  diagnostic.mend = std::move(mend);
  diagnostic.source_line = diagnostics.source_line(line);
  throw ops::InputError(diagnostic);
}

void refuse_large(std::string_view text, const std::string& file) {
  if (text.size() <= kMaxFileBytes) return;
  throw ops::InputError(ops::Diagnostic{{file, 0, 0},
                                        "the file holds " + std::to_string(text.size()) +
                                            " bytes; a scenario has at most " + std::to_string(kMaxFileBytes),
                                        "check that this is a scenario, or split it",
                                        {},
                                        1});
}

void refuse_binary(std::string_view text, const Diagnostics& diagnostics) {
  const auto is_control = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t';
  };
  std::size_t offset = 0;
  while (offset < text.size() && !is_control(text[offset])) {
    const std::size_t length = ops::utf8_length(text.substr(offset));
    if (length == 0) break;
    offset += length;
  }
  if (offset == text.size()) return;
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(offset), '\n');
  const std::size_t line_begin = text.substr(0, offset).rfind('\n') + 1;  // npos + 1 is 0
  refuse(diagnostics, static_cast<int>(line), static_cast<int>(offset - line_begin) + 1,
         is_control(text[offset]) ? "a control character; this is not a text file"
                                  : "a character that is not UTF-8, which YAML is written in",
         "");
}

}  // namespace

YamlNode parse_yaml(std::string_view text, const std::string& file) {
  refuse_large(text, file);
  const Diagnostics diagnostics(file, text);
  refuse_binary(text, diagnostics);
  std::istringstream in{std::string(text)};
  TreeBuilder builder;
  try {
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refusal& refusal) {
    refuse(diagnostics, refusal.line, refusal.column, refusal.message, refusal.mend);
  } catch (const YAML::Exception& error) {
    const bool anchor = error.msg.find("anchor") != std::string::npos;
    refuse(diagnostics, error.mark.line + 1, error.mark.column + 1,
           anchor ? "anchors and aliases are not part of the scenario language" : "malformed YAML: " + error.msg, "");
  }
  return builder.take();
}

std::string found_text(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return "nothing";
    case YamlNode::Kind::sequence:
      return "a sequence";
    case YamlNode::Kind::mapping:
      return "a mapping";
    case YamlNode::Kind::scalar:
      break;
  }
  if (node.text.size() <= kShownChars) return "'" + node.text + "'";
  return "'" + node.text.substr(0, kShownChars) + "...'";
}

}  // namespace tscsim::scenarios
