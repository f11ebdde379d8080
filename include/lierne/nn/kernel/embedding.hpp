// SPDX-License-Identifier: Apache-2.0
// Rows of a table by token, with a gradient that writes each row of the table once.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <algorithm>

#include "lierne/core/error.hpp"
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"
#include "lierne/tensor/parallel_for.hpp"
#endif

namespace lierne::kernel {

/// y[t] = table[tokens[t]]; the gradient of row v is the sum of the gradients at the places of token v.
/// Shapes: table [V, D], tokens [...] of int64 → [..., D]. Errors: `ShapeError`; `ArgumentError` for a token outside
/// [0, V). Numerics: sums go in the order of places, in the table's dtype, so they are the same bits for any number of
/// threads. float32 and float64 on the CPU; others through ATen. Saves the tokens.
Tensor embedding(Tensor const& table, Tensor const& tokens);

#if LIERNE_BODIES

namespace detail {

template <class T>
void add_rows_by_token(Tensor const& upstream, Tensor const& tokens, Tensor const& gradient) {
  auto const [sorted, order] = at::sort(tokens, /*stable=*/true, /*dim=*/0, /*descending=*/false);
  auto const width = gradient.size(1), places = tokens.numel();
  auto const *token = sorted.template const_data_ptr<std::int64_t>(), *place = order.template const_data_ptr<std::int64_t>();
  auto const* from = upstream.template const_data_ptr<T>();
  auto* to = gradient.template mutable_data_ptr<T>();
  auto const grain = std::max<std::int64_t>(1, (std::int64_t{1} << 15) / std::max<std::int64_t>(1, width));
  parallel_for(0, gradient.size(0), grain, [=](std::int64_t begin, std::int64_t end) {
    auto next = std::lower_bound(token, token + places, begin) - token;
    for (auto row = begin; row < end;) {
      // Rows of no token, up to the next that has one.
      auto const stop = next < places ? std::min(end, token[next]) : end;
      std::fill(to + row * width, to + stop * width, T{0});
      row = stop;
      if (row == end) break;
      auto* const sum = to + row * width;
      std::copy_n(from + place[next] * width, width, sum);
      for (++next; next < places && token[next] == row; ++next) {
        auto const* const summand = from + place[next] * width;
#pragma omp simd
        for (std::int64_t i = 0; i < width; ++i) sum[i] += summand[i];
      }
      ++row;
    }
  });
}

struct EmbeddingFunction : Function<EmbeddingFunction> {
  static Tensor forward(AutogradContext* context, Tensor const& table, Tensor const& tokens) {
    context->save_for_backward({tokens});
    context->saved_data["rows"] = table.size(0);
    return at::embedding(table, tokens);
  }
  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const tokens = context->get_saved_variables()[0].reshape({-1}).contiguous();
    auto const upstream = gradients[0].contiguous();
    auto const gradient = at::empty({context->saved_data["rows"].toInt(), upstream.size(-1)}, upstream.options());
    if (gradient.scalar_type() == float32) {
      add_rows_by_token<float>(upstream, tokens, gradient);
    } else {
      add_rows_by_token<double>(upstream, tokens, gradient);
    }
    return {gradient, {}};
  }
};

}  // namespace detail

LIERNE_INLINE Tensor embedding(Tensor const& table, Tensor const& tokens) {
  auto const dtype = table.scalar_type();
  check<ShapeError>(table.dim() == 2 && tokens.scalar_type() == int64,
                    "embedding: expected a table [V, D] and tokens of int64, found ", to_string(table.sizes()), " and ",
                    to_string(tokens.sizes()), " of ", at::toString(tokens.scalar_type()));
  if (!table.device().is_cpu() || (dtype != float32 && dtype != float64)) return at::embedding(table, tokens);
  if (tokens.numel() > 0) {
    auto const [low, high] = at::aminmax(tokens);
    auto const first = low.item<std::int64_t>(), last = high.item<std::int64_t>();
    check(first >= 0 && last < table.size(0), "embedding: expected tokens in [0, ", table.size(0), "), found ",
          first < 0 ? first : last);
  }
  return detail::EmbeddingFunction::apply(table, tokens);
}

#endif

}  // namespace lierne::kernel
