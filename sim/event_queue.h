// Pending events in one total order: by time, then by the order in which they were scheduled. Equal times
// therefore run in the order of scheduling, on every machine.
//
// What moves inside the queue is a 16-byte key (time, sequence, slot), not the payload. The earliest keys stand sorted in
// one short row, the front, from whose end they are taken. Behind it are buckets of up to 128 keys, unsorted, each with the
// least key that may be in it; they are in order among each other. A new key is put in its place in the front or at the end
// of its bucket; a bucket that is full is cut in two at its median; when the front has been used up, the first bucket is
// sorted and becomes the front. A short queue is a front and nothing else. Payloads stay in slots that are reused, so
// nothing is allocated once the queue has been as long as it gets.
//
// A cancelled event's key stays where it is; it is stale, as its slot no longer holds its sequence number, and is dropped
// when it comes to be the earliest, or all at once when stale keys outnumber live ones.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
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
    front_.reserve(kLongFront + 1);
    const std::size_t buckets = (2 * events + kStaleSlack) / kHalf + 2;
    lows_.reserve(buckets);
    rows_.reserve(buckets);
    while (pool_.size() < buckets) unused_.push_back(static_cast<std::uint32_t>(add_bucket()));
  }

  // No event is pending any more; handles name nothing.
  void clear() {
    while (!empty()) pop();
    front_.clear();
    while (!rows_.empty()) drop_first_row();
  }

  // Throws std::length_error when one of the limits above is passed.
  EventHandle schedule(SimTime time, Payload payload) {
    if (next_sequence_ >= kSequenceEnd) throw std::length_error("an event queue has run out of sequence numbers");
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
    if (front_.empty()) throw std::out_of_range("pop from an empty event queue");
    const Key key = front_.back();
    front_.pop_back();
    if (front_.size() >= kSoon) __builtin_prefetch(&slots_[slot_of(front_[front_.size() - kSoon])]);
    const std::uint32_t slot = slot_of(key);
    Event event{time_of(key), std::move(slots_[slot].payload)};
    free_slot(slot);
    return event;
  }

  // True when the event was still pending; it will not come.
  bool cancel(EventHandle handle) {
    const std::uint32_t slot = slot_of(handle.order_);
    const bool pending = handle.order_ != 0 && slot < slots_.size() && slots_[slot].order == handle.order_;
    if (!pending) return false;
    slots_[slot].payload = Payload{};
    free_slot(slot);
    if (keys() > 2 * live_ + kStaleSlack) drop_stale_keys();
    return true;
  }

  // When the earliest event is due; empty when none is pending.
  std::optional<SimTime> next_time() {
    settle();
    if (front_.empty()) return std::nullopt;
    return time_of(front_.back());
  }

 private:
  // Upper half: the time, with the sign bit flipped so that unsigned order is time order. Lower half: the
  // sequence number above the slot. One comparison decides, and no two keys are equal.
  using Key = U128;

  static constexpr unsigned kSlotBits = 24;
  static constexpr std::uint64_t kNoSlot = (std::uint64_t{1} << kSlotBits) - 1;
  static constexpr std::uint64_t kSequenceEnd = std::uint64_t{1} << (64 - kSlotBits);
  static constexpr std::uint64_t kSignBit = std::uint64_t{1} << 63;
  static constexpr std::size_t kStaleSlack = 64;  // a short queue is not worth tidying

  static constexpr std::size_t kBucket = 128, kHalf = kBucket / 2;
  static constexpr std::size_t kLongFront = 192;  // a front that gets longer gives its later keys to a bucket
  static constexpr std::size_t kShortFront = 24;
  static constexpr std::size_t kSoon = 4;  // so far ahead payloads are fetched

  struct Bucket {
    Key keys[kBucket];
  };
  struct Row {
    std::uint32_t bucket = 0;  // in the pool
    std::uint32_t count = 0;
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

  // How many keys there are, stale ones too.
  std::size_t keys() const { return front_.size() + behind_; }

  // Index of the first of `count` keys, in descending order, that is not above `key`. Without branches that no predictor
  // could guess.
  static std::size_t first_not_above(const Key* descending, std::size_t count, Key key) {
    const Key* from = descending;
    while (count > 0) {
      const std::size_t half = count / 2;
      const bool above = key < from[half];
      const Key* beyond = from + half + 1;
      from = above ? beyond : from;
      count = above ? count - half - 1 : half;
    }
    return static_cast<std::size_t>(from - descending);
  }

  void insert(Key key) {
    if (!rows_.empty() && lows_.back() < key) return insert_behind(key);
    if (front_.size() <= kShortFront) return insert_in_short(key);
    front_.insert(front_.begin() + static_cast<std::ptrdiff_t>(first_not_above(front_.data(), front_.size(), key)),
                  key);
    if (front_.size() > kLongFront) shorten_front();
  }

  // One by one is quicker than searching, here.
  void insert_in_short(Key key) {
    std::size_t place = front_.size();
    front_.push_back(key);
    Key* const keys = front_.data();
    for (; place > 0 && keys[place - 1] < key; --place) keys[place] = keys[place - 1];
    keys[place] = key;
  }

  void insert_behind(Key key) {
    const std::size_t index = first_not_above(lows_.data(), lows_.size(), key);
    Row& row = rows_[index];
    pool_[row.bucket].keys[row.count++] = key;
    ++behind_;
    if (row.count == kBucket) cut(index);
  }

  // The later half of a full bucket becomes one of its own.
  void cut(std::size_t index) {
    const std::uint32_t later = take_bucket();
    Key* const keys = pool_[rows_[index].bucket].keys;
    std::nth_element(keys, keys + kHalf, keys + kBucket);
    std::copy(keys + kHalf, keys + kBucket, pool_[later].keys);
    rows_[index].count = kHalf;
    const Key low = keys[kHalf];  // nth_element puts the least of the later half there
    lows_.insert(lows_.begin() + static_cast<std::ptrdiff_t>(index), low);
    rows_.insert(rows_.begin() + static_cast<std::ptrdiff_t>(index), Row{later, kHalf});
  }

  // The front is in descending order, so its first keys are the later ones.
  void shorten_front() {
    const std::uint32_t bucket = take_bucket();
    std::copy(front_.begin(), front_.begin() + kHalf, pool_[bucket].keys);
    lows_.push_back(front_[kHalf - 1]);
    rows_.push_back({bucket, kHalf});
    behind_ += kHalf;
    front_.erase(front_.begin(), front_.begin() + kHalf);
  }

  // The first bucket, sorted, becomes the front, which is empty.
  void refill_front() {
    const Row row = rows_.back();
    const Key* const keys = pool_[row.bucket].keys;
    front_.assign(keys, keys + row.count);
    drop_first_row();
    std::sort(front_.begin(), front_.end(), [](Key a, Key b) { return b < a; });
  }

  void drop_first_row() {
    behind_ -= rows_.back().count;
    unused_.push_back(rows_.back().bucket);
    rows_.pop_back();
    lows_.pop_back();
  }

  std::uint32_t take_bucket() {
    if (unused_.empty()) return static_cast<std::uint32_t>(add_bucket());
    const std::uint32_t bucket = unused_.back();
    unused_.pop_back();
    return bucket;
  }

  std::size_t add_bucket() {
    pool_.emplace_back();
    unused_.reserve(pool_.size());
    return pool_.size() - 1;
  }

  // Afterwards the end of the front is the earliest live event, or the queue is empty.
  void settle() {
    for (;;) {
      while (!front_.empty() && stale(front_.back())) front_.pop_back();
      if (!front_.empty() || rows_.empty()) return;
      refill_front();
    }
  }

  // Neighbours that have become short go together, so that there are never more buckets than reserve() counts on.
  void drop_stale_keys() {
    std::erase_if(front_, [this](Key key) { return stale(key); });
    behind_ = 0;
    std::size_t kept = 0;
    for (std::size_t index = 0; index < rows_.size(); ++index) {
      Row row = rows_[index];
      Key* const keys = pool_[row.bucket].keys;
      row.count = static_cast<std::uint32_t>(
          std::remove_if(keys, keys + row.count, [this](Key key) { return stale(key); }) - keys);
      behind_ += row.count;
      const bool joins = kept > 0 && rows_[kept - 1].count + row.count < kBucket;
      if (joins) {
        Row& later = rows_[kept - 1];
        std::copy(keys, keys + row.count, pool_[later.bucket].keys + later.count);
        later.count += row.count;
        lows_[kept - 1] = lows_[index];
        unused_.push_back(row.bucket);
      } else {
        lows_[kept] = lows_[index];
        rows_[kept++] = row;
      }
    }
    lows_.resize(kept);
    rows_.resize(kept);
  }

  std::vector<Key> front_;  // in descending order; all below the first bucket's least
  std::vector<Key> lows_;   // of each bucket the least key it may hold, in descending order
  std::vector<Row> rows_;   // and where it is
  std::deque<Bucket> pool_;
  std::vector<std::uint32_t> unused_;  // buckets of the pool
  std::size_t behind_ = 0;             // keys in buckets
  std::vector<Slot> slots_;
  std::size_t live_ = 0;
  std::uint64_t next_sequence_ = 1;
  std::uint64_t free_ = kNoSlot;
};

}  // namespace tscsim::sim
