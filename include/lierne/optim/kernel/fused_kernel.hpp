// SPDX-License-Identifier: Apache-2.0
// The innermost loop of the fused pass: all stages of a rule on one vector after the other.
#pragma once

#include <algorithm>
#include <cstdint>

#include "lierne/optim/kernel/pack.hpp"
#include "lierne/optim/kernel/wide_pack.hpp"
#include "lierne/optim/pass.hpp"

namespace lierne {

/// One stretch of one parameter: `packs` whole vectors of weight, gradient and fields.
template <class T>
struct Stretch {
  T* weight;
  T const* gradient;
  T* const* fields;
  T const* numbers;  ///< the rule's, for this parameter and call
  std::int64_t packs;
};

namespace detail {

// With `counting`, adds to `clipped` how many elements each lane clipped.
template <Stage Node, class V, StageCode code, bool counting = false>
void run_stretch(Stretch<typename V::Scalar> const& stretch, [[maybe_unused]] typename V::Scalar* clipped = nullptr) {
  using T = typename V::Scalar;
  constexpr auto field_count = static_cast<std::size_t>(Layout<Node>::fields);
  // Copies, so that the compiler sees that no store through a field can change them.
  std::array<T, Layout<Node>::numbers> numbers;
  std::copy_n(stretch.numbers, numbers.size(), numbers.begin());
  std::array<T*, field_count> fields;
  std::copy_n(stretch.fields, field_count, fields.begin());
  T* weight = stretch.weight;
  T const* gradient = stretch.gradient;
  auto const end = stretch.packs * V::lanes;
  for (std::int64_t i = 0; i < end; i += V::lanes) {
    std::conditional_t<counting, CountingElement<V>, Element<V>> at;
    if constexpr (counting) at.clipped = V::load(clipped);
    at.weight = V::load(weight + i);
    at.gradient = V::load(gradient + i);
    V values[field_count + 1];  // one more: an array may not be empty
    for (std::size_t k = 0; k < field_count; ++k) values[k] = V::load(fields[k] + i);
    run_stages<Node, code>(numbers.data(), at, values);
    at.weight.store(weight + i);
    if constexpr (counting) at.clipped.store(clipped);
    for (std::size_t k = 0; k < field_count; ++k) values[k].store(fields[k] + i);
  }
}

}  // namespace detail

/// The pass over a stretch in vectors of the build's own target, of `Pack<T>::lanes` elements.
template <Stage Node, StageCode code = StageCode::inlined, class T>
[[gnu::flatten, gnu::noinline]] void run_packs(Stretch<T> const& stretch) {
  detail::run_stretch<Node, Pack<T>, code>(stretch);
}

/// The same in a measured step of a rule that clips elements: adds to `clipped`, one count for each lane.
template <Stage Node, class T>
[[gnu::flatten, gnu::noinline]] void count_packs(Stretch<T> const& stretch, T* clipped) {
  detail::run_stretch<Node, Pack<T>, StageCode::inlined, true>(stretch, clipped);
}

#ifdef LIERNE_WIDE_PACK
/// The same two in AVX2, of `WidePack<T>::lanes` elements. The processor must have AVX2.
template <Stage Node, class T>
[[gnu::flatten, gnu::noinline, gnu::target("avx2")]] void run_wide_packs(Stretch<T> const& stretch) {
  detail::run_stretch<Node, WidePack<T>, StageCode::inlined>(stretch);
}
template <Stage Node, class T>
[[gnu::flatten, gnu::noinline, gnu::target("avx2")]] void count_wide_packs(Stretch<T> const& stretch, T* clipped) {
  detail::run_stretch<Node, WidePack<T>, StageCode::inlined, true>(stretch, clipped);
}
#endif

/// The pass over a stretch of float32 in the widest vectors that run.
template <Stage Node>
void run_vectors(Stretch<float> const& stretch) {
#ifdef LIERNE_WIDE_PACK
  if (wide_packs_run()) return run_wide_packs<Node>(stretch);
  run_packs<Node, StageCode::apart>(stretch);  // processors before 2013: right, and a few times slower
#else
  run_packs<Node>(stretch);
#endif
}

}  // namespace lierne
