// SPDX-License-Identifier: Apache-2.0
// The stage that puts windows in a random order, another one in each epoch, the same on every rank and machine.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/data/stage.hpp"
#include "lierne/data/token.hpp"

#if LIERNE_BODIES
#include <numeric>

#include "lierne/core/error.hpp"
#include "lierne/core/hash.hpp"
#include "lierne/core/random.hpp"
#endif

namespace lierne {

/// The order of n windows in an epoch.
/// Math: Fisher and Yates: for i = n - 1 ... 1, places i and below(i + 1) change, with the counter generator of
///   (seed, hash("data.shuffle") + epoch).
std::vector<std::int64_t> shuffled_order(std::int64_t n, std::uint64_t seed, std::int64_t epoch);

/// The fingerprint of data with this fingerprint in the orders of a seed.
std::uint64_t shuffled_fingerprint(std::uint64_t fingerprint, std::uint64_t seed);

/// Windows in random order. Held-out windows keep theirs. An object is read by one thread at a time.
template <WindowSource Source>
class Shuffled {
 public:
  Shuffled(Source source, std::uint64_t seed) : source_{std::move(source)}, seed_{seed} {}

  std::int64_t size() const { return source_.size(); }
  std::int64_t length() const { return source_.length(); }
  std::uint64_t fingerprint() const { return shuffled_fingerprint(source_.fingerprint(), seed_); }
  auto const& held_out() const { return source_.held_out(); }
  auto const& text() const { return source_.text(); }

  void read(std::int64_t epoch, std::int64_t index, std::span<TokenId> out) {
    if (epoch != epoch_) {
      order_ = shuffled_order(size(), seed_, epoch);
      epoch_ = epoch;
    }
    source_.read(epoch, order_[static_cast<std::size_t>(index)], out);
  }

 private:
  Source source_;
  std::uint64_t seed_;
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> order_;
};

struct ShuffleStage {
  using pipe_role = DataRole;
  std::uint64_t seed;
  explicit ShuffleStage(std::uint64_t s) : seed{s} {}
  template <class Source>
  auto operator()(Source&& source) const {
    static_assert(WindowSource<std::remove_cvref_t<Source>>,
                  "shuffle: the source must give windows (put pack(L) before shuffle(seed))");
    return Shuffled<std::remove_cvref_t<Source>>{std::forward<Source>(source), seed};
  }
};

/// Reorders the windows in every epoch, each epoch anew.
/// Example: `text(data, tokenizer) | pack(1024) | shuffle(42)`.
inline ShuffleStage shuffle(std::uint64_t seed) { return ShuffleStage{seed}; }

#if LIERNE_BODIES
LIERNE_INLINE std::vector<std::int64_t> shuffled_order(std::int64_t n, std::uint64_t seed, std::int64_t epoch) {
  Random const random{seed, hash("data.shuffle") + static_cast<std::uint64_t>(epoch)};
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (auto i = order.size(); i-- > 1;) std::swap(order[i], order[random.below(i, i + 1)]);
  return order;
}

LIERNE_INLINE std::uint64_t shuffled_fingerprint(std::uint64_t fingerprint, std::uint64_t seed) {
  return hash(message("shuffle ", seed), fingerprint);
}
#endif

}  // namespace lierne
