// SPDX-License-Identifier: Apache-2.0
// A rate tuned on a shallow model holds for a deep one under CompleteP, and not under muP alone:
// `09_depth_transfer --out runs/depth`.
#include <lierne/lierne.hpp>

#include "07_mup_transfer.hpp"

namespace ln = lierne;

constexpr int width = 64;
constexpr ln::MuP complete{.base_width = width, .base_layers = 2}, width_alone{.base_width = width};

// Norms as in the presets llama3_mup. Without one behind it an embedding of N(0, 0.02²) drowns in what sixteen branches add.
template <int layers, ln::MuP scaling>
constexpr ln::Decoder model_of{.layers = layers, .width = width, .vocab = 4096, .mixer = ln::Attention{.heads = 4},
                               .channel = ln::SwiGlu{.hidden = 3 * width}, .scaling = scaling, .embedding_norm = true,
                               .peri_norm = true};

int main(int argc, char** argv) {
  TransferOptions options;
  options.lowest = -8;
  options.highest = -3;
  CLI::App app{"trains depths 2 to 16 at a grid of rates, under CompleteP and under muP without its rules for depth"};
  options.add_to(app);
  CLI11_PARSE(app, argc, argv);

  auto data = ln::text(options.data, std::filesystem::path(options.tokenizer), {.validation = 0.01}) | ln::pack(64) |
              ln::shuffle(42) | ln::batch(8);
  auto const result = ln::sweep(
      options, ln::axis<complete, width_alone>("scaling"), ln::axis<2, 4, 8, 16>("layers"), ln::rates(options.rates()),
      ln::seeds(options.seeds), [&](auto scaling, auto layers) {
        constexpr auto spec = model_of<decltype(layers)::value, decltype(scaling)::value>;
        auto rule = ln::clip_norm(1.0) | ln::adamw({.rate = 1e-3, .beta2 = 0.95}) | ln::decay(0.1, ln::times_rate);
        auto schedule = ln::warmup(20) | ln::cosine_to(0.1);
        return ln::trial(ln::Model<spec>{}, ln::scheduled(rule, schedule, ln::mup_groups(ln::times_rate)), data);
      });
  return judge_transfer(result, complete.name(), width_alone.name(), options.check);
}
