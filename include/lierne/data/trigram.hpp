// SPDX-License-Identifier: Apache-2.0
// The baseline that a language model must beat: an interpolated trigram over the same tokens, in bits per byte.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "lierne/core/compiled.hpp"
#include "lierne/data/text.hpp"
#include "lierne/data/token.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "lierne/core/error.hpp"
#include "lierne/data/flat_table.hpp"
#endif

namespace lierne {

namespace detail {
struct TrigramCounts;
}

/// A trigram model of tokens.
///
/// Math: p(w | u v) = a (c(w) + 1) / (n + vocab) + b c(v w) / c(v .) + d c(u v w) / c(u v .), with a + b + d = 1. The
///   weights are three sets, for histories u v that have been seen, for those of which v alone has, and for those of
///   which nothing has (a = 1), so that the probabilities always sum to one. They are fitted by expectation and
///   maximisation on every 20th block of 1024 tokens with the counts of the others; those blocks are counted later.
/// Numerics: double. Counts are exact.
/// Errors: ArgumentError for a vocabulary outside 1 ... 2^21 and for tokens outside the vocabulary.
/// Source: Jelinek, Mercer: Interpolated estimation of Markov source parameters from sparse data (1980).
class Trigram {
 public:
  Trigram(std::span<TokenId const> tokens, std::int64_t vocab);

  /// The probability of w after u, v. Either may be -1: not there.
  double probability(TokenId u, TokenId v, TokenId w) const;

  /// Bits of every token but the first, each after the two before it. Units: bits.
  double bits(std::span<TokenId const> tokens) const;

  /// The weights of unigram, bigram and trigram where `known` tokens of the history have been seen, 0 to 2.
  std::array<double, 3> weights(std::size_t known) const { return weights_.at(known); }

 private:
  std::shared_ptr<detail::TrigramCounts const> counts_;
  std::array<std::array<double, 3>, 3> weights_{};
};

/// Held-out bits per byte of a trigram fitted on the training part of a text; compare a model's with it.
/// Units: bits per byte of UTF-8. As with a model, special tokens cost bits and stand for no byte.
/// Errors: ArgumentError where nothing is held out.
/// Example: `std::cout << trigram_bits_per_byte(data.text());`
double trigram_bits_per_byte(Text const& text);

#if LIERNE_BODIES
namespace detail {

struct TrigramCounts {
  struct Pair {
    std::int32_t count = 0, followed = 0;  // c(v w); c(v w .), as a history
  };
  /// The estimates of the three orders for one token, and how many tokens of its history have been seen.
  struct Parts {
    std::array<double, 3> p{};
    std::size_t known = 0;
    double mix(std::array<double, 3> const& weights) const {
      return weights[0] * p[0] + weights[1] * p[1] + weights[2] * p[2];
    }
  };

  std::vector<Pair> unigrams;
  FlatTable<Pair> pairs;
  FlatTable<std::int32_t> triples;
  std::size_t total = 0;

  static std::uint64_t key(TokenId u, TokenId v, TokenId w) {
    auto const word = [](TokenId id) { return static_cast<std::uint64_t>(id); };
    return spread(word(u) << 42 | word(v) << 21 | word(w));
  }

  /// Counts the unigram, bigram and trigram that end at place i.
  void count(std::span<TokenId const> tokens, std::size_t i) {
    auto const w = tokens[i];
    ++unigrams[static_cast<std::size_t>(w)].count;
    ++total;
    if (i < 1) return;
    auto const v = tokens[i - 1];
    ++unigrams[static_cast<std::size_t>(v)].followed;
    ++pairs[key(0, v, w)].count;
    if (i < 2) return;
    auto const u = tokens[i - 2];
    ++pairs[key(0, u, v)].followed;
    ++triples[key(u, v, w)];
  }

