// SPDX-License-Identifier: Apache-2.0
// What the studies of transfer share, 07_mup_transfer of widths and 09_depth_transfer of depths: their options, and the
// table and the gate of where rates are best.
#pragma once

#include <lierne/sweep/sweep.hpp>

#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

struct TransferOptions : lierne::SweepOptions {
  std::int64_t seeds = 1;
  int lowest = -11, highest = -4;
  bool check = false;

  TransferOptions() {
    steps = 500;
    validate_every = 0;
  }

  void add_to(CLI::App& app) {
    SweepOptions::add_to(app);
    app.add_option("--seeds", seeds, "runs of each cell, from other first weights")->capture_default_str();
    app.add_option("--lowest", lowest, "log2 of the lowest rate")->capture_default_str();
    app.add_option("--highest", highest, "log2 of the highest rate")->capture_default_str();
    app.add_flag("--check", check, "end with an error unless the rate transfers under the rules, and moves in the control");
  }

  /// A grid by factors of two.
  std::vector<double> rates() const {
    std::vector<double> all;
    for (int log2 = lowest; log2 <= highest; ++log2) all.push_back(std::exp2(log2));
    return all;
  }
};

/// Prints where each size is best, and with `check` holds the rates of `rules` and of `control`, values of the first axis,
/// against the gate. The second axis is the size. The program's exit status.
inline int judge_transfer(lierne::SweepResult const& result, std::string const& rules, std::string const& control, bool check) {
  std::map<std::string, std::map<int, lierne::RateFit>> fits;
  for (auto const& variant : result.summary.variants) {
    fits[variant.settings[0].value][std::stoi(variant.settings[1].value)] = lierne::fit_rates(variant);
  }
  char const* const axis = result.summary.variants.front().settings[1].axis.c_str();
  std::printf("\nwhere the parabola through the final training losses is lowest:\n");
  std::map<std::string, double> shift, lost;
  bool all_inside = true;
  for (auto const& [scaling, by_size] : fits) {
    for (auto const& [size, fit] : by_size) {
      std::printf("%-10s %s %4d  rate 2^%+.2f  loss %.4f%s\n", scaling.c_str(), axis, size, fit.log2_rate, fit.loss,
                  fit.inside ? "" : "  (at the edge of the grid)");
      all_inside = all_inside && fit.inside;
    }
    auto const &small = by_size.begin()->second, &large = by_size.rbegin()->second;
    shift[scaling] = large.log2_rate - small.log2_rate;
    lost[scaling] = large.at(small.log2_rate) / large.best_loss() - 1;
    std::printf("%-10s shift %+.2f octaves; the smallest model's rate costs the largest one %+.2f %%\n", scaling.c_str(),
                shift[scaling], 100 * lost[scaling]);
  }
  if (!check) return 0;
  bool const transfers = std::abs(shift[rules]) <= 0.5 && lost[rules] <= 0.005;
  bool const moves = std::abs(shift[control]) >= 1.5;
  std::printf("%s: shift at most 0.5 octave and loss at most 0.5 %%: %s; %s: shift at least 1.5 octaves: %s; grid: %s\n",
              rules.c_str(), transfers ? "held" : "NOT HELD", control.c_str(), moves ? "held" : "NOT HELD",
              all_inside ? "wide enough" : "TOO NARROW");
  return transfers && moves && all_inside ? 0 : 1;
}
