// SPDX-License-Identifier: Apache-2.0
// Byte-pair encoding of one piece of text: the merges of lowest rank first, and a cache of pieces seen before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <queue>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lierne/core/error.hpp"
#include "lierne/data/flat_table.hpp"
#include "lierne/data/token.hpp"

namespace lierne {

/// Pieces that were encoded before, with their ids. It belongs to one thread and one vocabulary.
/// Numerics: holds at most 2^18 pieces of at most 64 bytes; others are encoded anew each time.
class PieceCache {
 public:
  static constexpr std::size_t longest = 64, most = std::size_t{1} << 18;

  /// Appends the ids of the piece to `out`; false where it is not known.
  bool find(std::uint64_t hash, std::string_view piece, std::vector<TokenId>& out) const {
    auto const* found = table_.find(hash, [&](Entry const& entry) {
      return std::string_view{bytes_}.substr(entry.byte_begin, entry.byte_count) == piece;
    });
    if (!found) return false;
    auto const first = ids_.begin() + found->id_begin;
    out.insert(out.end(), first, first + found->id_count);
    return true;
  }

  void add(std::uint64_t hash, std::string_view piece, std::span<TokenId const> ids) {
    if (piece.size() > longest || table_.size() >= most) return;
    auto const size = [](auto const& values) { return static_cast<std::uint32_t>(values.size()); };
    table_.insert(hash, {size(bytes_), size(piece), size(ids_), size(ids)});
    bytes_ += piece;
    ids_.insert(ids_.end(), ids.begin(), ids.end());
  }

 private:
  struct Entry {
    std::uint32_t byte_begin = 0, byte_count = 0, id_begin = 0, id_count = 0;
  };
  FlatTable<Entry> table_;
  std::string bytes_;
  std::vector<TokenId> ids_;
};

/// The vocabulary and the merges.
///
/// Math: a piece starts as its bytes; of all neighbours that have a merge, the one of lowest rank is joined, leftmost
///   first among equals, until none has. With `whole_pieces` a piece that is in the vocabulary is its own id at once.
/// Errors: ArgumentError where a single byte, a side or the result of a merge has no id, or two ids have equal bytes.
/// Source: Sennrich, Haddow, Birch (2016); `ignore_merges` of Hugging Face's tokenizers.
class Bpe {
 public:
  struct Merge {
    TokenId left = 0, right = 0;
  };

  Bpe() = default;

  /// tokens[id] are the bytes of a token, empty for an id that is not in use; merges[rank] are the two sides.
  Bpe(std::vector<std::string> tokens, std::span<Merge const> merges, bool whole_pieces)
      : tokens_{std::move(tokens)}, ids_(tokens_.size()), pairs_(merges.size()), whole_pieces_{whole_pieces} {
    for (std::size_t id = 0; id < tokens_.size(); ++id) {
      if (tokens_[id].empty()) continue;
      auto const other = find(tokens_[id]);
      check(other < 0, "vocabulary: expected one id for each token, found equal bytes at ", other, " and ", id);
      ids_.insert(spread(tokens_[id]), static_cast<TokenId>(id));
    }
    for (unsigned byte = 0; byte < 256; ++byte) {
      bytes_[byte] = find(std::string(1, static_cast<char>(byte)));
      check(bytes_[byte] >= 0, "vocabulary: expected an id for every byte, found none for ", byte);
    }
    for (std::size_t rank = 0; rank < merges.size(); ++rank) {
      auto const [left, right] = merges[rank];
      auto const joined = find(bytes(left) + bytes(right));
      check(joined >= 0, "merges: ", rank, ": expected the two sides joined in the vocabulary, found no id for ",
            bytes(left) + bytes(right));
      pairs_[pair_hash(left, right)] = {static_cast<std::int32_t>(rank), joined};
    }
  }

  /// Ids run from 0 to size() - 1; some may not be in use.
  std::size_t size() const { return tokens_.size(); }

  /// The bytes of a token; empty for an id that is not in use.
  /// Errors: ArgumentError for an id outside the vocabulary.
  std::string const& bytes(TokenId id) const {
    check(id >= 0 && static_cast<std::size_t>(id) < tokens_.size(), "token id: expected 0 to ",
          static_cast<std::ptrdiff_t>(tokens_.size()) - 1, ", found ", id);
    return tokens_[static_cast<std::size_t>(id)];
  }

  /// The id of the token with these bytes, -1 where there is none.
  TokenId find(std::string_view bytes) const {
    auto const same = [&](TokenId id) { return tokens_[static_cast<std::size_t>(id)] == bytes; };
    auto const* id = ids_.find(spread(bytes), same);
    return id ? *id : -1;
  }

