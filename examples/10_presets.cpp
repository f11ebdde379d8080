// SPDX-License-Identifier: Apache-2.0
// Models and rules of one program, chosen at launch: `10_presets --preset mup-wide --rule adopt`; `--help` lists them.
#include <lierne/lierne.hpp>

namespace ln = lierne;

constexpr ln::Decoder small{.layers = 4, .width = 128, .vocab = 4096, .mixer = ln::Attention{.heads = 4}};
constexpr auto nope = ln::with(small, ln::every<4>(ln::NoPosition{}, ln::Rope{}));
constexpr auto experts = ln::with(small, ln::every<2>(ln::Moe{.experts = 8, .hidden = 192}, ln::SwiGlu{}));
constexpr auto mup = ln::with(small, ln::MuP{.base_width = 128});
constexpr auto mup_wide = ln::with(mup, ln::field<"width">(256), ln::Attention{.heads = 8});

int main(int argc, char** argv) {
  auto const presets = ln::presets(ln::preset<small>("small"), ln::preset<nope>("nope"), ln::preset<experts>("experts"),
                                   ln::preset<mup>("mup"), ln::preset<mup_wide>("mup-wide"));

  // The groups are those of the chosen model: muP's table for `mup` and `mup-wide`, none for the others. Lion has no table.
  auto const schedule = ln::warmup(20) | ln::cosine_to(0.1);
  auto const decay = ln::decay(0.1, ln::times_rate);
  auto const rules = ln::rules(
      ln::named("adamw", ln::scheduled(ln::clip_norm(1.0) | ln::adamw({.rate = 2e-3, .beta2 = 0.95}) | decay, schedule,
                                       ln::mup_groups(ln::times_rate))),
      ln::named("adopt", ln::scheduled(ln::clip_norm(1.0) | ln::adopt({.rate = 2e-3, .beta2 = 0.99}) | decay, schedule,
                                       ln::mup_groups(ln::times_rate, ln::MupEpsilon::kept))),
      ln::named("lion", ln::scheduled(ln::clip_norm(1.0) | ln::lion({.rate = 3e-4}) | decay, schedule)));

  auto const options = ln::Options::parse(argc, argv, presets, rules);
  auto data = ln::text(options.data, options.tokenizer) | ln::pack(128) | ln::shuffle(options.data_seed) | ln::batch(8);
  ln::Trainer trainer{presets, rules, options};
  trainer.fit(data);
}
