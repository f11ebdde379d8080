// SPDX-License-Identifier: Apache-2.0
// Causal grouped-query attention on the CPU: products on the heads where they lie, and softmax between them.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <cmath>
#include <vector>

#include "lierne/core/error.hpp"
#include "lierne/nn/kernel/product.hpp"
#include "lierne/nn/kernel/tiles.hpp"
#include "lierne/nn/kernel/vectors.hpp"
#include "lierne/tensor/function.hpp"

// The product of the BLAS inside LibTorch. Weak: a LibTorch that hides it runs through SDPA.
extern "C" [[gnu::weak]] void sgemm_(char const* transpose_a, char const* transpose_b, int const* m, int const* n,
                                     int const* k, float const* alpha, float const* a, int const* lda, float const* b,
                                     int const* ldb, float const* beta, float* c, int const* ldc);
#endif

// B batch, L length, N query heads, K key heads, H head size, R query rows of a tile, C = the keys that a tile can see.

namespace lierne::kernel {

/// softmax(q kᵀ / √H, keys up to the query's own position) v. Query head n attends to key head n / (N/K).
/// Shapes: q [B, L, N, H], k and v [B, L, K, H] → [B, L, N, H]. Errors: `ShapeError`.
/// Numerics: float32 inside for float32, and for bfloat16 on a CPU without bfloat16 instructions; everything else
/// through SDPA. Saves one number a row and head, no probabilities.
/// Source: Dao 2023, arXiv:2307.08691, with whole rows of keys instead of an online softmax.
Tensor causal_attention(Tensor const& q, Tensor const& k, Tensor const& v);

#if LIERNE_BODIES

namespace detail {

/// A matrix in row-major order whose rows lie `stride` apart.
template <class T>
struct Rows {
  T* data;
  std::int64_t stride;
  Rows<T> from(std::int64_t row) const { return {data + row * stride, stride}; }
};

/// c = alpha · op(a) op(b) + beta · c, where c is [m, n] and the inner size is k. In column-major order, which BLAS
/// speaks, each matrix is its own transpose, so the operands change places.
inline void multiply(std::int64_t m, std::int64_t n, std::int64_t k, float alpha, Rows<float const> a, bool transpose_a,
                     Rows<float const> b, bool transpose_b, float beta, Rows<float> c) {
  int const rows = static_cast<int>(m), columns = static_cast<int>(n), inner = static_cast<int>(k);
  int const lda = static_cast<int>(a.stride), ldb = static_cast<int>(b.stride), ldc = static_cast<int>(c.stride);
  sgemm_(transpose_b ? "T" : "N", transpose_a ? "T" : "N", &columns, &rows, &inner, &alpha, b.data, &ldb, a.data, &lda,
         &beta, c.data, &ldc);
}

/// The sizes of an attention, and where the heads of its tensors lie.
struct AttentionSizes {
  static constexpr std::int64_t tile = 32;  // query rows at a time: short, so that few masked scores are computed

  std::int64_t batch, length, heads, keys, size;

  AttentionSizes(Tensor const& q, Tensor const& k)
      : batch(q.size(0)), length(q.size(1)), heads(q.size(2)), keys(k.size(2)), size(q.size(3)) {}

  float scale() const { return 1.0F / std::sqrt(static_cast<float>(size)); }
  template <class T>
  Rows<T> head(T* data, std::int64_t b, std::int64_t head, std::int64_t of) const {
    return {data + (b * length * of + head) * size, of * size};
  }
  /// Calls body(b, key head) for each in parallel, with scratch of `matrices` score tiles.
  template <class Body>
  void for_each_key_head(std::int64_t matrices, Body const& body) const {
    parallel_for(0, batch * keys, 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> scratch(static_cast<std::size_t>(matrices * tile * length));
      for (auto i = begin; i < end; ++i) body(i / keys, i % keys, scratch.data());
    });
  }
};

struct CausalAttentionFunction : Function<CausalAttentionFunction> {
  static constexpr auto tile = AttentionSizes::tile;

