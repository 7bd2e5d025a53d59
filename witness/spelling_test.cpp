#include "witness/spelling.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace tscsim::witness {
namespace {

// The text of a state that `make` writes into a space of its own.
std::string text_of(const std::function<std::vector<Witness>(WitnessSpace&)>& make) {
  WitnessSpace space;
  const WitnessSpace::Scope scope(space);
  const std::vector<Witness> state = make(space);
  Spelling spelling(space);
  std::string text;
  for (const Witness& x : state) text += spelling.of(x);
  return text + spelling.knowledge();
}

TEST(Spelling, TheNamesOfUnknownsDoNotMatter) {
  const auto plain = [](WitnessSpace& space) { return std::vector{space.unknown(1, 9) + Witness(5)}; };
  const auto later = [](WitnessSpace& space) {
    space.unknown(3, 4);
    return std::vector{space.unknown(1, 9) + Witness(5)};
  };
  EXPECT_EQ(text_of(plain), text_of(later));
}

TEST(Spelling, NorDoesWhichOfThemWasMadeFirst) {
  const auto pair = [](bool other_way) {
    return [other_way](WitnessSpace& space) {
      Witness a, b;
      for (const bool first : {!other_way, other_way}) {
        Witness& x = first ? a : b;
        x = space.unknown(0, first ? 100 : 200);
        const Witness y = space.unknown(50, 60);
        space.constrain(x + y, 70, 150);
        space.constrain(x - y + Witness(200), 100, 250);
      }
      return std::vector{a, b, a + b};
    };
  };
  EXPECT_EQ(text_of(pair(false)), text_of(pair(true)));
}

TEST(Spelling, WhatIsKnownOfThemDoes) {
  const auto difference = [](std::uint64_t most) {
    return [most](WitnessSpace& space) {
      const Witness a = space.unknown(0, 100), b = space.unknown(50, 200);
      space.constrain(b - a, 0, most);
      return std::vector{a, b};
    };
  };
  const auto bounds = [](std::uint64_t most) {
    return [most](WitnessSpace& space) { return std::vector{space.unknown(0, most)}; };
  };
  EXPECT_EQ(text_of(difference(60)), text_of(difference(60)));
  EXPECT_NE(text_of(difference(60)), text_of(difference(61)));
  EXPECT_NE(text_of(bounds(60)), text_of(bounds(61)));
}

TEST(Spelling, AFunctionIsKnownByItsValues) {
  const auto halved = [](std::uint64_t by) {
    return [by](WitnessSpace& space) {
      const Witness x = space.unknown(0, 1000);
      return std::vector{x, map_monotone(x, [by](std::uint64_t v) { return v / by; })};
    };
  };
  EXPECT_EQ(text_of(halved(3)), text_of(halved(3)));
  EXPECT_NE(text_of(halved(3)), text_of(halved(5)));
}

// One reading more on the way to the same one: it bounds nothing that is still there.
TEST(Spelling, AReadingThatIsGoneAndBindsNothingIsLeftOut) {
  const auto chain = [](int readings) {
    return [readings](WitnessSpace& space) {
      Witness last = space.unknown(10, 90);
      for (int i = 0; i < readings; ++i) {
        const Witness next = space.unknown(10, 90);
        space.constrain(next - last, 0, 80);
        last = next;
      }
      return std::vector{last};
    };
  };
  EXPECT_EQ(text_of(chain(0)), text_of(chain(1)));
  EXPECT_EQ(text_of(chain(0)), text_of(chain(5)));
}

TEST(Spelling, OneThatBindsTwoOthersIsNot) {
  const auto both_near = [](bool near) {
    return [near](WitnessSpace& space) {
      const Witness a = space.unknown(0, 100), b = space.unknown(0, 100), hidden = space.unknown(0, 100);
      if (near) {
        space.constrain(a - hidden + Witness(100), 100, 110);
        space.constrain(b - hidden + Witness(100), 100, 110);
      }
      return std::vector{a, b};
    };
  };
  EXPECT_NE(text_of(both_near(true)), text_of(both_near(false)));
}

}  // namespace
}  // namespace tscsim::witness
