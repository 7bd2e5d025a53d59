// Pending events in one total order: by time, then by the order in which they were scheduled. Equal times
// therefore run in the order of scheduling, on every machine.
//
// What moves inside the queue is a 16-byte key (time, sequence, slot), not the payload: keys form a heap with
// four children a node, and the four children of a node share one cache line. Payloads stay in slots that are
// reused, so nothing is allocated once the queue has been as long as it gets.
//
// Two things are done late. The root that pop() takes stays vacant until the next call, because the usual
// next call is schedule(), which can use it. A cancelled event's key stays in the heap; it is stale, as its
// slot no longer holds its sequence number, and is dropped when it reaches the root, or all at once when
// stale keys outnumber live ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "sim/time.h"
#include "sim/wide.h"

namespace tscsim::sim {

// Names one scheduled event; never names a later one, even after the event ran.
class EventHandle {
 public:
  EventHandle() = default;
  friend bool operator==(const EventHandle&, const EventHandle&) = default;

 private:
  template <class Payload>
  friend class EventQueue;
  explicit EventHandle(std::uint64_t order) : order_(order) {}
  std::uint64_t order_ = 0;
};

// Payload is default-constructible and movable. At most 2^24 events pend at once, and 2^40 are scheduled in
// all.
template <class Payload>
class EventQueue {
 public:
  struct Event {
    SimTime time;
    Payload payload;
  };

  bool empty() const { return live_ == 0; }
  std::size_t size() const { return live_; }

  // Up to `events` pending events need no allocation from now on.
  void reserve(std::size_t events) {
    slots_.reserve(events);
    lines_.reserve((kRoot + 2 * (events + kStaleSlack)) / kArity + 1);
  }

  // Throws std::length_error when one of the limits above is passed.
  EventHandle schedule(SimTime time, Payload payload) {
    if (next_sequence_ >= kSequenceEnd)
      throw std::length_error("an event queue has run out of sequence numbers");
    const std::uint32_t slot = take_slot();
    const std::uint64_t order = next_sequence_++ << kSlotBits | slot;
    slots_[slot].order = order;
    slots_[slot].payload = std::move(payload);
    ++live_;
    insert(key_of(time, order));
    return EventHandle(order);
  }

  // The earliest event, which leaves the queue. Not for an empty queue (std::out_of_range).
  Event pop() {
    settle();
    if (size_ == 0) throw std::out_of_range("pop from an empty event queue");
    const Key key = at(kRoot);
    const std::uint32_t slot = slot_of(key);
    Event event{time_of(key), std::move(slots_[slot].payload)};
    free_slot(slot);
    vacant_ = true;
    return event;
  }

  // True when the event was still pending; it will not come.
  bool cancel(EventHandle handle) {
    const std::uint32_t slot = slot_of(handle.order_);
    const bool pending = handle.order_ != 0 && slot < slots_.size() && slots_[slot].order == handle.order_;
    if (!pending) return false;
    slots_[slot].payload = Payload{};
    free_slot(slot);
    if (size_ > 2 * live_ + kStaleSlack) drop_stale_keys();
    return true;
  }

  // When the earliest event is due; empty when none is pending.
  std::optional<SimTime> next_time() {
    settle();
    if (size_ == 0) return std::nullopt;
    return time_of(at(kRoot));
  }

 private:
  // Upper half: the time, with the sign bit flipped so that unsigned order is time order. Lower half: the
  // sequence number above the slot. One comparison decides, and no two keys are equal.
  using Key = U128;

  static constexpr unsigned kSlotBits = 24;
  static constexpr std::uint64_t kNoSlot = (std::uint64_t{1} << kSlotBits) - 1;
  static constexpr std::uint64_t kSequenceEnd = std::uint64_t{1} << (64 - kSlotBits);
  static constexpr std::uint64_t kSignBit = std::uint64_t{1} << 63;
  static constexpr Key kNoKey = ~Key{0};  // after every key: fills the last node's missing children

  // Node i has children 4 * (i - 2) to 4 * (i - 2) + 3, so with the root at 3 every family begins at a
  // multiple of 4.
  static constexpr std::size_t kArity = 4;
  static constexpr std::size_t kRoot = 3;
  static constexpr std::size_t kThirdLevel =
      24;  // its first node: an event that moves up from before here runs soon
  static constexpr std::size_t kStaleSlack = 64;  // a short queue is not worth tidying

  struct alignas(64) Line {
    Key keys[kArity] = {kNoKey, kNoKey, kNoKey, kNoKey};
  };

