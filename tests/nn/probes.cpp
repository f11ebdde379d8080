// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/probes.hpp"

#include <type_traits>

#include "lierne/nn/nn.hpp"
#include "nn/alone.hpp"

using namespace lierne;

namespace {

constexpr Decoder spec{.layers = 2,
                       .width = 16,
                       .vocab = 24,
                       .mixer = Attention{.heads = 4, .kv_heads = 2},
                       .position = every<2>(NoPosition{}, Rope{.base = 100}),
                       .channel = SwiGlu{.hidden = 20},
                       .precision = Float64{}};
using Everything = Probes<ActivationRms, ActivationMax, ActivationKurtosis, AttentionLogitMax>;

/// A statistic of the user's own.
struct ActivationMean {
  static constexpr char const* key = "mean";
  static constexpr int powers = 2;
  static double of(ActivationSums const& sums) { return sums.sum / sums.count; }
};

// What is not asked for is not there: a model without probes is the model, and what runs it knows of none.
static_assert(sizeof(Model<spec>) == sizeof(AnyModel));
static_assert(std::derived_from<decltype(Model<spec>{} | probes<ActivationRms>()), Model<spec>>);
static_assert(ActivationStatistic<ActivationMean> && !ActivationStatistic<AttentionLogitMax>);

Tensor tokens(std::int64_t from = 0) { return (at::arange(from, from + 14, int64) * 7).remainder(24).view({2, 7}); }

template <class M>
void backward_of(M& model, Tensor const& ids) {
  backward(model.loss(ids, (ids + 1).remainder(24), 14, model.probes()));
}

double rms(Tensor const& x) { return x.square().mean().sqrt().item<double>(); }
double kurtosis(Tensor const& x) {
  auto const d = x - x.mean();
  return (d.pow(4).mean() / d.square().mean().square()).item<double>();
}

/// Turns pairs of neighbours of each head by position / base^(2i/H), as complex numbers.
Tensor turned(Tensor const& x_BLNH, double base) {
  auto const size = x_BLNH.size(3), length = x_BLNH.size(1);
  auto const angle = at::outer(at::arange(length, float64), at::pow(base, -at::arange(0, size, 2, float64) / size));
  auto const turn = at::polar(at::ones_like(angle), angle).view({1, length, 1, size / 2});
  return at::view_as_real(at::view_as_complex(x_BLNH.unflatten(-1, {-1, 2}).contiguous()) * turn).flatten(-2);
}

struct Values : Observer {
  std::map<std::string, Tensor> values;
  void activation(std::string const& site, Tensor const& x) override { values[site] = x; }
};

}  // namespace

TEST_CASE("the numbers are those of the activations, computed plainly in float64") {
  auto model = Model<spec>{} | Everything({.every = 1});
  model.init({.seed = 3});
  std::map<std::string, Tensor> weights;
  model.walk([&](std::string const& name, Parameter& p) {
    NoGrad guard;
    p.owned.mul_(5);  // so that logits differ from one another by more than rounding
    weights[name] = p.owned.detach();
  });
  Values seen;
  model.loss(tokens(), tokens(), 14, seen);
  backward_of(model, tokens());
  auto const metrics = model.probes().metrics(Group{});
  CHECK(seen.values.size() == 8);
  CHECK(metrics.size() == 3 * 8 + 2);
  for (auto const& [site, x] : seen.values) {
    CAPTURE(site);
    auto const at = [&](char const* key) { return metrics.at("activation/" + site + "/" + key); };
    CHECK(at("rms") == doctest::Approx(rms(x)).epsilon(1e-13));
    CHECK(at("max") == x.abs().max().item<double>());
    CHECK(at("kurtosis") == doctest::Approx(kurtosis(x)).epsilon(1e-11));
  }
  bool mask_matters = false;
  for (int l = 0; l < 2; ++l) {
    auto const layer = "layers." + std::to_string(l);
    auto const h = seen.values.at(l == 0 ? "tok_embeddings" : "layers.0");
    auto const normed = h / (h.square().mean(-1, true) + 1e-5).sqrt() * weights.at(layer + ".attention_norm.weight");
    auto q = at::matmul(normed, weights.at(layer + ".attention.wq.weight").t()).unflatten(-1, {4, 4});
    auto k = at::matmul(normed, weights.at(layer + ".attention.wk.weight").t()).unflatten(-1, {2, 4});
    if (l == 0) q = turned(q, 100), k = turned(k, 100);
    auto const score = at::einsum("blnh,bsnh->bnls", {q, k.repeat_interleave(2, 2)}) / 2;
    auto const later = at::ones({7, 7}, at::kBool).triu(1);
    double const largest = score.masked_fill(later, -1e300).max().item<double>();
    mask_matters = mask_matters || score.max().item<double>() > largest;
    CHECK(metrics.at("attention_logit/" + layer + ".attention/max") == doctest::Approx(largest).epsilon(1e-13));
  }
  CHECK(mask_matters);
}