  Parts parts(TokenId u, TokenId v, TokenId w) const {
    Parts parts;
    parts.p[0] = (unigrams[static_cast<std::size_t>(w)].count + 1.0) / static_cast<double>(total + unigrams.size());
    auto const followed = v < 0 ? 0 : unigrams[static_cast<std::size_t>(v)].followed;
    if (followed == 0) return parts;
    parts.known = 1;
    auto const* pair = pairs.find(key(0, v, w));
    parts.p[1] = pair ? static_cast<double>(pair->count) / followed : 0;
    auto const* history = u < 0 ? nullptr : pairs.find(key(0, u, v));
    if (!history || history->followed == 0) return parts;
    parts.known = 2;
    auto const* triple = triples.find(key(u, v, w));
    parts.p[2] = triple ? static_cast<double>(*triple) / history->followed : 0;
    return parts;
  }

  /// Expectation and maximisation from equal weights, until a step changes none by more than 1e-6 or a thousand are
  /// done; equal weights where there is nothing to fit on.
  static std::array<double, 3> fit(std::vector<Parts> const& seen, std::size_t known) {
    std::array<double, 3> weights{};
    for (std::size_t order = 0; order <= known; ++order) weights[order] = 1.0 / static_cast<double>(known + 1);
    double change = seen.empty() ? 0 : 1;
    for (int step = 0; step < 1000 && change > 1e-6; ++step) {
      std::array<double, 3> share{};
      for (auto const& parts : seen) {
        double const each = 1 / parts.mix(weights);
        for (std::size_t order = 0; order < 3; ++order) share[order] += weights[order] * parts.p[order] * each;
      }
      change = 0;
      for (std::size_t order = 0; order < 3; ++order) {
        auto const next = share[order] / static_cast<double>(seen.size());
        change = std::max(change, std::abs(next - std::exchange(weights[order], next)));
      }
    }
    return weights;
  }
};

}  // namespace detail

LIERNE_INLINE Trigram::Trigram(std::span<TokenId const> tokens, std::int64_t vocab) {
  check(vocab >= 1 && vocab <= std::int64_t{1} << 21, "trigram: expected a vocabulary of 1 to 2^21 tokens, found ",
        vocab);
  for (auto id : tokens) check(id >= 0 && id < vocab, "trigram: expected ids in [0, ", vocab, "), found ", id);
  detail::TrigramCounts counts;
  counts.unigrams.resize(static_cast<std::size_t>(vocab));
  auto const held = [](std::size_t i) { return i / 1024 % 20 == 19; };
  for (std::size_t i = 0; i < tokens.size(); ++i)
    if (!held(i)) counts.count(tokens, i);
  std::array<std::vector<detail::TrigramCounts::Parts>, 3> seen;
  for (std::size_t i = 2; i < tokens.size(); ++i)
    if (held(i)) {
      auto const parts = counts.parts(tokens[i - 2], tokens[i - 1], tokens[i]);
      seen[parts.known].push_back(parts);
    }
  for (std::size_t known = 0; known < 3; ++known) weights_[known] = counts.fit(seen[known], known);
  for (std::size_t i = 0; i < tokens.size(); ++i)
    if (held(i)) counts.count(tokens, i);
  counts_ = std::make_shared<detail::TrigramCounts const>(std::move(counts));
}

LIERNE_INLINE double Trigram::probability(TokenId u, TokenId v, TokenId w) const {
  auto const parts = counts_->parts(u, v, w);
  return parts.mix(weights_[parts.known]);
}

LIERNE_INLINE double Trigram::bits(std::span<TokenId const> tokens) const {
  double sum = 0;
  for (std::size_t i = 1; i < tokens.size(); ++i)
    sum -= std::log2(probability(i > 1 ? tokens[i - 2] : -1, tokens[i - 1], tokens[i]));
  return sum;
}

LIERNE_INLINE double trigram_bits_per_byte(Text const& text) {
  auto const bytes = text.bytes(text.validation());
  check(bytes > 0, "trigram: expected held-out text, found none (set TextOptions::validation above 0)");
  Trigram const trigram{text.train(), static_cast<std::int64_t>(text.tokenizer().size())};
  return trigram.bits(text.validation()) / static_cast<double>(bytes);
}
#endif

}  // namespace lierne
