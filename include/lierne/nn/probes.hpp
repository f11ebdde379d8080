// SPDX-License-Identifier: Apache-2.0
// Probes: what the activations and attention logits of a model are like, measured every few steps.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "lierne/mesh/group.hpp"
#include "lierne/nn/any_model.hpp"
#include "lierne/nn/observer.hpp"

namespace lierne {

/// What is summed over the elements of an activation, on all ranks.
struct ActivationSums {
  double count = 0;
  double sum = 0;
  double square = 0;
  double cube = 0;    ///< of statistics with `powers` 4, as the next
  double fourth = 0;
  double largest = -std::numeric_limits<double>::infinity();  ///< of |x|
};

/// Satisfied if and only if `S` computes a number, under a key, from sums of powers up to `S::powers`, 2 or 4.
/// Satisfied by `ActivationRms`, `ActivationMax`, `ActivationKurtosis`, and by your own that are written like them.
template <class S>
concept ActivationStatistic = requires(ActivationSums const& sums) {
  { S::key } -> std::convertible_to<char const*>;
  { S::of(sums) } -> std::convertible_to<double>;
  requires S::powers == 2 || S::powers == 4;
};

/// √(mean x²). Key: `activation/SITE/rms`.
struct ActivationRms {
  static constexpr char const* key = "rms";
  static constexpr int powers = 2;
  static double of(ActivationSums const& sums) { return std::sqrt(sums.square / sums.count); }
};

/// max |x|. Key: `activation/SITE/max`.
struct ActivationMax {
  static constexpr char const* key = "max";
  static constexpr int powers = 2;
  static double of(ActivationSums const& sums) { return sums.largest; }
};

/// mean (x - µ)⁴ / (mean (x - µ)²)², with µ = mean x over all elements: 3 for normal values, large where few elements
/// are much larger than the others; 0 where all are equal. Key: `activation/SITE/kurtosis`.
/// Numerics: from power sums in float64, so about (µ/σ)⁴ · 1e-16 is lost.
struct ActivationKurtosis {
  static constexpr char const* key = "kurtosis";
  static constexpr int powers = 4;
  static double of(ActivationSums const& sums);
};

/// The largest logit of attention, before the softmax, over batch, heads and the keys that the mask lets be seen. Key:
/// `attention_logit/SITE/max`. Only layers that show their queries and keys have one.
struct AttentionLogitMax {};

struct ProbeSettings {
  std::int64_t every = 10;  ///< steps 10, 20 ... of the run are measured; 0 or less: none
};

/// Probes without their statistics: gathers the sums of a step's forward passes.
class AnyProbes : public Observer {
 public:
  /// Whether the step after `finished` steps is measured.
  bool due(std::int64_t finished) const { return settings_.every > 0 && (finished + 1) % settings_.every == 0; }

  void activation(std::string const& site, Tensor const& x) override;
  void attention(std::string const& site, Tensor const& q, Tensor const& k, kernel::VisibleKeys const& visible,
                 double scale) override;

  /// The numbers of all that was seen since the last call, on all ranks; each of them must call it. One sum and one
  /// gather, of a few numbers a site; a device is read once.
  std::map<std::string, double> metrics(Group const& ranks);

 protected:
  AnyProbes(ProbeSettings settings, int powers, bool logits) : settings_(settings), powers_(powers), logits_(logits) {}
  using Metrics = std::map<std::string, double>;
  virtual void write(std::string const& site, ActivationSums const& sums, Metrics& metrics) const = 0;

 private:
  struct Site {
    std::string name;
    double count = 0;
    Tensor sums{};     // Σx, Σx², Σx³, Σx⁴
    Tensor largest{};  // of |x|, or of the logits
  };
  static void add(std::vector<Site>& sites, Site const& seen);

  ProbeSettings settings_;
  int powers_;  // 0: no statistic of activations
  bool logits_;
  std::vector<Site> activations_{}, attentions_{};
};

/// Probes of chosen statistics. `probes` makes them.
template <class... Statistics>
class Probes final : public AnyProbes {
  static_assert(sizeof...(Statistics) > 0, "probes: name what is to be measured (write probes<ActivationRms>())");
  template <class S>
  static constexpr bool fits = ActivationStatistic<S> || std::same_as<S, AttentionLogitMax>;
  static_assert((fits<Statistics> && ...),
                "probes: each argument must be ActivationRms, ActivationMax, ActivationKurtosis, AttentionLogitMax, or "
                "a statistic of your own (see ActivationStatistic)");

 public:
  explicit Probes(ProbeSettings settings)
      : AnyProbes(settings, std::max({0, powers<Statistics>()...}),
                  (std::same_as<Statistics, AttentionLogitMax> || ...)) {}

