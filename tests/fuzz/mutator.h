// Changes that a text of fields survives: lines, fields, words and numbers are moved, doubled, left out and replaced, so
// that what comes out is often still read to its end. Plain bytes are changed, too, now and then.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "target.h"

namespace tscsim::fuzz {

// splitmix64: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t end) { return end == 0 ? 0 : next() % end; }
  bool chance(std::size_t of, std::size_t in) { return below(in) < of; }

 private:
  std::uint64_t state_;
};

class Mutator {
 public:
  // Words are learned from the seeds; lines of one go into another.
  Mutator(Form form, const std::vector<std::string>& seeds);

  // `text` with one to four changes, at most `max_bytes` long.
  std::string changed(std::string text, Dice& dice, std::size_t max_bytes) const;

  // Lines of both.
  std::string crossed(std::string_view one, std::string_view other, Dice& dice, std::size_t max_bytes) const;

 private:
  void change(std::string& text, Dice& dice) const;
  void change_lines(std::string& text, Dice& dice) const;
  void change_field(std::string& text, Dice& dice) const;
  void change_number(std::string& text, Dice& dice) const;
  void change_word(std::string& text, Dice& dice) const;
  void change_bytes(std::string& text, Dice& dice) const;
  std::string finished(std::string text, Dice& dice, std::size_t max_bytes) const;

  Form form_;
  std::vector<std::string> words_;
  std::vector<std::string> lines_;
};

}  // namespace tscsim::fuzz
