// SPDX-License-Identifier: Apache-2.0
// The experts of a mixture on the CPU: blocks of an expert's rows, from gather to the last product each on one thread.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <vector>

#include "lierne/nn/kernel/expert_products.hpp"
#include "lierne/nn/kernel/product.hpp"
#include "lierne/nn/kernel/tiles.hpp"
#include "lierne/nn/kernel/vectors.hpp"
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"

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

/// Calls body(task, scratch) for every task in parallel, the next one to whoever is free; `make` makes a thread's
/// scratch. What a task computes must not depend on who runs it. T: the type of its products.
template <class T, class Make, class Body>
void for_each_task(std::size_t tasks, Make const& make, Body const& body) {
  std::atomic<std::size_t> next{0};
  parallel_for(0, std::min<std::int64_t>(at::get_num_threads(), static_cast<std::int64_t>(tasks)), 1,
               [&](std::int64_t begin, std::int64_t end) {
    if (begin == end) return;
    auto scratch = make();
    Products<T> const products;
    for (auto task = next++; task < tasks; task = next++) body(task, scratch);
  });
}

/// Some rows of one expert.
struct RowBlock {
  std::int64_t expert, first, rows;
};

/// What forward and backward share: blocks of each expert's rows, of sizes that depend on nothing but their numbers. T: the
/// type of products, float32 where bfloat16 has no instructions.
template <class T>
struct ExpertRows {
  std::int64_t choices, count;
  std::vector<RowBlock> experts, blocks;
  std::int64_t largest = 0;
  at::TensorOptions work;

  ExpertRows(Tensor const& x, Tensor const& scores, Tensor const& ends)
      : choices(scores.size(1)), count(scores.numel()), work(x.options().dtype(c10::CppTypeToScalarType<T>::value)) {
    // Long enough that reading an expert's weights pays, short enough that threads end together.
    auto const most = std::clamp<std::int64_t>(count / 16, 64, 256);
    auto const* end = ends.const_data_ptr<std::int32_t>();
    std::int64_t first = 0;
    for (std::int64_t e = 0; e < ends.size(0); ++e) {
      auto const rows = end[e] - first, parts = (rows + most - 1) / most;
      experts.push_back({e, first, rows});
      for (std::int64_t part = 0; part < parts; ++part) {
        auto const from = rows * part / parts, to = rows * (part + 1) / parts;
        blocks.push_back({e, first + from, to - from});
        largest = std::max(largest, to - from);
      }
      first = end[e];
    }
  }

  Tensor rows(std::int64_t width) const { return at::empty({count, width}, work); }
  Tensor block(std::int64_t width) const { return at::empty({largest, width}, work); }
  /// All experts' weights in the type of products, outside of any graph.
  Tensor weights(Tensor const& w) const { return w.detach().to(work.dtype()); }

  /// Calls body(block, memory) for every block in parallel.
  template <class Make, class Body>
  void for_each_block(Make const& make, Body const& body) const {
    for_each_task<T>(blocks.size(), make, [&](std::size_t task, auto& memory) { body(blocks[task], memory); });
  }

  /// Each expert's aᵀ b over its rows, for each of `products` {to, a, b}.
  void weight_gradients(std::vector<std::array<Tensor, 3>> const& products) const {
    constexpr std::int64_t part = 256;  // rows of a gradient that one task makes
    struct Task {
      RowBlock expert;
      std::size_t product;
      std::int64_t first, rows;
    };
    std::vector<Task> tasks;
    for (auto const& expert : experts) {
      for (std::size_t i = 0; i < products.size(); ++i) {
        auto const size = products[i][0].size(1);
        for (std::int64_t at = 0; at < size; at += part) tasks.push_back({expert, i, at, std::min(part, size - at)});
      }
    }
    std::int64_t widest = 0;
    for (auto const& product : products) widest = std::max(widest, product[2].size(1));
    auto const make = [&] { return TokenMemory<T>(part, widest); };
    for_each_task<T>(tasks.size(), make, [&](std::size_t t, TokenMemory<T> const& memory) {
      auto const& [expert, i, first, rows] = tasks[t];
      auto const& [out, a, b] = products[i];
      auto const m = a.size(1), n = b.size(1);
      multiply_tokens<T>({out.template mutable_data_ptr<T>() + (expert.expert * m + first) * n, n},
                         {a.template const_data_ptr<T>() + expert.first * m + first, m}, rows,
                         {b.template const_data_ptr<T>() + expert.first * n, n}, n, expert.rows, memory);
    });
  }
};

