// SPDX-License-Identifier: Apache-2.0
// The products of a mixture's experts by blocks, and their weights as these read them.
#pragma once

#include <bit>
#include <initializer_list>

#include "lierne/nn/kernel/block_products.hpp"
#include "lierne/nn/kernel/vectors.hpp"

namespace lierne::kernel::detail {

// oneDNN makes code for every size of a product and every thread keeps it, some ten kilobytes each: numbers of tokens, which
// change from step to step, are cut into sizes of which there are few.

/// Rows and columns of one product, and the rows of its inner size where that is a number of tokens: of these, multiples of
/// `token_step`.
inline constexpr std::int64_t product_rows = 64, product_columns = 64, product_tokens = 128, token_step = 16;

/// An expert's weights as a right operand, by panels of 64 columns: [panels, k/pair, 64, pair].
template <class T>
class ExpertPanels {
 public:
  /// Of all experts' w [E, n, k] for x wᵀ, or with `columns_last` of w [E, k, n] for x w. Contiguous, of T.
  ExpertPanels(Tensor const& w, bool columns_last)
      : all_(w.const_data_ptr<T>()), inner_(w.size(columns_last ? 1 : 2)), columns_(w.size(columns_last ? 2 : 1)),
        columns_last_(columns_last), panels_((columns_ + product_columns - 1) / product_columns * product_columns * inner_) {}

  /// Makes the panels of an expert, unless they are there.
  void load(std::int64_t expert) {
    if (expert == expert_) return;
    expert_ = expert;
    with_vectors([this, w = all_ + expert * inner_ * columns_]() __attribute__((always_inline)) {
      for (std::int64_t column = 0; column < columns_; column += product_columns) {
        auto const count = std::min(product_columns, columns_ - column);
        auto* const panel = panels_ + column * inner_;
        if (columns_last_) {
          pack_rows<T>({w + column, columns_}, inner_, count, panel);
        } else {
          pack_columns<T>({w + column * inner_, inner_}, count, inner_, panel, count);
        }
      }
    });
  }

  std::int64_t inner() const { return inner_; }
  /// The panel whose first column is `column`. A row of it has as many columns as are left, 64 at most.
  T const* panel(std::int64_t column) const { return panels_ + column * inner_; }

 private:
  T const* all_;
  std::int64_t inner_, columns_;
  bool columns_last_;
  std::int64_t expert_ = -1;
  TileMemory<T> panels_;
};

/// Some rows a [rows, k] and the weights that they meet.
template <class T>
struct ExpertTerm {
  Tensor const& a;
  ExpertPanels<T> const& weights;
};

/// out = Σ a w over `terms` of one shape: [rows, n], contiguous rows of T. Numerics: one sum in float32, rounded once. On the
/// calling thread.
template <class T>
void multiply_rows(Tensor const& out, std::initializer_list<ExpertTerm<T>> terms) {
  auto const rows = out.size(0), columns = out.size(1);
  auto* const to = out.mutable_data_ptr<T>();
  alignas(64) float block[product_rows * product_columns];
  for (std::int64_t column = 0; column < columns; column += product_columns) {
    auto const n = std::min(product_columns, columns - column);
    for (std::int64_t row = 0, m = 0; row < rows; row += m) {
      m = std::min(product_rows, static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(rows - row))));
      Rows<T> const result{to + row * columns + column, columns};
      auto const sum = [&]() -> Rows<float> {
        if constexpr (pair_of<T> == 1) {
          return result;
        } else {
          return {block, product_columns};
        }
      }();
      bool add = false;
      for (auto const& [a, weights] : terms) {
        auto const k = weights.inner();
        multiply<T>(m, n, k, {a.template const_data_ptr<T>() + row * k, k}, weights.panel(column), n, add, sum);
        add = true;
      }
      if constexpr (pair_of<T> != 1) {
        with_vectors([=, &block]() __attribute__((always_inline)) {
          for (std::int64_t t = 0; t < m; ++t) round_to(result.from(t).data, block + t * product_columns, n);
        });
      }
    }
  }
}

/// Memory for `multiply_tokens` of results up to [rows, columns].
template <class T>
struct TokenMemory {
  TileMemory<T> left, turned, right;
  TileMemory<float> sum;
  TokenMemory(std::int64_t rows, std::int64_t columns)
      : left(rows * product_tokens), turned(pair_of<T> == 1 ? 0 : rows * product_tokens), right(columns * product_tokens),
        sum(pair_of<T> == 1 ? 0 : rows * columns) {}
};

/// out = aᵀ b over tokens: out [m, n] of T, a [tokens, m] and b [tokens, n], whose rows may lie apart. Zeros without tokens. On
/// the calling thread.
template <class T>
void multiply_tokens(Rows<T> out, Rows<T const> a, std::int64_t m, Rows<T const> b, std::int64_t n, std::int64_t tokens,
                     TokenMemory<T> const& memory) {
  auto const sum = [&]() -> Rows<float> {
    if constexpr (pair_of<T> == 1) {
      return out;
    } else {
      return {memory.sum, n};
    }
  }();
  if (tokens == 0) {
    for (std::int64_t i = 0; i < m; ++i) std::fill_n(out.from(i).data, n, T(0.0F));
    return;
  }
  T const* const turned = pair_of<T> == 1 ? memory.left : memory.turned;
  for (std::int64_t token = 0; token < tokens; token += product_tokens) {
    auto const count = std::min(product_tokens, tokens - token), inner = (count + token_step - 1) / token_step * token_step;
    with_vectors([&]() __attribute__((always_inline)) {
      pack_columns<T>(a.from(token), count, m, memory.left, inner);
      if constexpr (pair_of<T> != 1) unpack_columns<T>(memory.left, m, inner, memory.turned);
      pack_rows<T>(b.from(token), count, n, memory.right);
      for (auto i = whole_pairs<T>(count) * n; i < inner * n; ++i) memory.right[i] = T(0.0F);
    });
    for (std::int64_t column = 0; column < n; column += product_columns) {
      for (std::int64_t row = 0; row < m; row += product_rows) {
        multiply<T>(std::min(product_rows, m - row), std::min(product_columns, n - column), inner,
                    {turned + row * inner, inner}, memory.right + column * pair_of<T>, n, token > 0,
                    {sum.from(row).data + column, sum.stride});
      }
    }
  }
  if constexpr (pair_of<T> != 1) {
    with_vectors([=]() __attribute__((always_inline)) {
      for (std::int64_t i = 0; i < m; ++i) round_to(out.from(i).data, sum.from(i).data, n);
    });
  }
}

}  // namespace lierne::kernel::detail
