// SPDX-License-Identifier: Apache-2.0
// Mixtures of experts against one feed-forward with as many active parameters, on one text:
// `06_moe --out runs/moe --seeds 3`.
#include <lierne/lierne.hpp>
#include <lierne/sweep/sweep.hpp>

#include <CLI/CLI.hpp>

namespace ln = lierne;

constexpr ln::SwiGlu one{.hidden = 384};
// A token meets the shared expert and `top_k` others, 384 hidden units in all.
constexpr ln::Moe eight{.experts = 8, .hidden = 192};
constexpr ln::Moe sixteen{.experts = 16, .top_k = 3, .hidden = 96};
// The other ways to keep experts busy: Switch's loss, and nothing.
constexpr ln::Moe by_loss{.experts = 8, .balance = 0, .auxiliary = 0.01, .hidden = 192};
constexpr ln::Moe unbalanced{.experts = 8, .balance = 0, .hidden = 192};

constexpr ln::Decoder base{.layers = 2, .width = 128, .vocab = 4096, .mixer = ln::Attention{.heads = 4}, .channel = one};

constexpr auto routers = [](ln::Moe moe) { return std::int64_t{base.layers} * moe.experts * base.width; };
static_assert(ln::active_parameters(ln::with(base, eight)) == ln::active_parameters(base) + routers(eight));
static_assert(ln::active_parameters(ln::with(base, sixteen)) == ln::active_parameters(base) + routers(sixteen));

int main(int argc, char** argv) {
  ln::SweepOptions options;
  options.steps = 300;
  options.validate_every = 0;
  std::int64_t seeds = 2;
  CLI::App app{"compares mixtures of experts with one feed-forward of as many active parameters"};
  options.add_to(app);
  app.add_option("--seeds", seeds, "runs of each variant and rate, each from other first weights")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  auto data = ln::text(options.data, std::filesystem::path(options.tokenizer), {.validation = 0.01}) | ln::pack(128) |
              ln::shuffle(42) | ln::batch(8);
  ln::sweep(options, ln::axis<one, eight, sixteen, by_loss, unbalanced>("channel"), ln::rates({2e-3, 4e-3}),
            ln::seeds(seeds), [&](auto channel) {
              auto rule = ln::clip_norm(1.0) | ln::adamw({.rate = 3e-3, .beta2 = 0.95}) | ln::decay(0.1, ln::times_rate);
              return ln::trial(ln::Model<ln::with(base, channel())>{},
                               ln::scheduled(rule, ln::warmup(20) | ln::cosine_to(0.1)), data);
            });
}
