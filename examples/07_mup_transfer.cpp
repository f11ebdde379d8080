// SPDX-License-Identifier: Apache-2.0
// A rate tuned on a small model holds for a wide one under muP, and does not otherwise: `07_mup_transfer --out runs/mup`.
#include <lierne/lierne.hpp>

#include "07_mup_transfer.hpp"

namespace ln = lierne;

constexpr int head_size = 16;
constexpr ln::MuP mup{.base_width = 64};

// Widths as pieces of structure: heads of one size, more of them in wider models. A norm follows the
// embedding, since N(0, 0.02²) drowns in what branches add.
template <int width, ln::Piece Scaling>
constexpr auto model_of(Scaling scaling) {
  return ln::Decoder{.layers = 2, .width = width, .vocab = 4096, .mixer = ln::Attention{.heads = width / head_size},
                     .channel = ln::SwiGlu{.hidden = 3 * width}, .scaling = scaling, .embedding_norm = true};
}

int main(int argc, char** argv) {
  TransferOptions options;
  CLI::App app{"trains widths 64 to 512 at a grid of rates, under muP and the standard parametrisation"};
  options.add_to(app);
  CLI11_PARSE(app, argc, argv);

  auto data = ln::text(options.data, std::filesystem::path(options.tokenizer), {.validation = 0.01}) | ln::pack(64) |
              ln::shuffle(42) | ln::batch(8);
  auto const result = ln::sweep(
      options, ln::axis<mup, ln::Standard{}>("scaling"), ln::axis<64, 128, 256, 512>("width"), ln::rates(options.rates()),
      ln::seeds(options.seeds), [&](auto scaling, auto width) {
        constexpr auto spec = model_of<decltype(width)::value>(decltype(scaling)::value);
        auto rule = ln::clip_norm(1.0) | ln::adamw({.rate = 1e-3, .beta2 = 0.95}) | ln::decay(0.1, ln::times_rate);
        auto schedule = ln::warmup(20) | ln::cosine_to(0.1);
        return ln::trial(ln::Model<spec>{}, ln::scheduled(rule, schedule, ln::mup_groups(ln::times_rate)), data);
      });
  return judge_transfer(result, mup.name(), ln::Standard{}.name(), options.check);
}