  /// Appends the ids of a piece, which is not empty.
  void encode(std::string_view piece, std::vector<TokenId>& out, PieceCache& cache) const {
    auto const hash = spread(piece);
    if (cache.find(hash, piece, out)) return;
    auto const begin = out.size();
    encode(piece, out);
    cache.add(hash, piece, std::span{out}.subspan(begin));
  }

  void encode(std::string_view piece, std::vector<TokenId>& out) const {
    if (whole_pieces_)
      if (auto const id = find(piece); id >= 0) return out.push_back(id);
    // The scan is quadratic, the queue is not: it pays from about a hundred bytes.
    piece.size() <= 100 ? merge_by_scan(piece, out) : merge_by_queue(piece, out);
  }

  /// The merges by looking for the lowest rank again and again: O(n^2) for n bytes, and the quickest for words.
  void merge_by_scan(std::string_view piece, std::vector<TokenId>& out) const;
  /// The merges by a priority queue: O(n log n) for n bytes. The same ids.
  void merge_by_queue(std::string_view piece, std::vector<TokenId>& out) const;

 private:
  static constexpr std::int32_t no_rank = std::numeric_limits<std::int32_t>::max();
  struct Joined {
    std::int32_t rank = no_rank;
    TokenId id = -1;
  };

  static std::uint64_t pair_hash(TokenId left, TokenId right) {
    return spread(std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right));
  }
  Joined join(TokenId left, TokenId right) const {
    auto const* found = pairs_.find(pair_hash(left, right));
    return found ? *found : Joined{};
  }

  std::vector<std::string> tokens_;
  FlatTable<TokenId> ids_;
  FlatTable<Joined> pairs_;
  TokenId bytes_[256]{};
  bool whole_pieces_ = false;
};

inline void Bpe::merge_by_scan(std::string_view piece, std::vector<TokenId>& out) const {
  struct Symbol {
    TokenId id;
    Joined next;  // what this symbol and the following one join to
  };
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  for (char c : piece) symbols.push_back({bytes_[static_cast<unsigned char>(c)], {}});
  auto const update = [&](std::size_t i) {
    symbols[i].next = i + 1 < symbols.size() ? join(symbols[i].id, symbols[i + 1].id) : Joined{};
  };
  for (std::size_t i = 0; i < symbols.size(); ++i) update(i);
  for (;;) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < symbols.size(); ++i)
      if (symbols[i].next.rank < symbols[best].next.rank) best = i;
    if (symbols.empty() || symbols[best].next.rank == no_rank) break;
    symbols[best].id = symbols[best].next.id;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    update(best);
    if (best > 0) update(best - 1);
  }
  for (auto const& symbol : symbols) out.push_back(symbol.id);
}

inline void Bpe::merge_by_queue(std::string_view piece, std::vector<TokenId>& out) const {
  struct Symbol {
    TokenId id;  // -1 once it is part of the symbol before it
    std::size_t previous, next;
  };
  struct Candidate {
    std::int32_t rank;
    std::size_t at;
    TokenId left, right, joined;
    bool operator>(Candidate const& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  for (char c : piece)
    symbols.push_back({bytes_[static_cast<unsigned char>(c)], symbols.size() - 1, symbols.size() + 1});
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  auto const offer = [&](std::size_t at) {
    if (at >= symbols.size() || symbols[at].next >= symbols.size()) return;
    auto const left = symbols[at].id, right = symbols[symbols[at].next].id;
    if (auto const joined = join(left, right); joined.rank != no_rank)
      queue.push({joined.rank, at, left, right, joined.id});
  };
  for (std::size_t i = 0; i < symbols.size(); ++i) offer(i);
  while (!queue.empty()) {
    auto const top = queue.top();
    queue.pop();
    auto& symbol = symbols[top.at];
    // A candidate whose sides have changed since is out of date; the new pair is in the queue by itself.
    if (symbol.id != top.left || symbol.next >= symbols.size() || symbols[symbol.next].id != top.right) continue;
    symbol.id = top.joined;
    symbols[symbol.next].id = -1;
    symbol.next = symbols[symbol.next].next;
    if (symbol.next < symbols.size()) symbols[symbol.next].previous = top.at;
    offer(top.at);
    offer(symbol.previous);
  }
  for (std::size_t i = 0; i < symbols.size(); i = symbols[i].next) out.push_back(symbols[i].id);
}

}  // namespace lierne
