// SPDX-License-Identifier: Apache-2.0
// A rate tuned on a small model holds for a wide one under muP, and does not otherwise: `07_mup_transfer --out runs/mup`.
#include <lierne/lierne.hpp>
#include <lierne/sweep/sweep.hpp>

#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdio>
#include <map>

namespace ln = lierne;

constexpr int base_width = 64, head_size = 16;

// Widths as pieces of structure: heads of one size, more of them in wider models.
template <int width, ln::Piece Scaling>
constexpr auto model_of(Scaling scaling) {
  return ln::Decoder{.layers = 2, .width = width, .vocab = 4096, .mixer = ln::Attention{.heads = width / head_size},
                     .channel = ln::SwiGlu{.hidden = 3 * width}, .scaling = scaling};
}
template <auto spec>
auto groups_of() {
  if constexpr (requires { spec.scaling.base_width; }) return ln::mup_groups(ln::times_rate, spec).groups;
  else return ln::groups(ln::otherwise());
}

int main(int argc, char** argv) {
  ln::SweepOptions options;
  options.steps = 500;
  options.validate_every = 0;
  std::int64_t seeds = 1;
  int lowest = -11, highest = -4;
  bool check = false;
  CLI::App app{"trains widths 64 to 512 at a grid of rates, under muP and the standard parametrisation"};
  options.add_to(app);
  app.add_option("--seeds", seeds, "runs of each cell, from other first weights")->capture_default_str();
  app.add_option("--lowest", lowest, "log2 of the lowest rate")->capture_default_str();
  app.add_option("--highest", highest, "log2 of the highest rate")->capture_default_str();
  app.add_flag("--check", check, "end with an error unless the rate transfers under muP, and moves otherwise");
  CLI11_PARSE(app, argc, argv);

  std::vector<double> rates;
  for (int log2 = lowest; log2 <= highest; ++log2) rates.push_back(std::exp2(log2));
  auto data = ln::text(options.data, std::filesystem::path(options.tokenizer), {.validation = 0.01}) | ln::pack(64) |
              ln::shuffle(42) | ln::batch(8);
  auto const result = ln::sweep(
      options, ln::axis<ln::MuP{.base_width = base_width}, ln::Standard{}>("scaling"), ln::axis<64, 128, 256, 512>("width"),
      ln::rates(rates), ln::seeds(seeds), [&](auto scaling, auto width) {
        constexpr auto spec = model_of<decltype(width)::value>(decltype(scaling)::value);
        auto rule = ln::clip_norm(1.0) | ln::adamw({.rate = 1e-3, .beta2 = 0.95}) | ln::decay(0.1, ln::times_rate);
        return ln::trial(ln::Model<spec>{}, ln::scheduled(rule, ln::warmup(20) | ln::cosine_to(0.1), groups_of<spec>()), data);
      });

  std::map<std::string, std::map<int, ln::RateFit>> fits;
  for (auto const& variant : result.summary.variants) {
    fits[variant.settings[0].value][std::stoi(variant.settings[1].value)] = ln::fit_rates(variant);
  }
  std::printf("\nwhere the parabola through the final training losses is lowest:\n");
  std::map<std::string, double> shift, lost;
  bool all_inside = true;
  for (auto const& [scaling, by_width] : fits) {
    for (auto const& [width, fit] : by_width) {
      std::printf("%-10s width %4d  rate 2^%+.2f  loss %.4f%s\n", scaling.c_str(), width, fit.log2_rate, fit.loss,
                  fit.inside ? "" : "  (at the edge of the grid)");
      all_inside = all_inside && fit.inside;
    }
    auto const &narrow = by_width.begin()->second, &wide = by_width.rbegin()->second;
    shift[scaling] = wide.log2_rate - narrow.log2_rate;
    lost[scaling] = wide.at(narrow.log2_rate) / wide.best_loss() - 1;
    std::printf("%-10s shift %+.2f octaves; the narrow model's rate costs the wide one %+.2f %%\n", scaling.c_str(),
                shift[scaling], 100 * lost[scaling]);
  }
  if (!check) return 0;
  bool const transfers = std::abs(shift["mup 64"]) <= 0.5 && lost["mup 64"] <= 0.005;
  bool const moves = std::abs(shift["standard"]) >= 1.5;
  std::printf("muP: shift at most 0.5 octave and loss at most 0.5 %%: %s; standard: shift at least 1.5 octaves: %s; grid: %s\n",
              transfers ? "held" : "NOT HELD", moves ? "held" : "NOT HELD", all_inside ? "wide enough" : "TOO NARROW");
  return transfers && moves && all_inside ? 0 : 1;
}
