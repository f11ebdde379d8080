// SPDX-License-Identifier: Apache-2.0
// The stage that gives batches without end: inputs and labels as tensors, sharded over ranks, from a position that
// can be saved.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/data/stage.hpp"
#include "lierne/data/token.hpp"
#include "lierne/data/tokenizer.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <algorithm>

#include "lierne/core/error.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// The rows of one rank of a global batch.
/// Shapes: tokens and labels [rows, L], int64; labels[r][t] follows tokens[r][t], or is -100 where there is none.
struct Batch {
  Tensor tokens, labels;
  std::int64_t valid = 0;         ///< labels of these rows that are tokens
  std::int64_t global_valid = 0;  ///< the same for the rows of all ranks: what the sum of losses is divided by
  std::int64_t bytes = 0;         ///< bytes of text that these rows' labels stand for; a special token counts 0
};

/// Where a stream of batches stands: the next window of an epoch, whatever the number of ranks. `data` says of which
/// data; 0 says nothing.
struct Position {
  std::int64_t epoch = 0, index = 0;
  std::uint64_t data = 0;
  bool operator==(Position const&) const = default;
};

/// The part of every batch that belongs to one rank.
struct Shard {
  std::int64_t rank = 0, world = 1;
};

namespace detail {

/// Rows of a batch, filled window by window.
class BatchRows {
 public:
  BatchRows(std::int64_t rows, std::int64_t length);

  /// Where the next row is written before it is added.
  std::span<TokenId> window() { return window_; }
  /// Adds `window()` as the next row.
  void add(Tokenizer const& tokenizer);
  /// Adds a row without labels.
  void add_empty(Tokenizer const& tokenizer);
  Batch finish(std::int64_t global_valid);

 private:
  std::vector<TokenId> window_;
  Batch batch_;
  std::int64_t row_ = 0;
};

void check_rows(std::int64_t rows, char const* entry);
void check_shard(std::int64_t rows, Shard shard);
void check_position(Position position, std::int64_t windows, std::uint64_t data);

}  // namespace detail

/// The held-out text as a fixed list of batches that holds every label exactly once. The last one is padded with rows
/// without labels, so that all ranks have the same shapes and the same number of batches.
/// Example: `for (std::int64_t i = 0; i < held.size(); ++i) loss += f(held[i]);`
template <class HeldOut, class Text>
class Evaluation {
 public:
  Evaluation(HeldOut windows, Text text, std::int64_t batch, Shard shard)
      : windows_{std::move(windows)}, text_{std::move(text)}, batch_{batch}, shard_{shard} {
    detail::check_rows(batch, "validation");
    detail::check_shard(batch, shard);
  }

  /// Batches; 0 where nothing is held out.
  std::int64_t size() const { return (windows_.size() + batch_ - 1) / batch_; }

  Batch operator[](std::int64_t index) const {
    auto const rows = batch_ / shard_.world;
    detail::BatchRows out{rows, windows_.length()};
    std::int64_t valid = 0;
    for (std::int64_t row = 0; row < batch_; ++row) {
      auto const window = index * batch_ + row;
      bool const exists = window < windows_.size();
      if (exists) valid += windows_.valid(window);
      if (row / rows != shard_.rank) continue;
      if (!exists) {
        out.add_empty(text_.tokenizer());
        continue;
      }
      windows_.read(window, out.window());
      out.add(text_.tokenizer());
    }
    return out.finish(valid);
  }

 private:
  HeldOut windows_;
  Text text_;
  std::int64_t batch_;
  Shard shard_;
};

/// Batches without end, an input range. Windows follow each other in the order of the source; a batch at the end of an
/// epoch takes its last rows from the next one, so that each window comes exactly once an epoch.
template <WindowSource Source>
class Batched {
 public:
  Batched(Source source, std::int64_t batch) : source_{std::move(source)}, batch_{batch} {}

  /// This rank's rows of the next global batch: rows [rank * B / world, (rank + 1) * B / world).
  Batch next() {
    auto const rows = batch_ / shard_.world;
    detail::BatchRows out{rows, length()};
    for (std::int64_t row = 0; row < batch_; ++row) {
      if (row / rows == shard_.rank) {
        source_.read(epoch_, index_, out.window());
        out.add(text().tokenizer());
      }
      if (++index_ == source_.size()) ++epoch_, index_ = 0;
    }
    return out.finish(batch_ * length());
  }

  /// Gives this rank its rows. Batches stay the same as a whole: B is the size of all ranks together.
  /// Errors: ArgumentError where B does not divide by the world size.
  void shard(Shard shard) {
    detail::check_shard(batch_, shard);
    shard_ = shard;
  }

  /// Where the next batch starts.
  Position position() const { return {epoch_, index_, fingerprint()}; }

