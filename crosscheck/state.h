// A hypothesis as one value: what it will say of the entries that are still to come, and nothing else.
#pragma once

#include <string>
#include <vector>

#include "crosscheck/hypothesis.h"

namespace tscsim::crosscheck {

// All that determines what the hypothesis says about the future, as text: every member of its state, and what is known of the
// readings in it. Equal texts, equal futures.
std::string digest(Hypothesis& hypothesis);

// The same without what is known of the readings: equal texts, equal states. Of two such histories one may explain what the
// other can't.
std::string state_digest(Hypothesis& hypothesis);

// The members in which two histories of one recording differ, one line each: "hosts[0].machine.vm_.user_set_tsc: 1, there 0". Of
// readings only what is known of them is compared.
std::vector<std::string> state_diff(Hypothesis& here, Hypothesis& there);

}  // namespace tscsim::crosscheck