template <class T>
struct RoutedExpertsFunction : Function<RoutedExpertsFunction<T>> {
  static Tensor forward(AutogradContext* context, Tensor const& x, Tensor const& base, Tensor const& scores,
                        Tensor const& w1, Tensor const& w2, Tensor const& w3, Tensor const& slot_of_row,
                        Tensor const& row_of_slot, Tensor const& ends, bool before) {
    ExpertRows<T> const all(x, scores, ends);
    auto const *slots = slot_of_row.const_data_ptr<std::int64_t>(), *rows = row_of_slot.const_data_ptr<std::int64_t>();
    auto const* scales = scores.const_data_ptr<float>();
    auto const width = x.size(1), hidden_size = w1.size(1);
    auto const v1 = all.weights(w1), v2 = all.weights(w2), v3 = all.weights(w3);
    auto const gate = all.rows(hidden_size), up = all.rows(hidden_size), result = all.rows(width);
    struct Memory {
      Tensor xs, hidden;
      ExpertPanels<T> gates, ups, outs;
    };
    auto const make = [&] { return Memory{all.block(width), all.block(hidden_size), {v1, false}, {v3, false}, {v2, false}}; };
    all.for_each_block(make, [&](RowBlock const& block, Memory& memory) {
      auto const& [e, first, n] = block;
      for (auto* panels : {&memory.gates, &memory.ups, &memory.outs}) panels->load(e);
      auto const xs = memory.xs.narrow(0, 0, n), hidden = memory.hidden.narrow(0, 0, n);
      auto const g = gate.narrow(0, first, n), u = up.narrow(0, first, n);
      gather_rows(xs, x, slots + first, before ? scales : nullptr, all.choices);
      multiply_rows<T>(g, {{xs, memory.gates}});
      multiply_rows<T>(u, {{xs, memory.ups}});
      activate_rows(hidden, g, u);
      multiply_rows<T>(result.narrow(0, first, n), {{hidden, memory.outs}});
    });
    auto const out = at::empty_like(x);
    sum_rows(out, base, result, rows, before ? nullptr : scales, all.choices);
    context->save_for_backward({x, scores, w1, w2, w3, gate, up, slot_of_row, row_of_slot, ends});
    context->saved_data["before"] = before;
    return out;
  }

  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const saved = context->get_saved_variables();
    auto const x = saved[0].detach(), scores = saved[1].detach(), gate = saved[5], up = saved[6];
    bool const before = context->saved_data["before"].toBool();
    ExpertRows<T> const all(x, scores, saved[9]);
    auto const *slots = saved[7].const_data_ptr<std::int64_t>(), *rows = saved[8].const_data_ptr<std::int64_t>();
    auto const* scales = scores.const_data_ptr<float>();
    auto const width = x.size(1), hidden_size = saved[2].size(1);
    auto const upstream = gradients[0].contiguous();
    auto const dscores = at::empty_like(scores), dx = at::empty_like(x);
    auto* const dots = dscores.mutable_data_ptr<float>();
    auto const xs = all.rows(width), dy = all.rows(width), dxs = all.rows(width);
    auto const hidden = all.rows(hidden_size), dg = all.rows(hidden_size), du = all.rows(hidden_size);
    auto const v1 = all.weights(saved[2]), v2 = all.weights(saved[3]), v3 = all.weights(saved[4]);
    struct Memory {
      ExpertPanels<T> gates, ups, outs;
    };
    auto const make = [&] { return Memory{{v1, true}, {v3, true}, {v2, true}}; };
    all.for_each_block(make, [&](RowBlock const& block, Memory& memory) {
      auto const& [e, first, n] = block;
      for (auto* panels : {&memory.gates, &memory.ups, &memory.outs}) panels->load(e);
      auto const mine = [from = first, count = n](Tensor const& t) { return t.narrow(0, from, count); };
      gather_rows(mine(dy), upstream, slots + first, nullptr, all.choices);
      multiply_rows<T>(mine(dg), {{mine(dy), memory.outs}});
      activate_rows_backward(mine(hidden), mine(dg), mine(du), mine(gate), mine(up), slots + first,
                             before ? nullptr : scales, before ? nullptr : dots);
      multiply_rows<T>(mine(dxs), {{mine(dg), memory.gates}, {mine(du), memory.ups}});
      gather_rows(mine(xs), x, slots + first, before ? scales : nullptr, all.choices);
    });
    TensorList dw;
    for (std::size_t i = 2; i < 5; ++i) dw.push_back(at::empty_like(saved[i], all.work));
    all.weight_gradients({{dw[0], dg, xs}, {dw[1], dy, hidden}, {dw[2], du, xs}});
    for (std::size_t i = 0; i < 3; ++i) dw[i] = dw[i].to(saved[i + 2].scalar_type());
    sum_rows(dx, {}, dxs, rows, before ? scales : nullptr, all.choices, x, before ? dots : nullptr);
    return {dx, upstream, dscores, dw[0], dw[1], dw[2], Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace lierne::kernel::detail
