// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/observer.hpp"

#include <map>
#include <type_traits>

#include "lierne/nn/nn.hpp"
#include "nn/alone.hpp"

using namespace lierne;

// A forward pass that nobody observes carries nothing.
static_assert(std::is_empty_v<Unobserved> && std::is_empty_v<decltype(Unobserved::below("a"))>);
static_assert(!Unobserved::looks && Observed::looks);

namespace {

/// A mixer that takes no watch.
struct Shift {
  static constexpr Role role = Role::mixer;
  template <auto block>
  struct Layer {
    Parameter weight{.shape = {block.width}, .initial = Initial::ones()};
    static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
    Tensor operator()(Tensor const& x) const { return x.roll(1, 1) * weight(); }
  };
};

constexpr Decoder spec{.layers = 3,
                       .width = 16,
                       .vocab = 24,
                       .mixer = every<3>(Shift{}, Attention{.heads = 4, .kv_heads = 2}),
                       .channel = SwiGlu{.hidden = 20},
                       .precision = Float64{}};

struct Recorder : Observer {
  std::vector<std::string> order;
  std::map<std::string, Tensor> values;
  std::map<std::string, std::pair<Tensor, Tensor>> attentions;
  void activation(std::string const& site, Tensor const& x) override {
    order.push_back(site);
    values[site] = x;
    CHECK_FALSE(at::GradMode::is_enabled());
    CHECK_FALSE(x.requires_grad());
  }
  void attention(std::string const& site, Tensor const& q, Tensor const& k, kernel::VisibleKeys const& visible,
                 double scale) override {
    attentions[site] = {q, k};
    CHECK(visible.all());
    CHECK(scale == 0.5);
  }
};

Tensor tokens() { return at::arange(12, int64).remainder(24).view({2, 6}); }

std::map<std::string, Tensor> gradients(Model<spec>& model) {
  std::map<std::string, Tensor> all;
  model.walk([&](std::string const& name, Parameter& p) {
    all[name] = p.owned.grad();
    p.owned.mutable_grad().reset();
  });
  return all;
}

}  // namespace

TEST_CASE("every site is seen once, in the order of the forward pass, with the value that goes on") {
  Model<spec> model;
  model.init({.seed = 3});
  Recorder seen;
  auto const loss = model.loss(tokens(), tokens() + 1, 12, seen);
  CHECK(seen.order == std::vector<std::string>{
                          "tok_embeddings", "layers.0.attention", "layers.0.feed_forward", "layers.0",
                          "layers.1.attention", "layers.1.feed_forward", "layers.1", "layers.2.mixer",
                          "layers.2.feed_forward", "layers.2", "norm"});
  REQUIRE(seen.attentions.size() == 2);  // the mixer of layer 2 has none
  auto const& [q, k] = seen.attentions.at("layers.1.attention");
  CHECK(q.sizes() == at::IntArrayRef({2, 6, 4, 4}));
  CHECK(k.sizes() == at::IntArrayRef({2, 6, 2, 4}));
  for (int l = 0; l < 3; ++l) {
    CAPTURE(l);
    auto const at = [&](std::string const& site) { return seen.values.at(site); };
    auto const layer = "layers." + std::to_string(l);
    auto const before = l == 0 ? "tok_embeddings" : "layers." + std::to_string(l - 1);
    auto const mixed = at(before) + at(layer + (l == 2 ? ".mixer" : ".attention"));
    CHECK((mixed + at(layer + ".feed_forward") - at(layer)).abs().max().item<double>() <= 1e-14);
  }
}

TEST_CASE("looking changes no bit of loss and gradients") {
  Model<spec> model;
  model.init({.seed = 3});
  auto const plain = model.loss(tokens(), tokens() + 1, 12);
  backward(plain);
  auto const expected = gradients(model);
  Recorder seen;
  auto const observed = model.loss(tokens(), tokens() + 1, 12, seen);
  backward(observed);
  CHECK(observed.equal(plain));
  for (auto const& [name, gradient] : gradients(model)) CHECK(gradient.equal(expected.at(name)));
}

TEST_CASE("names go below names") {
  Recorder seen;
  Observed const root{&seen};
  root.below("layers.0").below("attention").see(at::ones({1}));
  CHECK(seen.order == std::vector<std::string>{"layers.0.attention"});
}
