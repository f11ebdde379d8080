// SPDX-License-Identifier: Apache-2.0
// The experts of a mixture on the CPU: one expert after the other, each with its rows in a buffer that stays in cache.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "lierne/nn/kernel/product.hpp"
#include "lierne/nn/kernel/tiles.hpp"
#include "lierne/nn/kernel/vectors.hpp"
#include "lierne/tensor/function.hpp"

// T tokens, K choices, E experts, D width, F hidden size, R = T·K rows sorted by expert; see dispatch.hpp.

namespace lierne::kernel::detail {

inline constexpr std::int64_t row_tile = 1024;
using RowTile = std::array<float, row_tile>;

/// Calls body(first column, columns) for the tiles of a row.
template <class Body>
[[gnu::always_inline]] inline void for_each_tile(std::int64_t width, Body const& body) {
  for (std::int64_t c = 0; c < width; c += row_tile) body(c, std::min(row_tile, width - c));
}
/// Rows that a thread takes at least, of `width` columns.
inline std::int64_t row_grain(std::int64_t width) { return std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(width, 1)); }

/// rows_i = scale_s · from_t of the slots s = slots[i], t = s / K; without scales the rows alone.
inline void gather_rows(Tensor const& rows, Tensor const& from, std::int64_t const* slots, float const* scales,
                        std::int64_t choices) {
  auto const width = from.size(1);
  Source const x_of(from);
  Sink const y_of(rows);
  parallel_vectors(rows.size(0), row_grain(width), [=](auto begin, auto end) __attribute__((always_inline)) {
    alignas(64) RowTile x_buffer, y_buffer;
    for (auto i = begin; i < end; ++i) {
      auto const slot = slots[i], token = slot / choices;
      float const scale = scales ? scales[slot] : 1.0F;
      for_each_tile(width, [&](auto c, auto n) __attribute__((always_inline)) {
        auto const* x = x_of.tile(token * width + c, n, x_buffer.data());
        auto* y = y_of.tile(i * width + c, y_buffer.data());
#pragma omp simd
        for (std::int64_t j = 0; j < n; ++j) y[j] = scale * x[j];
        y_of.store(i * width + c, n, y);
      });
    }
  });
}

/// out_t = base_t + Σ_k scale_s · rows_r of the slots s of t and their rows r, in the order of k. Without a base the sum
/// alone. `dots`, where given, gets rows_r · along_t for each slot.
inline void sum_rows(Tensor const& out, Tensor const& base, Tensor const& rows, std::int64_t const* row_of_slot,
                     float const* scales, std::int64_t choices, Tensor const& along = {}, float* dots = nullptr) {
  auto const width = out.size(1);
  bool const adds = base.defined();
  Source const base_of(adds ? base : rows), x_of(rows), along_of(dots ? along : rows);
  Sink const y_of(out);
  parallel_vectors(out.size(0), row_grain(width * choices), [=](auto begin, auto end) __attribute__((always_inline)) {
    alignas(64) RowTile x_buffer, b_buffer, sum;
    for (auto t = begin; t < end; ++t) {
      for (std::int64_t k = 0; dots && k < choices; ++k) dots[t * choices + k] = 0.0F;
      for_each_tile(width, [&](auto c, auto n) __attribute__((always_inline)) {
        for (std::int64_t j = 0; j < n; ++j) sum[j] = 0.0F;
        if (adds) {
          auto const* b = base_of.tile(t * width + c, n, b_buffer.data());
#pragma omp simd
          for (std::int64_t j = 0; j < n; ++j) sum[j] = b[j];
        }
        for (auto s = t * choices; s < (t + 1) * choices; ++s) {
          auto const* x = x_of.tile(row_of_slot[s] * width + c, n, x_buffer.data());
          float const scale = scales ? scales[s] : 1.0F;
#pragma omp simd
          for (std::int64_t j = 0; j < n; ++j) sum[j] += scale * x[j];
          if (dots) {
            auto const* a = along_of.tile(t * width + c, n, b_buffer.data());
            dots[s] += lane_sum(n, [=](std::int64_t j) __attribute__((always_inline)) { return x[j] * a[j]; });
          }
        }
        auto* y = y_of.tile(t * width + c, b_buffer.data());
#pragma omp simd
        for (std::int64_t j = 0; j < n; ++j) y[j] = sum[j];
        y_of.store(t * width + c, n, y);
      });
    }
  });
}

