// SPDX-License-Identifier: Apache-2.0
// The stage that cuts streams of tokens into windows of L + 1: L inputs and, one place on, L labels.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "lierne/core/compiled.hpp"
#include "lierne/data/stage.hpp"
#include "lierne/data/text.hpp"
#include "lierne/data/token.hpp"

#if LIERNE_BODIES
#include <algorithm>

#include "lierne/core/error.hpp"
#include "lierne/core/hash.hpp"
#endif

namespace lierne {

/// Windows over a stream of tokens.
///
/// Math: window i holds tokens i * stride ... i * stride + length. Its first `length` are inputs, its last `length`
///   labels. With stride = length every token but the stream's first is a label of exactly one window.
class Windows {
 public:
  /// With `pad` the last window may be short: `ignored` stands in place of what is missing.
  Windows(Text text, std::span<TokenId const> tokens, std::int64_t length, std::int64_t stride, bool pad);

  std::int64_t size() const { return size_; }
  std::int64_t length() const { return length_; }

  /// Labels of a window that are tokens.
  std::int64_t valid(std::int64_t index) const;

  /// Fills `out`, length() + 1 places, with window `index`, 0 <= index < size().
  void read(std::int64_t index, std::span<TokenId> out) const;

 private:
  Text text_;  // keeps the tokens alive
  std::span<TokenId const> tokens_;
  std::int64_t length_, stride_, size_ = 0;
};

/// Settings of `pack`.
struct PackOptions {
  /// Windows that share no token at all, as torchtitan cuts them: each window's first token is no label of the one
  /// before, so that one token in L + 1 is never learnt.
  bool disjoint = false;
};

/// The windows of a text. Training windows are full, fewer than L labels at the end of the stream are left over;
/// held-out windows hold every label exactly once, the last one padded.
class Packed {
 public:
  Packed(Text text, std::int64_t length, PackOptions options);

  std::int64_t size() const { return train_.size(); }
  std::int64_t length() const { return train_.length(); }
  std::uint64_t fingerprint() const { return fingerprint_; }
  void read(std::int64_t /*epoch*/, std::int64_t index, std::span<TokenId> out) const { train_.read(index, out); }
  Windows const& held_out() const { return held_out_; }
  Text const& text() const { return text_; }

 private:
  Text text_;
  Windows train_, held_out_;
  std::uint64_t fingerprint_;
};

struct PackStage {
  using pipe_role = DataRole;
  std::int64_t length;
  PackOptions options;
  PackStage(std::int64_t l, PackOptions o) : length{l}, options{o} {}
  template <class Source>
  Packed operator()(Source&& source) const {
    static_assert(std::same_as<std::remove_cvref_t<Source>, Text>,
                  "pack: the source must be a stream of tokens (put pack(L) right behind text(...))");
    return {std::forward<Source>(source), length, options};
  }
};

/// Windows of `length` inputs and as many labels, cut from the documents laid end to end.
/// Units: length in tokens, at least 1.
/// Errors: ArgumentError for a length below 1, and for a text shorter than one window, naming both sizes.
/// Example: `text(data, tokenizer) | pack(1024)`.
PackStage pack(std::int64_t length, PackOptions options = {});

#if LIERNE_BODIES
LIERNE_INLINE Windows::Windows(Text text, std::span<TokenId const> tokens, std::int64_t length, std::int64_t stride,
                               bool pad)
    : text_{std::move(text)}, tokens_{tokens}, length_{length}, stride_{stride} {
  auto const labels = static_cast<std::int64_t>(tokens.size()) - 1;
  if (labels > 0) size_ = pad ? (labels + stride - 1) / stride : labels < length ? 0 : (labels - length) / stride + 1;
}

LIERNE_INLINE std::int64_t Windows::valid(std::int64_t index) const {
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(tokens_.size()) - 1 - index * stride_, 0, length_);
}

LIERNE_INLINE void Windows::read(std::int64_t index, std::span<TokenId> out) const {
  auto const begin = static_cast<std::size_t>(index * stride_), labels = static_cast<std::size_t>(valid(index));
  auto const window = tokens_.subspan(begin, labels + 1);
  std::ranges::fill(std::ranges::copy(window, out.begin()).out, out.end(), ignored);
}

LIERNE_INLINE Packed::Packed(Text text, std::int64_t length, PackOptions options)
    : text_{std::move(text)},
      train_{text_, text_.train(), length, options.disjoint ? length + 1 : length, false},
      held_out_{text_, text_.validation(), length, length, true},
      fingerprint_{hash(message("pack ", length, options.disjoint), text_.fingerprint())} {
  check(train_.size() > 0, "pack: expected at least ", length + 1, " tokens, one window of length ", length,
        " and its labels, found ", text_.train().size(), " (shorten the window or add text)");
}

LIERNE_INLINE PackStage pack(std::int64_t length, PackOptions options) {
  check(length >= 1, "pack: length: expected at least 1 token, found ", length);
  return {length, options};
}
#endif

}  // namespace lierne
