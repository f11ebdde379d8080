// SPDX-License-Identifier: Apache-2.0
// The pipe of data: what a stage is, what it may stand behind, and how stages are joined.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "lierne/core/pipe.hpp"
#include "lierne/data/token.hpp"

namespace lierne {

/// The role of the stages of data in a pipe: `pack(1024) | shuffle(42)` is a stage that a source can be put before.
struct DataRole : PipeRole {};

/// Satisfied if and only if T is a stage of the data pipe, or several joined. Modelled by: `pack(L)`, `shuffle(seed)`,
/// `batch(B)`, `prefetch(n)`, `pack(L) | shuffle(seed)`.
template <class T>
concept DataStage = Pipeable<T> && std::same_as<typename T::pipe_role, DataRole>;

/// Satisfied if and only if T gives windows of L + 1 tokens by epoch and index, and windows of held-out text by index.
/// `read` fills `out`, which has length() + 1 places, with ids; `ignored` in a place is no token.
/// Modelled by: `Packed`, `Shuffled`.
template <class T>
concept WindowSource = requires(T& source, T const& view, std::int64_t index, std::span<TokenId> out) {
  { view.size() } -> std::same_as<std::int64_t>;
  { view.length() } -> std::same_as<std::int64_t>;
  { view.fingerprint() } -> std::same_as<std::uint64_t>;
  source.read(index, index, out);
  view.held_out().read(index, out);
  { view.text().tokenizer().text_bytes(TokenId{}) } -> std::same_as<std::size_t>;
};

/// Puts a stage behind a source: `source | stage` is `stage(source)`.
/// Example: `auto recipe = pack(1024) | shuffle(42); auto windows = text(folder, tokenizer) | recipe;`
template <class Source, DataStage Stage>
  requires(!Pipeable<std::remove_cvref_t<Source>>)
auto operator|(Source&& source, Stage const& stage) {
  if constexpr (PipeNode<Stage>) {
    return std::forward<Source>(source) | stage.left | stage.right;
  } else {
    return stage(std::forward<Source>(source));
  }
}

}  // namespace lierne
