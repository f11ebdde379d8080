// SPDX-License-Identifier: Apache-2.0
// A hash table in one flat array with linear probing: what the merges, the piece cache and the n-gram counts look up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace lierne {

/// A bijection of 64-bit words that spreads every bit over all bits; equal results mean equal words.
/// Source: Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014), the finaliser of SplitMix64.
constexpr std::uint64_t spread(std::uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
  x = (x ^ x >> 27) * 0x94d049bb133111ebU;
  return x ^ x >> 31;
}

/// A hash of bytes for tables in memory; not the same on machines of other byte order, so it is never stored.
inline std::uint64_t spread(std::string_view bytes) {
  std::uint64_t h = bytes.size();
  for (; bytes.size() > 8; bytes.remove_prefix(8)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    h = spread(h ^ word);
  }
  std::uint64_t word = 0;
  for (char c : bytes) word = word << 8 | static_cast<unsigned char>(c);
  return spread(h + word);
}

/// Entries by 64-bit hash. Whether an entry of equal hash is the one looked for is the caller's `equal(entry)`;
/// keys that are hashed by the bijection `spread` need none.
/// Example: `FlatTable<int> t; t.insert(spread(7), 70); *t.find(spread(7)) == 70`.
template <class Entry>
class FlatTable {
 public:
  explicit FlatTable(std::size_t expected = 0) { resize(expected); }

  std::size_t size() const { return size_; }

  template <class Equal>
  Entry const* find(std::uint64_t hash, Equal&& equal) const {
    for (auto at = hash & mask_;; at = (at + 1) & mask_) {
      auto const& slot = slots_[at];
      if (!slot.used) return nullptr;
      if (slot.hash == hash && equal(slot.entry)) return &slot.entry;
    }
  }
  Entry const* find(std::uint64_t hash) const {
    return find(hash, [](Entry const&) { return true; });
  }

  /// Adds an entry that is not there yet. The reference holds until the next insert.
  Entry& insert(std::uint64_t hash, Entry entry) {
    if ((size_ + 1) * 2 > slots_.size()) resize(size_ + 1);
    ++size_;
    return place({hash, true, std::move(entry)});
  }

  /// The entry of a hash made by the bijection, added with a default value where it is missing.
  Entry& operator[](std::uint64_t hash) {
    if (auto const* found = find(hash)) return const_cast<Entry&>(*found);
    return insert(hash, Entry{});
  }

  /// Calls visit(hash, entry) for every entry, in no particular order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (auto const& slot : slots_)
      if (slot.used) visit(slot.hash, slot.entry);
  }

 private:
  struct Slot {
    std::uint64_t hash = 0;
    bool used = false;
    Entry entry{};
  };

  Entry& place(Slot slot) {
    auto at = slot.hash & mask_;
    while (slots_[at].used) at = (at + 1) & mask_;
    slots_[at] = std::move(slot);
    return slots_[at].entry;
  }

  /// Half of the slots at most are used, so that a search ends soon.
  void resize(std::size_t entries) {
    std::size_t slots = 16;
    while (slots < entries * 4) slots *= 2;
    auto old = std::exchange(slots_, std::vector<Slot>(slots));
    mask_ = slots - 1;
    for (auto& slot : old)
      if (slot.used) place(std::move(slot));
  }

  std::vector<Slot> slots_;
  std::size_t mask_ = 0, size_ = 0;
};

}  // namespace lierne