 private:
  template <class S>
  static constexpr int powers() {
    if constexpr (ActivationStatistic<S>) return S::powers;
    return 0;
  }
  template <class S>
  static void write_one(std::string const& site, ActivationSums const& sums, AnyProbes::Metrics& metrics) {
    if constexpr (ActivationStatistic<S>) metrics["activation/" + site + "/" + S::key] = S::of(sums);
  }
  void write(std::string const& site, ActivationSums const& sums, AnyProbes::Metrics& metrics) const override {
    (write_one<Statistics>(site, sums, metrics), ...);
  }
};

/// Example: `probes<ActivationRms, ActivationKurtosis, AttentionLogitMax>({.every = 100})`.
template <class... Statistics>
Probes<Statistics...> probes(ProbeSettings settings = {}) {
  return Probes<Statistics...>(settings);
}

/// A model with probes: what the model is, and what looks at it. `model | probes<...>()` makes it. A step in which
/// nothing is measured runs the model's own forward pass.
template <class M, class P>
class Probed : public M {
 public:
  Probed(M model, P probes) : M(std::move(model)), probes_(std::move(probes)) {}
  AnyProbes& probes() { return probes_; }

 private:
  P probes_;
};

/// Example: `Trainer trainer{Model<gpt>{} | probes<ActivationRms, AttentionLogitMax>({.every = 100}), rule, options};`
template <std::derived_from<AnyModel> M, class... Statistics>
Probed<M, Probes<Statistics...>> operator|(M model, Probes<Statistics...> probes) {
  return {std::move(model), std::move(probes)};
}

}  // namespace lierne

#if LIERNE_BODIES
#include "lierne/nn/kernel/largest_logit.hpp"
#include "lierne/nn/kernel/power_sums.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

LIERNE_INLINE double ActivationKurtosis::of(ActivationSums const& sums) {
  double const n = sums.count, mean = sums.sum / n, square = sums.square / n, cube = sums.cube / n;
  double const variance = square - mean * mean;
  double const fourth = sums.fourth / n - 4 * mean * cube + 6 * mean * mean * square - 3 * mean * mean * mean * mean;
  return variance <= 0 ? 0 : fourth / (variance * variance);
}

LIERNE_INLINE void AnyProbes::add(std::vector<Site>& sites, Site const& seen) {
  auto site = std::find_if(sites.begin(), sites.end(), [&](Site const& other) { return other.name == seen.name; });
  if (site == sites.end()) {
    sites.push_back(seen);
    return;
  }
  site->count += seen.count;
  site->sums = site->sums + seen.sums;
  site->largest = at::maximum(site->largest, seen.largest);
}

LIERNE_INLINE void AnyProbes::activation(std::string const& site, Tensor const& x) {
  if (powers_ == 0) return;
  auto const found = kernel::power_sums(x, powers_);
  add(activations_, {site, static_cast<double>(x.numel()), found.narrow(0, 0, 4), found[4]});
}

LIERNE_INLINE void AnyProbes::attention(std::string const& site, Tensor const& q, Tensor const& k,
                                        kernel::VisibleKeys const& visible, double scale) {
  if (!logits_) return;
  auto const largest = kernel::largest_logit(q, k, visible, scale);
  add(attentions_, {site, 0, at::zeros({4}, largest.options()), largest});
}

LIERNE_INLINE std::map<std::string, double> AnyProbes::metrics(Group const& ranks) {
  auto const activations = std::exchange(activations_, {}), attentions = std::exchange(attentions_, {});
  std::map<std::string, double> found;
  if (activations.empty() && attentions.empty()) return found;
  std::vector<Tensor> sums, maxima;
  std::vector<double> counts;
  for (auto const* sites : {&activations, &attentions}) {
    for (auto const& site : *sites) {
      sums.push_back(site.sums);
      maxima.push_back(site.largest);
      counts.push_back(site.count);
    }
  }
  auto const device = maxima.front().device();
  auto const count = at::tensor(counts, at::TensorOptions().dtype(float64)).to(device);
  auto all = at::cat({count.unsqueeze(1), at::stack(sums)}, 1).contiguous();
  ranks.sum(all);
  auto const largest = ranks.gather(at::stack(maxima).unsqueeze(0)).amax(0, /*keepdim=*/true);
  all = at::cat({all, largest.t()}, 1).cpu().contiguous();
  auto const* row = all.const_data_ptr<double>();
  for (auto const& site : activations) {
    ActivationSums const over_ranks{row[0], row[1], row[2], row[3], row[4], row[5]};
    write(site.name, over_ranks, found);
    row += 6;
  }
  for (auto const& site : attentions) {
    found["attention_logit/" + site.name + "/max"] = row[5];
    row += 6;
  }
  return found;
}

}  // namespace lierne
#endif