  // A free slot's order is the next free slot, or kNoSlot; a handle's order is greater, so they never agree.
  struct Slot {
    std::uint64_t order = 0;
    Payload payload{};
  };

  static Key key_of(SimTime time, std::uint64_t order) {
    return static_cast<Key>(static_cast<std::uint64_t>(time.ns) ^ kSignBit) << 64 | order;
  }
  static SimTime time_of(Key key) {
    return {static_cast<std::int64_t>(static_cast<std::uint64_t>(key >> 64) ^ kSignBit)};
  }
  static std::uint32_t slot_of(Key key) {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(key) & kNoSlot);
  }

  Key& at(std::size_t node) { return lines_[node / kArity].keys[node % kArity]; }
  static std::size_t first_child(std::size_t node) { return kArity * (node - 2); }
  static std::size_t parent(std::size_t node) { return node / kArity + 2; }

  bool stale(Key key) const { return slots_[slot_of(key)].order != static_cast<std::uint64_t>(key); }

  std::uint32_t take_slot() {
    if (free_ != kNoSlot) {
      const auto slot = static_cast<std::uint32_t>(free_);
      free_ = slots_[slot].order;
      return slot;
    }
    if (slots_.size() >= kNoSlot) throw std::length_error("an event queue is full");
    slots_.emplace_back();
    return static_cast<std::uint32_t>(slots_.size() - 1);
  }

  void free_slot(std::uint32_t slot) {
    slots_[slot].order = free_;
    free_ = slot;
    --live_;
  }

  void insert(Key key) {
    if (vacant_) {
      vacant_ = false;
      sift_down(kRoot, key);
      return;
    }
    const std::size_t node = kRoot + size_;
    if (node / kArity >= lines_.size()) lines_.resize(node / kArity + 1);
    ++size_;
    sift_up(node, key);
  }

  void sift_up(std::size_t node, Key key) {
    while (node > kRoot && key < at(parent(node))) {
      at(node) = at(parent(node));
      node = parent(node);
    }
    at(node) = key;
  }

  // Index of the least of four keys. A tournament by arithmetic: no predictor could guess the branches.
  static std::size_t least_of(const Key* keys) {
    std::size_t left = static_cast<std::size_t>(keys[1] < keys[0]);
    std::size_t right = static_cast<std::size_t>(keys[3] < keys[2]) + 2;
    asm("" : "+r"(left), "+r"(right));  // keeps the compiler from turning the arithmetic back into branches
    const std::size_t right_wins = static_cast<std::size_t>(keys[right] < keys[left]);
    return left ^ ((left ^ right) & (std::size_t{0} - right_wins));
  }

  // Puts `key` at `node` or below it.
  void sift_down(std::size_t node, Key key) {
    for (std::size_t child = first_child(node); child < kRoot + size_; child = first_child(node)) {
      const Key* family = lines_[child / kArity].keys;
      const std::size_t least = least_of(family);
      if (!(family[least] < key)) break;
      at(node) = family[least];
      if (child < kThirdLevel) __builtin_prefetch(&slots_[slot_of(family[least])]);
      node = child + least;
    }
    at(node) = key;
  }

  void fill_root_with_last() {
    vacant_ = false;
    --size_;
    const Key last = at(kRoot + size_);
    at(kRoot + size_) = kNoKey;
    if (size_ > 0) sift_down(kRoot, last);
  }

  // Afterwards the root is the earliest live event, or the heap is empty.
  void settle() {
    if (vacant_) fill_root_with_last();
    while (size_ > 0 && stale(at(kRoot))) fill_root_with_last();
  }

  void drop_stale_keys() {
    settle();
    std::size_t kept = 0;
    for (std::size_t i = 0; i < size_; ++i)
      if (const Key key = at(kRoot + i); !stale(key)) at(kRoot + kept++) = key;
    for (std::size_t i = kept; i < size_; ++i) at(kRoot + i) = kNoKey;
    size_ = kept;
    for (std::size_t node = kRoot + size_; node-- > kRoot;) sift_down(node, at(node));
  }

  std::vector<Line> lines_;
  std::vector<Slot> slots_;
  std::size_t size_ = 0;  // keys in the heap: live, stale, and the vacant root
  std::size_t live_ = 0;
  std::uint64_t next_sequence_ = 1;
  std::uint64_t free_ = kNoSlot;
  bool vacant_ = false;
};

}  // namespace tscsim::sim
