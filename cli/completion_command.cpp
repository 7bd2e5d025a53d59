// Completion for shells, and man pages: both are written from the table of commands, so that they say what --help says.
#include <fmt/format.h>

#include <filesystem>
#include <iostream>

#include "cli/commands.h"
#include "kvm_backend/lab/targets.h"
#include "storage/files.h"

namespace tscsim::cli {
namespace {

// "--output" of "output,o".
std::string long_form(const Option& option) { return "--" + option.name.substr(0, option.name.find(',')); }

std::string command_names() {
  std::vector<std::string> names;
  for (const Command& command : all_commands()) names.push_back(command.name);
  return fmt::format("{}", fmt::join(names, " "));
}

std::string targets() {
  std::vector<std::string> names = {"native", "all"};
  for (const auto& target : kvm_backend::lab::lab_targets()) names.push_back("lab:" + target.name);
  return fmt::format("{}", fmt::join(names, " "));
}

// The shell's words for what an option's value is: a list of `tscsim list`, fixed words, a folder or a file.
std::string values_of(const Option& option) {
  const std::string name = long_form(option);
  if (name == "--kernel" || name == "--kernels") return "$(_tscsim_names kernels)";
  if (name == "--procedure") return "$(_tscsim_names procedures)";
  if (name == "--heuristic" || name == "--heuristics") return "$(_tscsim_names heuristics)";
  if (name == "--metrics") return "$(_tscsim_names metrics)";
  if (name == "--on") return targets();
  if (option.value_name.find('|') != std::string::npos && option.value_name.find("NAME") == std::string::npos) {
    std::string words = option.value_name;
    for (char& c : words) c = c == '|' ? ' ' : c;
    return words;
  }
  return "";
}

std::string bash_of(const Command& command) {
  std::string options, values;
  const OptionList list = options_of(command);
  for (const Option& option : list.all()) {
    options += " " + long_form(option);
    if (const std::string words = values_of(option); !words.empty())
      values += fmt::format("        {}) words=\"{}\" ;;\n", long_form(option), words);
  }
  const std::string names =
      command.name == "explain" ? "words=$(_tscsim_explainable)"
      : command.name == "list"
          ? "words=\"scenarios kernels guests heuristics parameters operations metrics procedures rules findings\""
      : command.name == "completion" ? "words=\"bash zsh\""
                                     : "";
  return fmt::format(
      "    {})\n      options=\"{}\"\n{}      case $previous in\n{}        *) known= ;;\n      esac ;;\n", command.name,
      options.substr(1), names.empty() ? "" : "      " + names + "\n", values);
}

std::string bash_completion() {
  std::string text = R"(# bash completion for tscsim, written by 'tscsim completion bash'.
_tscsim_names() { tscsim list "$1" 2>/dev/null | cut -d' ' -f1 | sort -u; }
_tscsim_explainable() { for what in scenarios kernels heuristics operations metrics procedures rules findings; do _tscsim_names "$what"; done; }
_tscsim() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words= options= known=1
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    mapfile -t COMPREPLY < <(compgen -W ")" +
                     command_names() + R"( --help --version" -- "$current")
    return
  fi
  case ${COMP_WORDS[1]} in
)";
  for (const Command& command : all_commands()) text += bash_of(command);
  text += R"(    *) return ;;
  esac
  # A word with ':' such as lab:6.12 comes in parts, unless the colon is taken from what separates words.
  if [[ $current == : || $previous == : ]] && declare -F __ltrim_colon_completions >/dev/null; then
    _get_comp_words_by_ref -n : cur && current=$cur
  fi
  if [[ -z $known && $current == -* ]]; then words=$options; fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ ${#COMPREPLY[@]} -eq 0 && $current != -* ]]; then mapfile -t COMPREPLY < <(compgen -f -- "$current"); fi
  if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions "$current"; fi
}
complete -o filenames -F _tscsim tscsim
)";
  return text;
}

// In single quotes, as zsh's _arguments reads a specification.
std::string zsh_text(std::string text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') out += "'\\''";
    else if (c == ':' || c == '[' || c == ']') out += std::string("\\") + c;
    else out += c;
  }
  return out;
}

std::string zsh_of(const Command& command) {
  std::string text = fmt::format("    {})\n      _arguments \\\n", command.name);
  const OptionList list = options_of(command);
  for (const Option& option : list.all()) {
    const std::string words = values_of(option);
    const std::string value =
        option.kind == OptionKind::flag ? ""
        : words.empty()                 ? fmt::format(":{}:_files", zsh_text(option.value_name))
        : words.front() == '$' ? fmt::format(":{}:($(tscsim list {} | cut -d\" \" -f1))", zsh_text(option.value_name),
                                             words.substr(words.find(' ') + 1, words.find(')') - words.find(' ') - 1))
                               : fmt::format(":{}:({})", zsh_text(option.value_name), zsh_text(words));
    text += fmt::format("        '{}{}[{}]{}' \\\n", option.kind == OptionKind::texts ? "*" : "", long_form(option),
                        zsh_text(option.help), value);
  }
  return text + "        '*:file:_files' ;;\n";
}

