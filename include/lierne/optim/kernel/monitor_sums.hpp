// SPDX-License-Identifier: Apache-2.0
// The sums of a measured step over a block that is still in the cache.
#pragma once

#include <cstdint>

#include "lierne/optim/kernel/wide_pack.hpp"
#include "lierne/optim/monitor.hpp"

namespace lierne {

/// A block of one parameter around its update; arrays that the rule does not have are null.
template <class T>
struct MonitoredBlock {
  T const* before;
  T const* after;
  T const* gradient;
  T const* moment;
  T const* moment2;
  T scale;  ///< of the gradient: the factor of clipping by the norm
  std::int64_t size;
};

/// Running sums, four side by side: element i of a block goes to i mod 4.
struct alignas(32) FourSums {
  static constexpr double infinity = std::numeric_limits<double>::infinity();
  double moment[4] = {}, moment2[4] = {}, weight[4] = {}, update[4] = {}, gradient[4] = {}, dot[4] = {};
  double smallest[4] = {infinity, infinity, infinity, infinity};
  double largest[4] = {-infinity, -infinity, -infinity, -infinity};
};

namespace detail {

template <bool has_moment, bool has_moment2, class T>
void add_singly(MonitoredBlock<T> const& block, std::int64_t from, FourSums& sums) {
  for (std::int64_t i = from; i < block.size; ++i) {
    auto const lane = i % 4;
    double const update = block.before[i] - block.after[i], weight = block.after[i];
    double const gradient = block.scale * block.gradient[i];
    sums.weight[lane] += weight * weight;
    sums.update[lane] += update * update;
    sums.gradient[lane] += gradient * gradient;
    sums.dot[lane] += update * gradient;
    if constexpr (has_moment) {
      double const moment = block.moment[i];
      sums.moment[lane] += moment * moment;
    }
    if constexpr (has_moment2) {
      double const moment = block.moment2[i];
      sums.moment2[lane] += moment * moment;
      if (moment < sums.smallest[lane]) sums.smallest[lane] = moment;
      if (moment > sums.largest[lane]) sums.largest[lane] = moment;
    }
  }
}

#ifdef LIERNE_WIDE_PACK
template <class T>
struct FourOf {
  typedef T In __attribute__((vector_size(4 * sizeof(T)), aligned(alignof(T)), may_alias));
  typedef double Out __attribute__((vector_size(32), may_alias));
  [[gnu::target("avx2"), gnu::always_inline]] static inline Out widened(In const& in) {
    if constexpr (sizeof(T) == 4) {
      return __builtin_ia32_cvtps2pd256(in);
    } else {
      return in;
    }
  }
};

// The same for whole fours; gives the place of the rest.
template <bool has_moment, bool has_moment2, class T>
[[gnu::target("avx2")]] std::int64_t add_fours(MonitoredBlock<T> const& block, FourSums& sums) {
  using In = typename FourOf<T>::In;
  using Four = typename FourOf<T>::Out;
  auto weights = *reinterpret_cast<Four*>(sums.weight), updates = *reinterpret_cast<Four*>(sums.update);
  auto gradients = *reinterpret_cast<Four*>(sums.gradient), dots = *reinterpret_cast<Four*>(sums.dot);
  auto moments = *reinterpret_cast<Four*>(sums.moment), moments2 = *reinterpret_cast<Four*>(sums.moment2);
  auto smallest = *reinterpret_cast<Four*>(sums.smallest), largest = *reinterpret_cast<Four*>(sums.largest);
  std::int64_t i = 0;
  for (; i + 4 <= block.size; i += 4) {
    In const after = *reinterpret_cast<In const*>(block.after + i);
    Four const weight = FourOf<T>::widened(after);
    Four const update = FourOf<T>::widened(*reinterpret_cast<In const*>(block.before + i) - after);
    Four const gradient = FourOf<T>::widened(block.scale * *reinterpret_cast<In const*>(block.gradient + i));
    weights += weight * weight;
    updates += update * update;
    gradients += gradient * gradient;
    dots += update * gradient;
    if constexpr (has_moment) {
      Four const moment = FourOf<T>::widened(*reinterpret_cast<In const*>(block.moment + i));
      moments += moment * moment;
    }
    if constexpr (has_moment2) {
      Four const moment = FourOf<T>::widened(*reinterpret_cast<In const*>(block.moment2 + i));
      moments2 += moment * moment;
      smallest = moment < smallest ? moment : smallest;
      largest = moment > largest ? moment : largest;
    }
  }
  *reinterpret_cast<Four*>(sums.weight) = weights, *reinterpret_cast<Four*>(sums.update) = updates;
  *reinterpret_cast<Four*>(sums.gradient) = gradients, *reinterpret_cast<Four*>(sums.dot) = dots;
  *reinterpret_cast<Four*>(sums.moment) = moments, *reinterpret_cast<Four*>(sums.moment2) = moments2;
  *reinterpret_cast<Four*>(sums.smallest) = smallest, *reinterpret_cast<Four*>(sums.largest) = largest;
  return i;
}
#endif

template <bool has_moment, bool has_moment2, class T>
void add_block(MonitoredBlock<T> const& block, FourSums& sums) {
  std::int64_t from = 0;
#ifdef LIERNE_WIDE_PACK
  if (wide_packs_run()) from = add_fours<has_moment, has_moment2>(block, sums);
#endif
  add_singly<has_moment, has_moment2>(block, from, sums);
}

}  // namespace detail

/// Adds a block to the sums. dtypes: float, double.
/// Numerics: the update is rounded to the weight's dtype, the gradient after scaling too; squares and sums are in double.
/// The same whatever the instruction set.
template <class T>
void add_block(MonitoredBlock<T> const& block, FourSums& sums) {
  if (block.moment != nullptr) {
    block.moment2 != nullptr ? detail::add_block<true, true>(block, sums) : detail::add_block<true, false>(block, sums);
  } else {
    block.moment2 != nullptr ? detail::add_block<false, true>(block, sums) : detail::add_block<false, false>(block, sums);
  }
}

/// The four joined.
inline MonitorSums joined(FourSums const& four) {
  auto const sum = [](double const* lanes) { return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]); };
  MonitorSums sums{.moment = sum(four.moment), .moment2 = sum(four.moment2), .weight = sum(four.weight),
                   .update = sum(four.update), .gradient = sum(four.gradient), .dot = sum(four.dot)};
  for (int lane = 0; lane < 4; ++lane) {
    sums.negative_smallest = std::max(sums.negative_smallest, -four.smallest[lane]);
    sums.largest = std::max(sums.largest, four.largest[lane]);
  }
  // Comparisons pass NaN by; the sum of squares does not.
  if (std::isnan(sums.moment2)) sums.negative_smallest = sums.largest = sums.moment2;
  return sums;
}

}  // namespace lierne