/// hidden = silu(gate) ⊙ up.
inline void activate_rows(Tensor const& hidden, Tensor const& gate, Tensor const& up) {
  Source const g_of(gate), u_of(up);
  Sink const h_of(hidden);
  auto const count = hidden.numel();
  parallel_vectors((count + row_tile - 1) / row_tile, 16, [=](auto begin, auto end) __attribute__((always_inline)) {
    alignas(64) RowTile g_buffer, u_buffer, h_buffer;
    Exponential const exponential;
    for (auto t = begin; t < end; ++t) {
      auto const at = t * row_tile, n = std::min(row_tile, count - at);
      auto const *g = g_of.tile(at, n, g_buffer.data()), *u = u_of.tile(at, n, u_buffer.data());
      auto* h = h_of.tile(at, h_buffer.data());
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i) h[i] = g[i] / (1.0F + exponential(-g[i])) * u[i];
      h_of.store(at, n, h);
    }
  });
}

/// Backwards through scale_s · (silu(gate) ⊙ up): `change` holds the gradient of the scaled rows and becomes that of the
/// gates; `up_change` gets that of the ups, `hidden` the scaled rows again, `dots` each scale's gradient.
inline void activate_rows_backward(Tensor const& hidden, Tensor const& change, Tensor const& up_change, Tensor const& gate,
                                   Tensor const& up, std::int64_t const* slots, float const* scales, float* dots) {
  auto const width = hidden.size(1);
  Source const g_of(gate), u_of(up), dh_of(change);
  Sink const h_of(hidden), dg_of(change), du_of(up_change);
  parallel_vectors(hidden.size(0), row_grain(width), [=](auto begin, auto end) __attribute__((always_inline)) {
    alignas(64) RowTile g_buffer, u_buffer, dh_buffer, h_buffer, dg_buffer, du_buffer, product;
    Exponential const exponential;
    for (auto i = begin; i < end; ++i) {
      float const scale = scales ? scales[slots[i]] : 1.0F;
      float dot = 0.0F;
      for_each_tile(width, [&](auto c, auto n) __attribute__((always_inline)) {
        auto const at = i * width + c;
        auto const *g = g_of.tile(at, n, g_buffer.data()), *u = u_of.tile(at, n, u_buffer.data());
        auto const* dh = dh_of.tile(at, n, dh_buffer.data());
        auto *h = h_of.tile(at, h_buffer.data()), *dg = dg_of.tile(at, dg_buffer.data()), *du = du_of.tile(at, du_buffer.data());
#pragma omp simd
        for (std::int64_t j = 0; j < n; ++j) {
          float const sigmoid = 1.0F / (1.0F + exponential(-g[j]));
          float const silu = g[j] * sigmoid, dy = dh[j], out = silu * u[j];
          product[j] = dy * out;
          h[j] = scale * out;
          du[j] = scale * dy * silu;
          dg[j] = scale * dy * u[j] * (sigmoid + silu * (1.0F - sigmoid));
        }
        dot += lane_sum(n, [&](std::int64_t j) __attribute__((always_inline)) { return product[j]; });
        h_of.store(at, n, h);
        dg_of.store(at, n, dg);
        du_of.store(at, n, du);
      });
      if (dots) dots[slots[i]] = dot;
    }
  });
}

/// What forward and backward share: where each expert's rows are, and buffers for the rows of the largest.
struct ExpertRows {
  std::int64_t choices, largest = 0;
  std::vector<std::int64_t> ends;
  at::TensorOptions work;  // of products: float32 where bfloat16 has no instructions

  ExpertRows(Tensor const& x, Tensor const& scores, Tensor const& expert_ends)
      : choices(scores.size(1)), work(x.options().dtype(widens(x) ? float32 : x.scalar_type())) {
    auto const* end = expert_ends.const_data_ptr<std::int32_t>();
    ends.assign(end, end + expert_ends.size(0));
    for (std::size_t e = 0; e < ends.size(); ++e) largest = std::max(largest, ends[e] - begin(e));
  }

  std::int64_t begin(std::size_t e) const { return e == 0 ? 0 : ends[e - 1]; }
  Tensor buffer(std::int64_t width) const { return at::empty({largest, width}, work); }
  /// Calls body(e, first row, rows) for every expert that has rows.
  template <class Body>
  void for_each(Body const& body) const {
    for (std::size_t e = 0; e < ends.size(); ++e) {
      if (ends[e] > begin(e)) body(static_cast<std::int64_t>(e), begin(e), ends[e] - begin(e));
    }
  }
  Tensor weight(Tensor const& all, std::int64_t e) const { return all.select(0, e).to(work.dtype()); }
  static void multiply_into(Tensor out, Tensor const& a, Tensor const& b) { at::mm_out(out, a, b); }
  /// The gradient of an expert's weights, aᵀ b.
  static void weight_gradient(Tensor const& all, std::int64_t e, Tensor const& a, Tensor const& b) {
    auto out = all.select(0, e);
    if (out.scalar_type() == a.scalar_type()) {
      at::mm_out(out, a.t(), b);
    } else {
      out.copy_(at::mm(a.t(), b));
    }
  }
};

