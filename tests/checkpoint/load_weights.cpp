// SPDX-License-Identifier: Apache-2.0
#include "lierne/checkpoint/load_weights.hpp"

#include "checkpoint/run.hpp"

using namespace run;

namespace {

SafeTensors file(Folder const& folder, NamedTensors const& tensors) {
  auto const path = (folder.path / "w.safetensors").string();
  write_safetensors(path, tensors);
  return SafeTensors::open(path);
}

}  // namespace

TEST_CASE("weights of equal names are copied bit for bit, in place, and the others are named") {
  Folder const folder("weights");
  auto const a = bits({3, 4}, float32, 1), b = bits({2}, bfloat16, 2);
  auto const from = file(folder, {{"a", a}, {"b", b}, {"old", bits({1}, float32, 3)}});
  auto leaf = at::zeros({4, 3}).t();  // not contiguous
  leaf.requires_grad_();
  auto const kept = at::ones({7});
  auto const to = at::zeros({2}, at::TensorOptions().dtype(bfloat16));
  auto const report = load_weights(from, {{"b", to}, {"a", leaf}, {"new", kept}});
  CHECK(report.kept == std::vector<std::string>{"b", "a"});
  CHECK(report.missing == std::vector<std::string>{"new"});
  CHECK(report.extra == std::vector<std::string>{"old"});
  CHECK(same(leaf.detach(), a));
  CHECK(same(to, b));
  CHECK(kept.equal(at::ones({7})));
  CHECK(load_weights(from, {{"a", leaf}, {"b", to}, {"old", at::zeros({1})}}).complete());
}

TEST_CASE("floating values are rounded once to the target's dtype") {
  Folder const folder("weights");
  auto const values = at::linspace(-3, 3, 100, at::TensorOptions().dtype(float64));
  auto const from = file(folder, {{"a", values}});
  for (Dtype const dtype : {float32, bfloat16, at::kHalf}) {
    auto const to = at::empty({100}, at::TensorOptions().dtype(dtype));
    load_weights(from, {{"a", to}});
    CHECK(same(to, values.to(dtype)));
  }
}

TEST_CASE("a shape or dtype that does not fit is an error, and nothing is copied") {
  Folder const folder("weights");
  auto const from = file(folder, {{"a", at::ones({2})}, {"b", at::ones({2, 3})}, {"n", at::ones({2}, at::TensorOptions().dtype(int64))}});
  auto const a = at::zeros({2});
  CHECK_THROWS_WITH_AS(load_weights(from, {{"a", a}, {"b", at::zeros({3, 2})}}),
                       (from.path() + ": tensor 'b': expected shape [3, 2], found [2, 3]").c_str(), ShapeError);
  CHECK_THROWS_WITH_AS(load_weights(from, {{"a", a}, {"b", at::zeros({6})}}), doctest::Contains("expected shape [6], found [2, 3]"), ShapeError);
  CHECK_THROWS_WITH_AS(load_weights(from, {{"a", a}, {"n", at::zeros({2})}}), doctest::Contains("expected dtype Float, found Long"), ShapeError);
  CHECK_THROWS_WITH_AS(load_weights(from, {{"a", a}, {"a", a}}), doctest::Contains("expected one target, found two"), ShapeError);
  CHECK(a.equal(at::zeros({2})));
}
