// SPDX-License-Identifier: Apache-2.0
// The presets of Llama 4 as records.
#pragma once

#include "lierne/spec/counts.hpp"
#include "lierne/spec/with.hpp"

namespace lierne::models {

/// Six small layers for trials, experts in every second. Source (all three): torchtitan experiments/llama4, whose
/// router scores by a sigmoid, multiplies before the experts and balances by a bias of 1e-3 a step.
inline constexpr Decoder llama4_debugmodel{.layers = 6,
                                           .width = 256,
                                           .vocab = 2048,
                                           .mixer = Attention{.heads = 16},
                                           .position = Rope{.base = 500000},
                                           .channel = every<2>(Moe{.experts = 8}, SwiGlu{})};

/// Llama 4 Scout, 17 billion active parameters in 16 experts, with causal attention in every layer, as in the source.
/// Example: `Model<models::llama4_17bx16e, plan> model;`
inline constexpr Decoder llama4_17bx16e{.layers = 48,
                                        .width = 5120,
                                        .vocab = 202048,
                                        .mixer = Attention{.heads = 40, .kv_heads = 8},
                                        .position = Rope{.base = 500000},
                                        .channel = Moe{.experts = 16, .multiplier = 1.2, .multiple_of = 2048}};

/// Llama 4 Maverick: 128 experts in every second layer.
inline constexpr auto llama4_17bx128e =
    with(llama4_17bx16e, every<2>(Moe{.experts = 128, .multiplier = 1.2, .multiple_of = 2048},
                                  SwiGlu{.multiplier = 1.2, .multiple_of = 2048}));

namespace detail {

// torchtitan's iRoPE: no position and all of the document on layers 0, 4, 8 ..., rotations within blocks on the others.
// Released weights have the layers without position at 3, 7, 11 ...: see llama4_scout.
template <class Spec>
constexpr auto irope(Spec const& spec, FixedBlock block, Documents documents) {
  return with(spec, every_from_first<4>(NoPosition{}, Rope{.base = 500000}),
              every_from_first<4>(Causal{} & documents, block & documents));
}

}  // namespace detail

/// The same with iRoPE. Documents end with the tokenizer's <|end_of_text|>, in the debug model with token 0.
inline constexpr auto llama4_debugmodel_irope = detail::irope(llama4_debugmodel, {.size = 256}, {.end = 0});
inline constexpr auto llama4_17bx16e_irope = detail::irope(llama4_17bx16e, {.size = 8192}, {.end = 200001});
inline constexpr auto llama4_17bx128e_irope = detail::irope(llama4_17bx128e, {.size = 8192}, {.end = 200001});

/// Scout as it was released: layers 3, 7, 11 ... have no position and see all, queries there grow with their position, and in the
/// other layers queries and keys are normalised behind a rotation that is slowed for long texts. Join `Documents` to train it.
/// Source: Meta's Llama-4-Scout-17B-16E and transformers' Llama4TextConfig.
inline constexpr auto llama4_scout =
    with(llama4_17bx16e,
         Attention{.heads = 40, .kv_heads = 8, .qk_norm = QkNorm::weightless, .temperature = llama4_temperature},
         every<4>(NoPosition{}, Rope{.base = 500000, .scaling = llama4_scaling}), every<4>(Causal{}, FixedBlock{.size = 8192}));

/// Maverick as it was released: without the norms of queries and keys, and with plain rotations.
/// Source: Meta's Llama-4-Maverick-17B-128E.
inline constexpr auto llama4_maverick =
    with(llama4_17bx128e, Attention{.heads = 40, .kv_heads = 8, .temperature = llama4_temperature},
         every<4>(NoPosition{}, Rope{.base = 500000}), every<4>(Causal{}, FixedBlock{.size = 8192}));

static_assert(parameters(llama4_debugmodel).total() == 15'017'216);
static_assert(parameters(llama4_17bx16e).total() == 107'769'861'120);
static_assert(parameters(llama4_17bx128e).total() == 400'711'848'960);
static_assert(parameters(llama4_scout).total() == parameters(llama4_17bx16e).total());
static_assert(parameters(llama4_maverick).total() == parameters(llama4_17bx128e).total());
static_assert(active_parameters(llama4_debugmodel) == 6'759'680);
static_assert(active_parameters(llama4_17bx16e) == 17'172'894'720);
static_assert(active_parameters(llama4_17bx128e) == 17'184'691'200);
static_assert(flops_per_token(llama4_debugmodel, 256) == 42'130'944);
static_assert(flops_per_token(llama4_17bx16e, 8192) == 120'989'644'800);
static_assert(flops_per_token(llama4_17bx128e, 8192) == 121'060'423'680);

}  // namespace lierne::models