TEST_CASE("known activations have known statistics") {
  Everything probes({.every = 1});
  auto const x = at::tensor({1.0, -1.0, 1.0, -1.0}, float64);
  probes.activation("signs", x);
  probes.activation("shifted", x + 3);
  probes.activation("equal", at::full({6}, 0.5, float64));
  probes.activation("normal", alone::normal({400, 1000}, 5));
  probes.activation("one large", at::cat({at::zeros({999}, float64), at::full({1}, 10.0, float64)}));
  auto const metrics = probes.metrics(Group{});
  auto const at = [&](char const* key) { return metrics.at(std::string("activation/") + key); };
  CHECK(at("signs/rms") == 1);
  CHECK(at("signs/kurtosis") == 1);
  CHECK(at("shifted/rms") == doctest::Approx(std::sqrt(10)));
  CHECK(at("shifted/max") == 4);
  CHECK(at("shifted/kurtosis") == doctest::Approx(1).epsilon(1e-13));
  CHECK(at("equal/kurtosis") == 0);
  CHECK(std::abs(at("normal/kurtosis") - 3) <= 4 * std::sqrt(24 / 4e5));  // its deviation is √(24/n)
  CHECK(at("one large/kurtosis") == doctest::Approx(998.001).epsilon(1e-5));  // 1/p + 1/(1-p) - 3 for a share p
}

TEST_CASE("micro-batches add up to the whole batch, and each step starts anew") {
  auto model = Model<spec>{} | Everything({.every = 1});
  model.init({.seed = 3});
  auto const ids = at::cat({tokens(), tokens(5)});
  backward_of(model, ids);
  auto const whole = model.probes().metrics(Group{});
  for (int step = 0; step < 2; ++step) {
    backward_of(model, tokens());
    backward_of(model, tokens(5));
    auto const parts = model.probes().metrics(Group{});
    REQUIRE(parts.size() == whole.size());
    for (auto const& [key, value] : whole) {
      CAPTURE(key);
      CHECK(parts.at(key) == doctest::Approx(value).epsilon(1e-12));
    }
  }
  CHECK(model.probes().metrics(Group{}).empty());
}

TEST_CASE("only what is asked for is measured, only when it is due") {
  auto model = Model<spec>{} | probes<AttentionLogitMax>({.every = 3});
  model.init({.seed = 3});
  backward_of(model, tokens());
  CHECK(model.probes().metrics(Group{}).size() == 2);
  for (int finished = 0; finished < 9; ++finished) CHECK(model.probes().due(finished) == ((finished + 1) % 3 == 0));
  CHECK_FALSE(Probes<ActivationRms>({.every = 0}).due(9));
  CHECK_FALSE(Probes<ActivationRms>({.every = -1}).due(0));

  auto own = Model<spec>{} | probes<ActivationMean>();
  own.init({.seed = 3});
  backward_of(own, tokens());
  auto const metrics = own.probes().metrics(Group{});
  CHECK(metrics.size() == 8);
  CHECK(metrics.contains("activation/layers.1.feed_forward/mean"));
}

TEST_CASE("without a measured step the model's own pass runs, to the same bits") {
  Model<spec> plain;
  auto probed = Model<spec>{} | Everything({.every = 2});
  plain.init({.seed = 3});
  probed.init({.seed = 3});
  auto const expected = plain.loss(tokens(), tokens(), 14), found = probed.loss(tokens(), tokens(), 14);
  CHECK(found.equal(expected));
  CHECK(probed.loss(tokens(), tokens(), 14, probed.probes()).equal(expected));
  CHECK(probed.probes().metrics(Group{}).size() == 26);
  CHECK(probed.loss(tokens(), tokens(), 14).equal(expected));
  CHECK(probed.probes().metrics(Group{}).empty());
}

TEST_CASE("NaN is shown where it is") {
  auto model = Model<spec>{} | Everything({.every = 1});
  model.init({.seed = 3});
  model.walk([](std::string const& name, Parameter& p) {
    NoGrad guard;
    if (name == "layers.1.attention.wq.weight") p.owned[0][0] = std::nan("");
  });
  // LibTorch's SDPA, which serves float64, gives 0 for a NaN query of fewer keys than a vector of the processor has lanes.
  auto const ids = tokens().repeat({1, 4});
  backward(model.loss(ids, (ids + 1).remainder(24), 56, model.probes()));
  auto const metrics = model.probes().metrics(Group{});
  for (auto const& [key, value] : metrics) {
    CAPTURE(key);
    bool const after = key.find("layers.1") != std::string::npos || key.find("norm") != std::string::npos;
    CHECK(std::isnan(value) == after);
  }
}