struct RoutedExpertsFunction : Function<RoutedExpertsFunction> {
  static Tensor forward(AutogradContext* context, Tensor const& x, Tensor const& base, Tensor const& scores,
                        Tensor const& w1, Tensor const& w2, Tensor const& w3, Tensor const& slot_of_row,
                        Tensor const& row_of_slot, Tensor const& ends, bool before) {
    ExpertRows const all(x, scores, ends);
    auto const *slots = slot_of_row.const_data_ptr<std::int64_t>(), *rows = row_of_slot.const_data_ptr<std::int64_t>();
    auto const* scales = scores.const_data_ptr<float>();
    auto const width = x.size(1), hidden_size = w1.size(1), count = slot_of_row.size(0);
    auto const gate = at::empty({count, hidden_size}, all.work), up = at::empty_like(gate);
    auto const result = at::empty({count, width}, all.work);
    auto const x_rows = all.buffer(width), hidden_rows = all.buffer(hidden_size);
    all.for_each([&](std::int64_t e, std::int64_t first, std::int64_t n) {
      auto const xs = x_rows.narrow(0, 0, n), hidden = hidden_rows.narrow(0, 0, n);
      auto const g = gate.narrow(0, first, n), u = up.narrow(0, first, n);
      gather_rows(xs, x, slots + first, before ? scales : nullptr, all.choices);
      ExpertRows::multiply_into(g, xs, all.weight(w1, e).t());
      ExpertRows::multiply_into(u, xs, all.weight(w3, e).t());
      activate_rows(hidden, g, u);
      ExpertRows::multiply_into(result.narrow(0, first, n), hidden, all.weight(w2, e).t());
    });
    auto const out = at::empty_like(x);
    sum_rows(out, base, result, rows, before ? nullptr : scales, all.choices);
    context->save_for_backward({x, scores, w1, w2, w3, gate, up, slot_of_row, row_of_slot, ends});
    context->saved_data["before"] = before;
    return out;
  }

  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const saved = context->get_saved_variables();
    auto const &x = saved[0], &scores = saved[1], &w1 = saved[2], &w2 = saved[3], &w3 = saved[4], &gate = saved[5],
               &up = saved[6];
    bool const before = context->saved_data["before"].toBool();
    ExpertRows const all(x, scores, saved[9]);
    auto const *slots = saved[7].const_data_ptr<std::int64_t>(), *rows = saved[8].const_data_ptr<std::int64_t>();
    auto const* scales = scores.const_data_ptr<float>();
    auto const width = x.size(1), hidden_size = w1.size(1);
    auto const upstream = gradients[0].contiguous();
    auto const dw1 = at::empty_like(w1), dw2 = at::empty_like(w2), dw3 = at::empty_like(w3);
    auto const dscores = at::empty_like(scores), dx = at::empty_like(x);
    auto* const dots = dscores.mutable_data_ptr<float>();
    auto const row_gradient = at::empty({saved[7].size(0), width}, all.work);
    auto const x_rows = all.buffer(width), y_rows = all.buffer(width);
    auto const hidden_rows = all.buffer(hidden_size), gate_rows = all.buffer(hidden_size), up_rows = all.buffer(hidden_size);
    all.for_each([&](std::int64_t e, std::int64_t first, std::int64_t n) {
      auto const xs = x_rows.narrow(0, 0, n), dy = y_rows.narrow(0, 0, n), hidden = hidden_rows.narrow(0, 0, n);
      auto const dg = gate_rows.narrow(0, 0, n), du = up_rows.narrow(0, 0, n);
      auto const* mine = slots + first;
      gather_rows(dy, upstream, mine, nullptr, all.choices);
      ExpertRows::multiply_into(dg, dy, all.weight(w2, e));
      activate_rows_backward(hidden, dg, du, gate.narrow(0, first, n), up.narrow(0, first, n), mine,
                             before ? nullptr : scales, before ? nullptr : dots);
      ExpertRows::weight_gradient(dw2, e, dy, hidden);
      gather_rows(xs, x, mine, before ? scales : nullptr, all.choices);
      ExpertRows::weight_gradient(dw1, e, dg, xs);
      ExpertRows::weight_gradient(dw3, e, du, xs);
      auto dxs = row_gradient.narrow(0, first, n);
      at::mm_out(dxs, dg, all.weight(w1, e));
      dxs.addmm_(du, all.weight(w3, e));
    });
    for (std::size_t e = 0; e < all.ends.size(); ++e) {
      if (all.ends[e] > all.begin(e)) continue;
      for (auto const* unseen : {&dw1, &dw2, &dw3}) unseen->select(0, static_cast<std::int64_t>(e)).zero_();
    }
    sum_rows(dx, {}, row_gradient, rows, before ? scales : nullptr, all.choices, x, before ? dots : nullptr);
    return {dx, upstream, dscores, dw1, dw2, dw3, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace lierne::kernel::detail
