// SPDX-License-Identifier: Apache-2.0
// The shapes of Qwen 3, and of Qwen 2.5, as records.
#pragma once

#include "lierne/spec/counts.hpp"
#include "lierne/spec/with.hpp"

namespace lierne::models {

/// Qwen 3 0.6B: heads of 128 whatever the width, a weighted norm on every query and key.
/// Rotations turn neighbouring pairs here and halves in the released weights, whose wq, wk and norms of heads are to be
/// permuted. Source (all): the released configurations; Qwen team 2025, arXiv 2505.09388.
inline constexpr Decoder qwen3_0_6b{.layers = 28,
                                    .width = 1024,
                                    .vocab = 151936,
                                    .mixer = Attention{.heads = 16, .kv_heads = 8, .head_size = 128, .qk_norm = QkNorm::weighted},
                                    .position = Rope{.base = 1e6},
                                    .channel = SwiGlu{.hidden = 3072},
                                    .norm = RmsNorm{.epsilon = 1e-6},
                                    .tied = true};

inline constexpr auto qwen3_1_7b = with(qwen3_0_6b, field<"width">(2048), SwiGlu{.hidden = 6144});
inline constexpr auto qwen3_4b =
    with(qwen3_0_6b, field<"width">(2560), field<"layers">(36), SwiGlu{.hidden = 9728},
         Attention{.heads = 32, .kv_heads = 8, .head_size = 128, .qk_norm = QkNorm::weighted});
inline constexpr auto qwen3_8b = with(qwen3_4b, field<"width">(4096), SwiGlu{.hidden = 12288}, field<"tied">(false));
inline constexpr auto qwen3_14b =
    with(qwen3_8b, field<"width">(5120), field<"layers">(40), SwiGlu{.hidden = 17408},
         Attention{.heads = 40, .kv_heads = 8, .head_size = 128, .qk_norm = QkNorm::weighted});
inline constexpr auto qwen3_32b =
    with(qwen3_14b, field<"layers">(64), SwiGlu{.hidden = 25600},
         Attention{.heads = 64, .kv_heads = 8, .head_size = 128, .qk_norm = QkNorm::weighted});

/// 128 experts in every layer, eight for a token, no shared one.
inline constexpr auto qwen3_30b_a3b =
    with(qwen3_0_6b, field<"width">(2048), field<"layers">(48), field<"tied">(false),
         Attention{.heads = 32, .kv_heads = 4, .head_size = 128, .qk_norm = QkNorm::weighted},
         Moe{.experts = 128, .top_k = 8, .shared = 0, .score = Score::softmax, .route_norm = true,
             .score_before_experts = false, .balance = 0, .auxiliary = 1e-3, .hidden = 768});

/// Qwen 2.5 0.5B and 7B: biases of queries, keys and values. Source: arXiv 2412.15115.
inline constexpr auto qwen25_0_5b =
    with(qwen3_0_6b, field<"width">(896), field<"layers">(24), SwiGlu{.hidden = 4864},
         Attention{.heads = 14, .kv_heads = 2, .bias = true});
inline constexpr auto qwen25_7b =
    with(qwen3_0_6b, field<"width">(3584), field<"layers">(28), field<"vocab">(152064), field<"tied">(false),
         SwiGlu{.hidden = 18944}, Attention{.heads = 28, .kv_heads = 4, .bias = true});

static_assert(parameters(qwen3_0_6b).total() == 596'049'920);
static_assert(parameters(qwen3_1_7b).total() == 1'720'574'976);
static_assert(parameters(qwen3_4b).total() == 4'022'468'096);
static_assert(parameters(qwen3_8b).total() == 8'190'735'360);
static_assert(parameters(qwen3_14b).total() == 14'768'307'200);
static_assert(parameters(qwen3_32b).total() == 32'762'123'264);
static_assert(parameters(qwen3_30b_a3b).total() == 30'532'122'624);
static_assert(parameters(qwen25_0_5b).total() == 494'032'768);
static_assert(parameters(qwen25_7b).total() == 7'615'616'512);

}  // namespace lierne::models
