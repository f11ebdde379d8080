// SPDX-License-Identifier: Apache-2.0
// The presets of Llama 3 as records.
#pragma once

#include "lierne/spec/counts.hpp"
#include "lierne/spec/with.hpp"

/// Model records under the names that the literature gives them.
namespace lierne::models {

/// Six small layers for trials. Source (all four): torchtitan models/llama3.
inline constexpr Decoder llama3_debugmodel{.layers = 6,
                                           .width = 256,
                                           .vocab = 2048,
                                           .mixer = Attention{.heads = 16},
                                           .position = Rope{.base = 500000}};

/// Llama 3 8B. Rotary frequencies are not scaled, as in the source; Llama 3.1 is
/// `with(llama3_8b, Rope{.base = 500000, .scaling = llama31_scaling})`.
/// Example: `Model<models::llama3_8b, plan> model;`
inline constexpr Decoder llama3_8b{.layers = 32,
                                   .width = 4096,
                                   .vocab = 128256,
                                   .mixer = Attention{.heads = 32, .kv_heads = 8},
                                   .position = Rope{.base = 500000},
                                   .channel = SwiGlu{.multiplier = 1.3, .multiple_of = 1024}};

/// Llama 3 70B.
inline constexpr Decoder llama3_70b{.layers = 80,
                                    .width = 8192,
                                    .vocab = 128256,
                                    .mixer = Attention{.heads = 64, .kv_heads = 8},
                                    .position = Rope{.base = 500000},
                                    .channel = SwiGlu{.multiplier = 1.3, .multiple_of = 4096}};

/// Llama 3 405B.
inline constexpr Decoder llama3_405b{.layers = 126,
                                     .width = 16384,
                                     .vocab = 128256,
                                     .mixer = Attention{.heads = 128, .kv_heads = 8},
                                     .position = Rope{.base = 500000},
                                     .channel = SwiGlu{.multiplier = 1.2, .multiple_of = 4096}};

/// Six small layers whose attention stays within documents, which token 0 ends.
inline constexpr auto llama3_debugmodel_flex_attn = with(llama3_debugmodel, Documents{.end = 0});

/// Llama 3.1: the same shapes, rotations scaled for longer contexts.
inline constexpr auto llama31_8b = with(llama3_8b, Rope{.base = 500000, .scaling = llama31_scaling});
inline constexpr auto llama31_70b = with(llama3_70b, Rope{.base = 500000, .scaling = llama31_scaling});
inline constexpr auto llama31_405b = with(llama3_405b, Rope{.base = 500000, .scaling = llama31_scaling});

/// Llama 3.2 1B and 3B: tied outputs, rotations scaled by 32. Source: the released configurations.
inline constexpr auto llama32_1b =
    with(llama3_8b, field<"layers">(16), field<"width">(2048), field<"tied">(true), Attention{.heads = 32, .kv_heads = 8},
         Rope{.base = 500000, .scaling = {.factor = 32, .low = 1, .high = 4, .original = 8192}}, SwiGlu{.hidden = 8192});
inline constexpr auto llama32_3b =
    with(llama32_1b, field<"layers">(28), field<"width">(3072), Attention{.heads = 24, .kv_heads = 8});

/// The vocabulary of the Mosaic presets, which are otherwise the same models.
inline constexpr auto mosaic_vocab = field<"vocab">(50368);

inline constexpr auto mosaic_llama3_debugmodel = with(llama3_debugmodel, mosaic_vocab);
inline constexpr auto mosaic_llama3_8b = with(llama3_8b, mosaic_vocab);
inline constexpr auto mosaic_llama3_70b = with(llama3_70b, mosaic_vocab);
inline constexpr auto mosaic_llama3_405b = with(llama3_405b, mosaic_vocab);

static_assert(parameters(llama3_debugmodel).total() == 6'163'712);
static_assert(parameters(llama3_8b).total() == 8'030'261'248);
static_assert(parameters(llama3_70b).total() == 70'553'706'496);
static_assert(parameters(llama3_405b).total() == 405'853'388'800);
static_assert(parameters(llama31_8b).total() == parameters(llama3_8b).total());
static_assert(parameters(llama32_1b).total() == 1'235'814'400);
static_assert(parameters(llama32_3b).total() == 3'212'749'824);
static_assert(parameters(mosaic_llama3_debugmodel).total() == 30'903'552);
static_assert(parameters(mosaic_llama3_8b).total() == 7'392'202'752);
static_assert(parameters(mosaic_llama3_70b).total() == 69'277'589'504);
static_assert(parameters(mosaic_llama3_405b).total() == 403'301'154'816);

}  // namespace lierne::models