  /// Goes on from a saved position.
  /// Errors: ArgumentError where the position lies outside the epoch or belongs to other text, windows or order.
  void seek(Position position) {
    detail::check_position(position, source_.size(), fingerprint());
    epoch_ = position.epoch;
    index_ = position.index;
  }

  /// The held-out text in batches of `batch` windows of all ranks together, as many as in training where it is 0.
  auto validation(std::int64_t batch = 0) const {
    return Evaluation{source_.held_out(), text(), batch ? batch : batch_, shard_};
  }

  std::int64_t length() const { return source_.length(); }     ///< tokens a row
  std::int64_t batch_size() const { return batch_; }           ///< rows of all ranks together
  std::int64_t epoch_size() const { return source_.size(); }   ///< windows an epoch
  std::uint64_t fingerprint() const { return source_.fingerprint(); }
  auto const& text() const { return source_.text(); }

  struct iterator {
    using iterator_concept = std::input_iterator_tag;
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;
    Batched* stream;
    Batch batch;
    Batch const& operator*() const { return batch; }
    iterator& operator++() {
      batch = stream->next();
      return *this;
    }
    void operator++(int) { ++*this; }
  };
  iterator begin() { return {this, next()}; }
  std::unreachable_sentinel_t end() const { return {}; }

 private:
  Source source_;
  std::int64_t batch_, epoch_ = 0, index_ = 0;
  Shard shard_;
};

struct BatchStage {
  using pipe_role = DataRole;
  std::int64_t size;
  explicit BatchStage(std::int64_t s) : size{s} {}
  template <class Source>
  auto operator()(Source&& source) const {
    static_assert(WindowSource<std::remove_cvref_t<Source>>,
                  "batch: the source must give windows (put pack(L) before batch(B))");
    return Batched<std::remove_cvref_t<Source>>{std::forward<Source>(source), size};
  }
};

/// Batches of `size` windows, of all data-parallel ranks together.
/// Errors: ArgumentError for a size below 1.
/// Example: `auto data = text(folder, tokenizer) | pack(1024) | shuffle(42) | batch(32); auto first = data.next();`
BatchStage batch(std::int64_t size);

#if LIERNE_BODIES
namespace detail {

LIERNE_INLINE BatchRows::BatchRows(std::int64_t rows, std::int64_t length)
    : window_(static_cast<std::size_t>(length) + 1) {
  batch_.tokens = at::empty({rows, length}, at::TensorOptions().dtype(int64));
  batch_.labels = at::empty({rows, length}, at::TensorOptions().dtype(int64));
}

LIERNE_INLINE void BatchRows::add(Tokenizer const& tokenizer) {
  auto const length = window_.size() - 1, begin = static_cast<std::size_t>(row_++) * length;
  auto* const tokens = batch_.tokens.mutable_data_ptr<std::int64_t>() + begin;
  auto* const labels = batch_.labels.mutable_data_ptr<std::int64_t>() + begin;
  for (std::size_t t = 0; t < length; ++t) {
    auto const label = window_[t + 1];
    tokens[t] = window_[t] == ignored ? 0 : window_[t];
    labels[t] = label;
    if (label == ignored) continue;
    ++batch_.valid;
    batch_.bytes += static_cast<std::int64_t>(tokenizer.text_bytes(label));
  }
}

LIERNE_INLINE void BatchRows::add_empty(Tokenizer const& tokenizer) {
  std::ranges::fill(window_, ignored);
  add(tokenizer);
}

LIERNE_INLINE Batch BatchRows::finish(std::int64_t global_valid) {
  batch_.global_valid = global_valid;
  return std::move(batch_);
}

LIERNE_INLINE void check_rows(std::int64_t rows, char const* entry) {
  check(rows >= 1, entry, ": expected at least 1 window, found ", rows);
}

LIERNE_INLINE void check_shard(std::int64_t rows, Shard shard) {
  check(shard.world >= 1 && shard.rank >= 0 && shard.rank < shard.world,
        "batch: expected a rank in [0, world), found rank ", shard.rank, " of ", shard.world);
  check(rows % shard.world == 0, "batch: expected a batch that divides among ", shard.world, " ranks, found ", rows,
        " (the size is that of all ranks together)");
}

LIERNE_INLINE void check_position(Position position, std::int64_t windows, std::uint64_t data) {
  check(position.data == 0 || position.data == data, "resume: expected a position in data ", data,
        ", found one of data ", position.data, " (text, tokenizer, window length or seed has changed)");
  check(position.epoch >= 0 && position.index >= 0 && position.index < windows, "resume: expected a window in [0, ",
        windows, "), found epoch ", position.epoch, ", window ", position.index);
}

}  // namespace detail

LIERNE_INLINE BatchStage batch(std::int64_t size) {
  detail::check_rows(size, "batch");
  return BatchStage{size};
}
#endif

}  // namespace lierne
