// SPDX-License-Identifier: Apache-2.0
// From the record of a mask and the tokens of a batch to the keys that its queries may see.
#pragma once

#include <type_traits>

#include "lierne/nn/kernel/visible_keys.hpp"
#include "lierne/spec/mask.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

// B batch, L length.

namespace lierne {

using kernel::VisibleKeys;

namespace detail {

/// Where the document of each position begins. Shape: [B, L].
Tensor document_starts(Tensor const& tokens_BL, std::int64_t end);
/// The first position of each one's window. Shape: [1, L].
Tensor window_starts(Tensor const& tokens_BL, std::int64_t size);
/// What both let be seen: no run of both crosses a block of either, and one of them has blocks at most.
VisibleKeys both_visible(VisibleKeys const& a, VisibleKeys const& b);

}  // namespace detail

/// Whether a mask says which keys its queries may see: the library's do, their conjunctions, and one of your own that has
/// `Tensor first_keys(Tensor const& tokens) const`. Attention takes no other.
template <class Mask>
inline constexpr bool says_visible_keys = std::same_as<Mask, Causal> || std::same_as<Mask, FixedBlock> ||
                                          std::same_as<Mask, SlidingWindow> || std::same_as<Mask, Documents> ||
                                          requires(Mask const& mask, Tensor const& tokens) { mask.first_keys(tokens); };
template <class First, class Second>
inline constexpr bool says_visible_keys<Both<First, Second>> = says_visible_keys<First> && says_visible_keys<Second>;

/// The keys that each query of a batch may see. It is made once a forward pass for the layers that share a mask, and holds
/// a number a token, or none: `Causal` and `FixedBlock` need no tensor.
/// A mask of your own gives `Tensor first_keys(Tensor const& tokens) const`: for each query the first position that it
/// sees, [B or 1, L] of int64; it then sees all from there to itself.
/// Shapes: tokens [B, L] of int64, on the device of the result.
template <class Mask>
  requires says_visible_keys<Mask>
VisibleKeys visible_keys([[maybe_unused]] Mask const& mask, [[maybe_unused]] Tensor const& tokens_BL) {
  if constexpr (std::same_as<Mask, Causal>) {
    return {};
  } else if constexpr (std::same_as<Mask, FixedBlock>) {
    return {.block = mask.size};
  } else if constexpr (std::same_as<Mask, SlidingWindow>) {
    return {.first = detail::window_starts(tokens_BL, mask.size)};
  } else if constexpr (std::same_as<Mask, Documents>) {
    return {.first = detail::document_starts(tokens_BL, mask.end)};
  } else if constexpr (requires { mask.first_keys(tokens_BL); }) {
    return {.first = mask.first_keys(tokens_BL)};
  } else {
    return detail::both_visible(visible_keys(mask.first, tokens_BL), visible_keys(mask.second, tokens_BL));
  }
}

/// Makes the visible keys of one mask: a function of its own for each, so that its address tells masks apart.
using MaskMaker = VisibleKeys (*)(Tensor const& tokens_BL);

/// That of a mask; null for `Causal`, which needs none, and for one that only a mixer of your own understands.
template <auto mask>
constexpr MaskMaker mask_maker() {
  using Mask = std::remove_cvref_t<decltype(mask)>;
  if constexpr (std::same_as<Mask, Causal> || !says_visible_keys<Mask>) {
    return nullptr;
  } else {
    return [](Tensor const& tokens_BL) { return visible_keys(mask, tokens_BL); };
  }
}

#if LIERNE_BODIES
namespace detail {

LIERNE_INLINE Tensor document_starts(Tensor const& tokens_BL, std::int64_t end) {
  auto const position = at::arange(tokens_BL.size(1), at::TensorOptions().dtype(int64).device(tokens_BL.device()));
  // The position behind each end, and 0 elsewhere; the largest one so far, before the token itself.
  auto const behind = at::where(tokens_BL == end, position + 1, at::zeros_like(position));
  auto const starts = at::zeros_like(behind);
  if (tokens_BL.size(1) > 1) {
    auto const earlier = behind.narrow(1, 0, tokens_BL.size(1) - 1);
    starts.narrow(1, 1, earlier.size(1)).copy_(std::get<0>(at::cummax(earlier, 1)));
  }
  return starts;
}

LIERNE_INLINE Tensor window_starts(Tensor const& tokens_BL, std::int64_t size) {
  auto const position = at::arange(tokens_BL.size(1), at::TensorOptions().dtype(int64).device(tokens_BL.device()));
  return (position - (size - 1)).clamp_min(0).unsqueeze(0);
}

LIERNE_INLINE VisibleKeys both_visible(VisibleKeys const& a, VisibleKeys const& b) {
  VisibleKeys both{.block = a.block > 0 ? a.block : b.block};
  both.first = !a.first.defined() ? b.first : !b.first.defined() ? a.first : at::maximum(a.first, b.first);
  return both;
}

}  // namespace detail
#endif

}  // namespace lierne