  static Tensor forward(AutogradContext* context, Tensor const& q, Tensor const& k, Tensor const& v) {
    AttentionSizes const s(q, k);
    auto const out = at::empty_like(q);
    auto const log_sum = at::empty({s.batch, s.heads, s.length}, q.options());
    auto const *q_data = q.const_data_ptr<float>(), *k_data = k.const_data_ptr<float>(), *v_data = v.const_data_ptr<float>();
    auto *out_data = out.mutable_data_ptr<float>(), *log_sums = log_sum.mutable_data_ptr<float>();
    s.for_each_key_head(1, [&](std::int64_t b, std::int64_t key, float* score) {
      auto const keys = s.head(k_data, b, key, s.keys), values = s.head(v_data, b, key, s.keys);
      auto const group = s.heads / s.keys;
      for (auto head = key * group; head < (key + 1) * group; ++head) {
        auto const queries = s.head(q_data, b, head, s.heads);
        auto const result = s.head(out_data, b, head, s.heads);
        for (std::int64_t first = 0; first < s.length; first += tile) {
          auto const rows = std::min(tile, s.length - first), seen = first + rows;
          multiply(rows, seen, s.size, s.scale(), queries.from(first), false, keys, true, 0.0F, {score, seen});
          float scales[tile];
          softmax_rows(score, rows, first, log_sums + (b * s.heads + head) * s.length + first, scales);
          multiply(rows, s.size, seen, 1.0F, {score, seen}, false, values, false, 0.0F, result.from(first));
          for (std::int64_t t = 0; t < rows; ++t) {
            auto* row = result.from(first + t).data;
            for (std::int64_t i = 0; i < s.size; ++i) row[i] *= scales[t];
          }
        }
      }
    });
    context->save_for_backward({q, k, v, out, log_sum});
    return out;
  }

  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const saved = context->get_saved_variables();
    auto const &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3];
    AttentionSizes const s(q, k);
    auto const upstream = gradients[0].contiguous();
    auto const dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v);
    auto const *q_data = q.const_data_ptr<float>(), *k_data = k.const_data_ptr<float>(), *v_data = v.const_data_ptr<float>();
    auto const *out_data = out.const_data_ptr<float>(), *up_data = upstream.const_data_ptr<float>();
    auto const* log_sums = saved[4].const_data_ptr<float>();
    auto *dq_data = dq.mutable_data_ptr<float>(), *dk_data = dk.mutable_data_ptr<float>(), *dv_data = dv.mutable_data_ptr<float>();
    s.for_each_key_head(2, [&](std::int64_t b, std::int64_t key, float* scratch) {
      auto const keys = s.head(k_data, b, key, s.keys), values = s.head(v_data, b, key, s.keys);
      auto const keys_gradient = s.head(dk_data, b, key, s.keys), values_gradient = s.head(dv_data, b, key, s.keys);
      auto const group = s.heads / s.keys;
      auto *probability = scratch, *change = scratch + tile * s.length;
      // The last tile comes first, of the first head: it sees every key, and so sets all rows that the others add to.
      float beta = 0.0F;
      for (auto head = key * group; head < (key + 1) * group; ++head) {
        auto const queries = s.head(q_data, b, head, s.heads), up = s.head(up_data, b, head, s.heads);
        auto const result = s.head(out_data, b, head, s.heads);
        for (auto first = (s.length - 1) / tile * tile; first >= 0; first -= tile) {
          auto const rows = std::min(tile, s.length - first), seen = first + rows;
          multiply(rows, seen, s.size, s.scale(), queries.from(first), false, keys, true, 0.0F, {probability, seen});
          multiply(rows, seen, s.size, 1.0F, up.from(first), false, values, true, 0.0F, {change, seen});
          score_gradient_rows(probability, change, rows, first, log_sums + (b * s.heads + head) * s.length + first,
                              result.from(first), up.from(first), s.size);
          multiply(seen, s.size, rows, 1.0F, {probability, seen}, true, up.from(first), false, beta, values_gradient);
          multiply(seen, s.size, rows, s.scale(), {change, seen}, true, queries.from(first), false, beta, keys_gradient);
          multiply(rows, s.size, seen, s.scale(), {change, seen}, false, keys, false, 0.0F,
                   s.head(dq_data, b, head, s.heads).from(first));
          beta = 1.0F;
        }
      }
    });
    return {dq, dk, dv};
  }

 private:
  /// e^(x - top) of the keys that each row may see and 0 beyond them, with the log of the row's sum and its inverse.
  static void softmax_rows(float* score, std::int64_t rows, std::int64_t first, float* log_sum, float* scales) {
    auto const seen = first + rows;
    with_vectors([=]() __attribute__((always_inline)) {
      Exponential const exponential;
      for (std::int64_t t = 0; t < rows; ++t) {
        auto* x = score + t * seen;
        auto const valid = first + t + 1;
        float const top = lane_fold(
            valid, x[0], [=](std::int64_t i) __attribute__((always_inline)) { return x[i]; },
            [](float a, float b) __attribute__((always_inline)) { return a < b ? b : a; });
        float const sum = lane_sum(valid, [=](std::int64_t i) __attribute__((always_inline)) {
          float const e = exponential(x[i] - top);
          x[i] = e;
          return e;
        });
        for (auto i = valid; i < seen; ++i) x[i] = 0.0F;
        log_sum[t] = top + std::log(sum);
        scales[t] = 1.0F / sum;
      }
    });
  }

  /// From scores and the gradients of probabilities to probabilities and the gradients of scores.
  static void score_gradient_rows(float* score, float* change, std::int64_t rows, std::int64_t first, float const* log_sum,
                                  Rows<float const> result, Rows<float const> up, std::int64_t size) {
    auto const seen = first + rows;
    with_vectors([=]() __attribute__((always_inline)) {
      Exponential const exponential;
      for (std::int64_t t = 0; t < rows; ++t) {
        auto *x = score + t * seen, *dx = change + t * seen;
        auto const *y = result.from(t).data, *dy = up.from(t).data;
        float const along = lane_sum(size, [=](std::int64_t i) __attribute__((always_inline)) { return y[i] * dy[i]; });
        float const shift = log_sum[t];
        auto const valid = first + t + 1;
#pragma omp simd
        for (std::int64_t i = 0; i < valid; ++i) {
          float const p = exponential(x[i] - shift);
          x[i] = p;
          dx[i] = p * (dx[i] - along);
        }
        for (auto i = valid; i < seen; ++i) x[i] = dx[i] = 0.0F;
      }
    });
  }
};

}  // namespace detail

