#include "cli/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <iostream>
#include <sstream>

#include "ops/error.h"

namespace tscsim::cli {
namespace {

namespace po = boost::program_options;

std::string overview(const std::vector<Command>& commands) {
  std::string text =
      "tscsim: replay what hosts, VMMs and guests do to a VM's clocks, on a model of KVM and on real KVM.\n\n"
      "usage: tscsim COMMAND [ARGUMENTS] [OPTIONS]\n\n";
  for (const Command& command : commands) text += fmt::format("  {:<11} {}\n", command.name, command.summary);
  text +=
      "\n'tscsim COMMAND --help' tells more. Exit status: 0 all held, 1 an expectation or a cross-check failed,\n"
      "2 bad usage or bad input, 3 a target was not available, 4 nothing was checked (nothing was expected, or nothing of it\n"
      "could be looked at), 130 interrupted.\n";
  return text;
}

std::string help(const Command& command, const po::options_description& options) {
  std::ostringstream text;
  text << "usage: tscsim " << command.name << (command.positional.empty() ? "" : " " + command.positional)
       << " [OPTIONS]\n\n"
       << command.summary << "\n\n"
       << options << "\nexample:\n  " << command.example << "\n";
  if (!command.details.empty()) text << "\n" << command.details;
  return text.str();
}

const Command& find_command(const std::vector<Command>& commands, const std::string& name) {
  const auto found = std::find_if(commands.begin(), commands.end(), [&](const Command& c) { return c.name == name; });
  if (found != commands.end()) return *found;
  std::vector<std::string> names;
  for (const Command& command : commands) names.push_back(command.name);
  throw UsageError(fmt::format("unknown command '{}'{}", name, suggestion(name, names, "'tscsim --help' lists them")));
}

void check_positional(const Command& command, const std::vector<std::string>& given) {
  const bool optional = command.positional.empty() || command.positional.front() == '[';
  if (given.empty() && !optional)
    throw UsageError(fmt::format("'{}' needs {}\nexample: {}", command.name, command.positional, command.example));
  const bool many = command.positional.find("...") != std::string::npos;
  const std::size_t most = command.positional.empty() ? 0 : 1;
  if (!many && given.size() > most) throw UsageError(fmt::format("'{}' does not take '{}'", command.name, given[most]));
}

// Boost reads "-1" into an unsigned number as 2^64 - 1.
void check_numbers(const Command& command, const po::options_description& options, const po::parsed_options& parsed) {
  for (const auto& given : parsed.options) {
    const po::option_description* known = options.find_nothrow(given.string_key, false);
    if (known == nullptr || given.value.empty()) continue;
    if (dynamic_cast<const po::typed_value<std::uint64_t>*>(known->semantic().get()) == nullptr) continue;
    const std::string& text = given.value.front();
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size())
      throw UsageError(fmt::format("'{}': --{} is a whole number from 0 to 2^64 - 1, not '{}'", command.name,
                                   known->long_name(), text));
  }
}

template <class T>
po::typed_value<T>* shown(po::typed_value<T>* value, const Option& option) {
  return value->value_name(option.value_name);
}

const po::value_semantic* semantic_of(const Option& option) {
  switch (option.kind) {
    case OptionKind::flag:
      return new po::untyped_value(true);
    case OptionKind::texts:
      return shown(po::value<std::vector<std::string>>(), option);
    case OptionKind::number: {
      auto* const value = shown(po::value<std::uint64_t>(), option);
      return option.default_text.empty() ? value : value->default_value(std::stoull(option.default_text));
    }
    case OptionKind::text:
      break;
  }
  auto* const value = shown(po::value<std::string>(), option);
  return option.default_text.empty() ? value : value->default_value(option.default_text);
}

// Boost takes ownership of each semantic.
po::options_description described(const OptionList& options) {
  po::options_description description("options", 110);
  for (const Option& option : options.all())
    description.add_options()(option.name.c_str(), semantic_of(option), option.help.c_str());
  return description;
}

std::vector<std::string> values_of(const po::variable_value& value) {
  if (value.value().type() == typeid(std::uint64_t)) return {std::to_string(value.as<std::uint64_t>())};
  if (value.value().type() == typeid(std::vector<std::string>)) return value.as<std::vector<std::string>>();
  if (value.value().type() == typeid(std::string)) return {value.as<std::string>()};
  return {""};
}

Arguments parse(const Command& command, const po::options_description& visible, const std::vector<std::string>& words) {
  po::options_description all;
  all.add(visible).add_options()("positional", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("positional", -1);
  po::variables_map values;
  try {
    const po::parsed_options parsed = po::command_line_parser(words).options(all).positional(positional).run();
    check_numbers(command, visible, parsed);
    po::store(parsed, values);
    po::notify(values);
  } catch (const po::unknown_option& error) {
    std::vector<std::string> names;
    for (const auto& option : visible.options()) names.push_back("--" + option->long_name());
    throw UsageError(fmt::format("'{}' has no option '{}'{}", command.name, error.get_option_name(),
                                 suggestion(error.get_option_name(), names)));
  } catch (const po::error& error) {
    throw UsageError(fmt::format("'{}': {}", command.name, error.what()));
  }
  Arguments arguments;
  for (const auto& [name, value] : values) arguments.given[name] = values_of(value);
  if (const auto found = arguments.given.extract("positional"); !found.empty()) arguments.positional = found.mapped();
  return arguments;
}

}  // namespace

void OptionList::flag(std::string name, std::string help) {
  options_.push_back({OptionKind::flag, std::move(name), "", std::move(help)});
}

void OptionList::text(std::string name, std::string value_name, std::string help, std::string default_text) {
  options_.push_back(
      {OptionKind::text, std::move(name), std::move(value_name), std::move(help), std::move(default_text)});
}

void OptionList::texts(std::string name, std::string value_name, std::string help) {
  options_.push_back({OptionKind::texts, std::move(name), std::move(value_name), std::move(help)});
}

void OptionList::number(std::string name, std::string value_name, std::string help,
                        std::optional<std::uint64_t> default_number) {
  options_.push_back({OptionKind::number, std::move(name), std::move(value_name), std::move(help),
                      default_number ? std::to_string(*default_number) : ""});
}

std::string suggestion(const std::string& word, const std::vector<std::string>& words, const std::string& otherwise) {
  const std::string near = ops::nearest_word(word, words);
  if (!near.empty()) return fmt::format("; did you mean '{}'?", near);
  return otherwise.empty() ? "" : "; " + otherwise;
}

OptionList options_of(const Command& command) {
  OptionList list;
  command.options(list);
  list.text("format", fmt::format("{}", fmt::join(command.formats, "|")), "how standard output is written", "text");
  list.flag("help,h", "show this help");
  return list;
}

int dispatch(const std::vector<Command>& commands, int argc, const char* const* argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    std::cout << overview(commands);
    return words.empty() ? kBadUsage : kAllHeld;
  }
  if (words[0] == "--version") {
    std::cout << "tscsim " TSCSIM_VERSION "\n";
    return kAllHeld;
  }
  const Command& command = find_command(commands, words[0]);
  const po::options_description options = described(options_of(command));
  const Arguments arguments = parse(command, options, {words.begin() + 1, words.end()});
  if (arguments.has("help")) {
    std::cout << help(command, options);
    return kAllHeld;
  }
  const std::string format = arguments.text("format");
  if (std::find(command.formats.begin(), command.formats.end(), format) == command.formats.end())
    throw UsageError(fmt::format("--format is {}, not '{}'{}", fmt::join(command.formats, " or "), format,
                                 suggestion(format, command.formats)));
  check_positional(command, arguments.positional);
  return command.run(arguments);
}

}  // namespace tscsim::cli
