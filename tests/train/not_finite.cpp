// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/not_finite.hpp"

#include <limits>

#include "train/small.hpp"

using namespace lierne;

namespace {

constexpr auto two_layers = with(small::spec, field<"layers">(2));

struct Fixture {
  std::unique_ptr<Trainable> model = std::make_unique<lierne::detail::TrainableModel<Model<two_layers>>>(Model<two_layers>{});
  Batch batch;
  Mesh mesh{};
  Fixture() {
    model->init({.seed = 3}, mesh);
    auto data = small::data();
    batch = data.next();
  }
  std::string first() { return first_not_finite(*model, batch.tokens, batch.labels, 64); }
  Tensor weight(std::string const& name) {
    for (auto* p : model->parameters()) {
      if (p->name == name) return p->owned.detach();
    }
    FAIL("no weight " << name);
    return {};
  }
};

}  // namespace

TEST_CASE("of a model that is finite nothing is named") { CHECK(Fixture().first().empty()); }

TEST_CASE("the first weight that is not finite is named") {
  Fixture f;
  f.weight("layers.1.feed_forward.w2.weight")[0][3] = std::numeric_limits<double>::infinity();
  CHECK(f.first() == "weight 'layers.1.feed_forward.w2.weight'");
  f.weight("layers.0.attention.wk.weight")[1][1] = std::nan("");
  CHECK(f.first() == "weight 'layers.0.attention.wk.weight'");
}

TEST_CASE("the first activation that overflows is named where all weights are finite") {
  Fixture f;
  f.weight("layers.1.feed_forward.w3.weight").mul_(1e8);
  f.weight("layers.1.feed_forward.w2.weight").fill_(3e38);
  CHECK(f.first() == "activation 'layers.1.feed_forward'");
}

TEST_CASE("the first gradient that is not finite is named, in the order of the parameters") {
  Fixture f;
  CHECK(first_gradient_not_finite(f.model->parameters()).empty());
  backward(f.model->loss(f.batch.tokens, f.batch.labels, 64));
  CHECK(first_gradient_not_finite(f.model->parameters()).empty());
  for (auto* p : f.model->parameters()) {
    if (p->name == "norm.weight" || p->name == "layers.1.attention.wo.weight") p->owned.mutable_grad().detach().flatten()[0] = std::nan("");
  }
  CHECK(first_gradient_not_finite(f.model->parameters()) == "gradient of 'layers.1.attention.wo.weight'");
}