LIERNE_INLINE Tensor causal_attention(Tensor const& q, Tensor const& k, Tensor const& v) {
  check<ShapeError>(q.dim() == 4 && k.dim() == 4 && k.sizes() == v.sizes() && q.size(0) == k.size(0) &&
                        q.size(1) == k.size(1) && q.size(3) == k.size(3) && k.size(2) > 0 && q.size(2) % k.size(2) == 0,
                    "causal_attention: expected q [B, L, N, H], k and v [B, L, K, H] with N a multiple of K, found ",
                    to_string(q.sizes()), ", ", to_string(k.sizes()), " and ", to_string(v.sizes()));
  if (widens(q)) return causal_attention(q.to(float32), k.to(float32), v.to(float32)).to(q.scalar_type());
  // Longer rows of scores leave the cache, and few heads leave threads idle: SDPA cuts both further.
  bool const suits = q.numel() > 0 && q.size(1) <= 4096 && k.size(0) * k.size(2) >= at::get_num_threads();
  if (sgemm_ != nullptr && suits && fusible(q, k, v) && q.scalar_type() == float32) {
    return detail::CausalAttentionFunction::apply(q.contiguous(), k.contiguous(), v.contiguous());
  }
  return at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), /*attn_mask=*/{},
                                          /*dropout_p=*/0.0, /*is_causal=*/true, /*scale=*/{},
                                          /*enable_gqa=*/q.size(2) != k.size(2))
      .transpose(1, 2);
}

#endif

}  // namespace lierne::kernel