std::string zsh_completion() {
  std::string text = "#compdef tscsim\n# zsh completion for tscsim, written by 'tscsim completion zsh'.\n_tscsim() {\n";
  text += "  if (( CURRENT == 2 )); then\n    local -a commands=(\n";
  for (const Command& command : all_commands())
    text += fmt::format("      '{}:{}'\n", command.name, zsh_text(command.summary));
  text += "    )\n    _describe command commands\n    return\n  fi\n  local command=$words[2]\n  shift words\n";
  text += "  (( CURRENT-- ))\n  case $command in\n";
  for (const Command& command : all_commands()) text += zsh_of(command);
  return text + "  esac\n}\n_tscsim \"$@\"\n";
}

int run_completion(const Arguments& arguments) {
  const std::string& shell = arguments.positional.front();
  if (shell != "bash" && shell != "zsh")
    throw UsageError(fmt::format("completion is for bash and zsh, not '{}'", shell));
  std::cout << (shell == "bash" ? bash_completion() : zsh_completion());
  return kAllHeld;
}

// roff reads a backslash, and a dot or a quote at a line's beginning, as its own; a hyphen is to stay one.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
    if (c == '\\') out += "\\e";
    else if (c == '-') out += "\\-";
    else out += c;
  }
  return out;
}

std::string heading(const std::string& name) {
  return fmt::format(".TH {} 1 \"\" \"tscsim {}\" \"tscsim\"\n", name, TSCSIM_VERSION);
}

std::string man_page(const Command& command) {
  std::string text = heading("TSCSIM\\-" + command.name);
  text += fmt::format(".SH NAME\ntscsim\\-{} \\- {}\n", roff(command.name), roff(command.summary));
  text += fmt::format(".SH SYNOPSIS\n.B tscsim {}\n{} [OPTIONS]\n", roff(command.name), roff(command.positional));
  text += ".SH OPTIONS\n";
  const OptionList list = options_of(command);
  for (const Option& option : list.all()) {
    const auto comma = option.name.find(',');
    const std::string letter = comma == std::string::npos ? "" : fmt::format(", \\-{}", option.name.substr(comma + 1));
    text += fmt::format(".TP\n\\fB{}{}\\fR {}\n{}{}\n", roff(long_form(option)), letter, roff(option.value_name),
                        roff(option.help),
                        option.default_text.empty() ? "" : fmt::format(" (default: {})", roff(option.default_text)));
  }
  if (!command.details.empty()) text += ".SH DETAILS\n.nf\n" + roff(command.details) + ".fi\n";
  text += ".SH EXAMPLE\n.nf\n" + roff(command.example) + "\n.fi\n";
  return text + ".SH SEE ALSO\n.BR tscsim (1)\n";
}

std::string overview_page() {
  std::string text = heading("TSCSIM");
  text += ".SH NAME\ntscsim \\- virtual\\-machine timekeeping on a model of KVM and on real KVM\n";
  text += ".SH SYNOPSIS\n.B tscsim\nCOMMAND [ARGUMENTS] [OPTIONS]\n.SH COMMANDS\n";
  for (const Command& command : all_commands())
    text += fmt::format(".TP\n.BR tscsim\\-{} (1)\n{}\n", roff(command.name), roff(command.summary));
  text +=
      ".SH EXIT STATUS\n.TP\n0\nall held\n.TP\n1\nan expectation or a cross\\-check failed\n.TP\n2\nbad usage or bad input\n";
  text += ".TP\n3\na target, or a file of tscsim's own, was not available\n.TP\n130\ninterrupted\n";
  return text;
}

int run_manual(const Arguments& arguments) {
  const std::filesystem::path folder = arguments.positional.front();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  storage::write_file((folder / "tscsim.1").string(), overview_page());
  for (const Command& command : all_commands())
    storage::write_file((folder / fmt::format("tscsim-{}.1", command.name)).string(), man_page(command));
  return kAllHeld;
}

}  // namespace

Command completion_command() {
  return {"completion",
          "bash|zsh",
          "completion of commands, options and names for a shell",
          "tscsim completion bash",
          [](OptionList&) {},
          run_completion,
          {},
          {"text"}};
}

Command manual_command() {
  return {"manual",
          "DIR",
          "write the man pages into a folder: one a command, from its own help",
          "tscsim manual man1",
          [](OptionList&) {},
          run_manual,
          {},
          {"text"}};
}

}  // namespace tscsim::cli
