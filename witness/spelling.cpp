#include "witness/spelling.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace tscsim::witness {
namespace {

using Wide = __int128;
constexpr Wide kTwo64 = Wide{1} << 64;

}  // namespace

std::string Spelling::of(const Witness& x) { return text_of(space_.canonical(x)); }

std::string Spelling::knowledge() {
  std::vector<Link> rest = without_idle(links());
  std::vector<Link> connected;
  for (std::size_t i = 0; i < in_order_.size(); ++i) {  // which grows
    const auto first = std::stable_partition(rest.begin(), rest.end(),
                                             [&](const Link& link) { return !link.unknowns.contains(in_order_[i]); });
    for (auto link = first; link != rest.end(); ++link)
      for (const std::uint32_t unknown : link->unknowns) number_of(unknown);
    std::move(first, rest.end(), std::back_inserter(connected));
    rest.erase(first, rest.end());
  }
  std::vector<std::string> texts;
  for (const Link& link : connected) texts.push_back(text_of(link));
  std::sort(texts.begin(), texts.end());
  std::string text;
  for (const std::string& link : texts) text += link;
  for (std::size_t i = 0; i < in_order_.size(); ++i) {
    const WitnessSpace::Unknown& u = space_.unknowns_[in_order_[i]];
    text += std::to_string(u.lo) + ".." + std::to_string(u.hi) + ";";
  }
  return text;
}

std::vector<Spelling::Link> Spelling::links() const {
  std::vector<Link> all;
  for (const WitnessSpace::Constraint& constraint : space_.constraints_) {
    Link link{space_.canonical(constraint.expression), {}, constraint.lo, constraint.hi, nullptr, {}};
    add_unknowns(link, link.expression);
    all.push_back(std::move(link));
  }
  for (const WitnessSpace::Relation& relation : space_.relations_) {
    Link link{space_.canonical(relation.result), space_.canonical(relation.argument), 0, 0, &relation, {}};
    add_unknowns(link, link.expression);
    add_unknowns(link, link.argument);
    all.push_back(std::move(link));
  }
  return all;
}

void Spelling::add_unknowns(Link& link, const Witness& x) const {
  for (std::size_t i = 0; i < x.count_; ++i) link.unknowns.insert(x.terms_[i].unknown);
}

std::vector<Spelling::Link> Spelling::without_idle(std::vector<Link> links) const {
  std::map<std::uint32_t, int> uses;
  for (const Link& link : links)
    for (const std::uint32_t unknown : link.unknowns) ++uses[unknown];
  for (bool changed = true; changed;) {
    changed = std::erase_if(links, [&](const Link& link) {
                if (!idle(link, uses)) return false;
                for (const std::uint32_t unknown : link.unknowns) --uses[unknown];
                return true;
              }) != 0;
  }
  return links;
}

// Whether the link says nothing to the rest: one of its unknowns is in nothing else, and can be had for whatever the others are.
bool Spelling::idle(const Link& link, const std::map<std::uint32_t, int>& uses) const {
  return std::any_of(link.unknowns.begin(), link.unknowns.end(), [&](std::uint32_t unknown) {
    if (numbers_.contains(unknown) || uses.at(unknown) != 1) return false;
    return link.relation == nullptr ? binds_nothing(link, unknown) : result_binds_nothing(link, unknown);
  });
}

bool Spelling::binds_nothing(const Link& link, std::uint32_t leaf) const {
  const WitnessSpace::Unknown& u = space_.unknowns_[leaf];
  std::int64_t factor = 0;
  for (std::size_t i = 0; i < link.expression.count_; ++i)
    if (link.expression.terms_[i].unknown == leaf) factor = link.expression.terms_[i].factor;
  if (factor != 1 && factor != -1) return false;
  const Wide width = Wide{u.hi} - u.lo;
  const WitnessSpace::WideInterval sum = space_.wide_interval(link.expression);
  // The others' part of the sum goes from sum.lo + width to sum.hi - width when the leaf counters it as far as it can.
  const auto turns = [](Wide x) { return x >= 0 ? x / kTwo64 : -((-x + kTwo64 - 1) / kTwo64); };
  const Wide shift = turns(sum.lo + width) * kTwo64;
  return sum.lo + width - shift >= Wide{link.lo} && sum.hi - width - shift <= Wide{link.hi};
}

bool Spelling::result_binds_nothing(const Link& link, std::uint32_t leaf) const {
  const Witness& result = link.expression;
  if (result.count_ != 1 || result.terms_[0].unknown != leaf || result.terms_[0].factor != 1) return false;
  for (std::size_t i = 0; i < link.argument.count_; ++i)
    if (link.argument.terms_[i].unknown == leaf) return false;
  const Interval argument = space_.interval(link.argument), values = space_.interval(result);
  if (argument.wraps() || values.wraps() || argument.hi() > link.relation->function.domain_hi) return false;
  const auto& f = link.relation->function.apply;
  return values.lo <= f(argument.lo) && f(argument.hi()) <= values.hi();
}

std::string Spelling::text_of(const Link& link) {
  if (link.relation != nullptr)
    return "f" + std::to_string(link.relation->values_hash) + "(" + text_of(link.argument) +
           ")=" + text_of(link.expression) + ";";
  return text_of(link.expression) + " in " + std::to_string(link.lo) + ".." + std::to_string(link.hi) + ";";
}

std::string Spelling::text_of(const Witness& canonical) {
  std::vector<Witness::Term> terms(canonical.terms_.begin(), canonical.terms_.begin() + canonical.count_);
  // Those that have a number first, so that the order does not hang on which was made first.
  const auto place = [this](const Witness::Term& term) {
    const auto known = numbers_.find(term.unknown);
    return std::pair(known == numbers_.end(), known == numbers_.end() ? term.unknown : known->second);
  };
  std::sort(terms.begin(), terms.end(), [&](const auto& a, const auto& b) { return place(a) < place(b); });
  std::string text = std::to_string(canonical.constant_);
  for (const auto& [unknown, factor] : terms)
    text += "+" + std::to_string(factor) + "u" + std::to_string(number_of(unknown));
  return text + ",";
}

std::uint32_t Spelling::number_of(std::uint32_t unknown) {
  const auto [at, fresh] = numbers_.emplace(unknown, static_cast<std::uint32_t>(in_order_.size()));
  if (fresh) in_order_.push_back(unknown);
  return at->second;
}

}  // namespace tscsim::witness
