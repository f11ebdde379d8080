// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/trainable.hpp"

#include "train/small.hpp"

using namespace lierne;

TEST_CASE("a model behind the interface is the model") {
  lierne::detail::TrainableModel wrapped{Model<small::spec>{}};
  Trainable& model = wrapped;
  Mesh const mesh;
  model.init({.seed = 3}, mesh);
  Model<small::spec> bare;
  bare.init({.seed = 3});
  auto const tokens = at::arange(8).reshape({1, 8});
  CHECK(model.logits(tokens).equal(bare.forward(tokens)));
  CHECK(model.loss(tokens, tokens, 8).equal(bare.loss(tokens, tokens, 8)));
  CHECK(model.parameters().size() == bare.parameters().size());
  CHECK(model.vocab() == 4096);
  std::int64_t counted = 0;
  for (auto const* p : model.parameters()) counted += p->owned.numel();
  CHECK(model.parameter_count() == counted);
  CHECK(model.flops_per_token(16) == flops_per_token(small::spec, 16));
  CHECK(model.name() == name(small::spec));
}

TEST_CASE("a stream behind the interface is the stream") {
  auto data = small::data(), same = small::data();
  lierne::detail::StreamBatches batches(data);
  CHECK(batches.next().tokens.equal(same.next().tokens));
  CHECK(batches.length() == 16);
  CHECK(batches.batch_size() == 4);
  auto const held_out = same.validation();
  REQUIRE(batches.validation_size() == held_out.size());
  CHECK(batches.validation(0).labels.equal(held_out[0].labels));
}
