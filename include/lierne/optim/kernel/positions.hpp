// SPDX-License-Identifier: Apache-2.0
// Where the elements of a rank's part lie in the whole parameter, and how its rows are cut into blocks.
#pragma once

#include <algorithm>

#include "lierne/core/error.hpp"
#include "lierne/optim/optimizer.hpp"

namespace lierne {

/// A part of a parameter: a box in its index space. Units: elements.
class Positions {
 public:
  static constexpr std::int64_t block = 256;          ///< of a row, at most
  static constexpr std::int64_t least_row = 64;       ///< shorter rows are not cut into blocks

  /// Errors: `ShapeError` for a part without `Slot::offset`, or one that does not lie in the whole.
  static Positions of(Slot const& slot);

  Shape const& size() const { return size_; }
  Shape const& offset() const { return offset_; }
  Shape const& whole() const { return whole_; }
  std::int64_t elements() const { return elements_; }

  /// Calls `visit(begin, index, size)` for each stretch of [begin, end) that is contiguous in the whole, which it enters at
  /// `index`.
  template <class Visit>
  void for_each_run(std::int64_t begin, std::int64_t end, Visit const& visit) const {
    while (begin < end) {
      auto const run = begin / run_, within = begin % run_;
      auto const here = std::min(end - begin, run_ - within);
      visit(begin, start_of(run) + within, here);
      begin += here;
    }
  }

  /// Whether rows are long enough to be cut into blocks; the same on every rank.
  bool has_blocks() const { return whole_.size() > 1 && whole_row_ >= least_row; }
  /// Rows of this part, along dimension 0, and blocks in each of them.
  std::int64_t rows() const { return size_.empty() ? 1 : size_[0]; }
  std::int64_t blocks_in_row() const { return (row_ + block - 1) / block; }
  /// The block that begins at, or holds, an element.
  std::int64_t block_of(std::int64_t element) const { return element / row_ * blocks_in_row() + element % row_ / block; }
  /// The first element behind the block of an element.
  std::int64_t block_end(std::int64_t element) const {
    auto const column = element % row_;
    return element - column + std::min(row_, (column / block + 1) * block);
  }
  /// The last place at or before `most` and behind `begin` where no block is cut.
  std::int64_t uncut(std::int64_t begin, std::int64_t most) const {
    if (most >= elements_) return elements_;
    auto const column = most % row_;
    return std::max(most - column + column / block * block, block_end(begin));
  }
  /// Errors: `ShapeError` where this part ends inside a block of the whole, so that two ranks would share its scale.
  void check_blocks(std::string const& name) const;

 private:
  std::int64_t start_of(std::int64_t run) const;

  Shape whole_, size_, offset_;
  std::int64_t elements_ = 1, row_ = 1, whole_row_ = 1;
  std::size_t cut_ = 0;    // the last dimension that is cut, 0 where none behind the first is
  std::int64_t run_ = 1;   // neighbours that are neighbours in the whole
};

inline Positions Positions::of(Slot const& slot) {
  Positions at;
  at.size_ = slot.weight.sizes().vec();
  at.whole_ = slot.shape.empty() ? at.size_ : slot.shape;
  at.offset_ = slot.offset.empty() ? Shape(at.size_.size(), 0) : slot.offset;
  bool fits = at.whole_.size() == at.size_.size() && at.offset_.size() == at.size_.size();
  for (std::size_t d = 0; fits && d < at.size_.size(); ++d) {
    fits = at.offset_[d] >= 0 && at.offset_[d] + at.size_[d] <= at.whole_[d] && (!slot.offset.empty() || at.size_[d] == at.whole_[d]);
  }
  check<ShapeError>(fits, "optimizer: '", slot.name, "': expected Slot::offset to place a part of shape ",
                    to_string(at.size_), " in the parameter of shape ", to_string(at.whole_), ", found ",
                    to_string(at.offset_), slot.offset.empty() ? " (none was given)" : "");
  for (std::size_t d = 0; d < at.size_.size(); ++d) {
    at.elements_ *= at.size_[d];
    if (d == 0) continue;
    at.row_ *= at.size_[d];
    at.whole_row_ *= at.whole_[d];
    if (at.size_[d] != at.whole_[d]) at.cut_ = d;
  }
  at.run_ = std::max<std::int64_t>(1, at.elements_);
  if (at.cut_ > 0) {
    at.run_ = 1;
    for (std::size_t d = at.cut_; d < at.size_.size(); ++d) at.run_ *= at.size_[d];
  }
  return at;
}

inline std::int64_t Positions::start_of(std::int64_t run) const {
  std::int64_t start = 0, stride = 1;
  for (std::size_t d = size_.size(); d-- > 0; stride *= whole_[d]) {
    auto index = offset_[d];
    if (d < cut_) {
      index += run % size_[d];
      run /= size_[d];
    }
    start += index * stride;
  }
  return start;
}

inline void Positions::check_blocks(std::string const& name) const {
  if (cut_ == 0) return;
  auto const stride = cut_ == 1 ? whole_row_ / whole_[1] : 0;
  auto const first = offset_[1] * stride, last = first + row_;
  check<ShapeError>(cut_ == 1 && first % block == 0 && (last % block == 0 || last == whole_row_), "optimizer: '", name,
                    "': a part of shape ", to_string(size_), " at ", to_string(offset_), " of ", to_string(whole_),
                    " cuts a row inside a block of 256 elements (use a plan that cuts dimension 0, or store its fields in bf16)");
}

}  // namespace lierne
