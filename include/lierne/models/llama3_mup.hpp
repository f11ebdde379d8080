// SPDX-License-Identifier: Apache-2.0
// The presets of Llama 3 under muP and CompleteP as records.
#pragma once

#include "lierne/spec/counts.hpp"
#include "lierne/spec/with.hpp"

namespace lierne::models {

/// The base that the others are scaled from: width 256, four layers. Names are nominal: the hidden size is eleven times
/// the width, not four, and a model has more parameters than it is called after. `mosaic_llama3_mup` is the same.
/// Documents end with token 0. Its other half is `mup_groups(times_rate, llama3_mup_125m)`.
/// Source (all four): the fork fl of torchtitan, llama3_mup.
inline constexpr Decoder llama3_mup_16m{.layers = 4,
                                        .width = 256,
                                        .vocab = 50368,
                                        .mixer = Attention{.heads = 4},
                                        .channel = SwiGlu{.multiplier = 4},
                                        .scaling = MuP{.base_width = 256, .base_layers = 4},
                                        .tied = true,
                                        .embedding_norm = true,
                                        .peri_norm = true};

inline constexpr auto llama3_mup_125m =
    with(llama3_mup_16m, field<"width">(768), field<"layers">(12), Attention{.heads = 12}, Documents{.end = 0});
inline constexpr auto llama3_mup_720m =
    with(llama3_mup_16m, field<"width">(2048), field<"layers">(12), Attention{.heads = 16}, Documents{.end = 0});
inline constexpr auto llama3_mup_1_3b = with(llama3_mup_720m, field<"layers">(24));

static_assert(parameters(llama3_mup_16m).total() == 22'598'144);
static_assert(parameters(llama3_mup_125m).total() == 293'524'992);
static_assert(parameters(llama3_mup_720m).total() == 1'927'778'304);
static_assert(parameters(llama3_mup_1_3b).total() == 3'752'398'848);
static_assert(flops_per_token(llama3_mup_16m, 8192) == 236'252'160);
static_assert(flops_per_token(llama3_mup_1_3b, 8192) == 27'346'231'296);

}  // namespace lierne::models
