// SPDX-License-Identifier: Apache-2.0
#include "lierne/mesh/group.hpp"

#include "lierne/mesh/mesh.hpp"
#include "lierne/tensor/generator.hpp"
#include "processes.hpp"

using namespace lierne;

namespace {

/// A tensor that is another on every rank and in every element, exact in every dtype below.
Tensor values_of(int rank, Shape const& shape, Dtype dtype) {
  return (at::arange(elements(shape), at::TensorOptions().dtype(float64)).view(shape) + 10 * rank).to(dtype);
}

template <class Make>
std::vector<Tensor> for_ranks(int size, Make make) {
  std::vector<Tensor> all;
  for (int rank = 0; rank < size; ++rank) all.push_back(make(rank));
  return all;
}

}  // namespace

TEST_CASE("alone every collective is the identity") {
  Group const group;
  CHECK(group.alone());
  CHECK(group.rank() == 0);
  CHECK(group.size() == 1);
  auto const x = at::arange(6).view({2, 3});
  auto const same = x.clone();
  group.sum(x);
  group.broadcast(x);
  group.barrier();
  CHECK(x.equal(same));
  CHECK(group.gather(x).equal(same));
  CHECK(group.reduce_scatter(x).equal(same));
}

TEST_CASE("rank: collectives" * doctest::skip()) {
  Mesh const mesh = join(Plan{.replicate = rest}, Launch::from_environment());
  auto const& group = mesh.all();
  int const n = group.size();
  CHECK_FALSE(group.alone());
  CHECK(group.rank() == Launch::from_environment().rank);
  for (auto const dtype : {float32, float64, bfloat16, int64}) {
    CAPTURE(at::toString(dtype));
    auto const make = [&](int rank) { return values_of(rank, {2 * n, 3}, dtype); };
    auto const all = at::stack(for_ranks(n, make));
    auto const mine = make(group.rank());

    auto x = mine.clone();
    group.sum(x);
    CHECK(x.equal(all.sum(0, false, dtype)));

    x = mine.clone();
    group.broadcast(x);
    CHECK(x.equal(all[0]));

    CHECK(group.gather(mine).equal(all.flatten(0, 1)));
    CHECK(group.gather(mine.t()).equal(at::cat(for_ranks(n, [&](int r) { return make(r).t(); }), 0)));
    CHECK(group.reduce_scatter(mine).equal(all.sum(0, false, dtype).narrow(0, 2 * group.rank(), 2)));
    CHECK(mine.equal(make(group.rank())));  // untouched
  }
  group.barrier();
}

TEST_CASE("rank: sums are bitwise equal on every rank" * doctest::skip()) {
  Mesh const mesh = join(Plan{.replicate = rest}, Launch::from_environment());
  auto const& group = mesh.all();
  auto generator = make_generator(static_cast<std::uint64_t>(group.rank()));
  for (auto const dtype : {float32, bfloat16}) {
    auto x = at::empty({10007}, at::TensorOptions().dtype(float32)).normal_(0, 1, generator).to(dtype);
    group.sum(x);
    auto first = x.clone();
    group.broadcast(first);
    CHECK(first.equal(x));
  }
}

TEST_CASE("rank: collectives refuse what they cannot cut" * doctest::skip()) {
  Mesh const mesh = join(Plan{.replicate = rest}, Launch::from_environment());
  auto const& group = mesh.all();
  CHECK_THROWS_WITH_AS(group.reduce_scatter(at::ones({2 * group.size() + 1, 3})),
                       doctest::Contains("to be a multiple of"), ShapeError);
  CHECK_THROWS_AS(group.reduce_scatter(at::scalar_tensor(1)), ShapeError);
  CHECK_THROWS_WITH_AS(group.gather(at::scalar_tensor(1)), doctest::Contains("found a scalar"), ShapeError);
  group.barrier();  // the refusals sent nothing
}

TEST_CASE("collectives equal the sums and joins of the ranks' tensors") {
  SUBCASE("2") { processes::run("rank: collectives", 2); }
  SUBCASE("3") { processes::run("rank: collectives", 3); }
}

TEST_CASE("every rank sees the same sum") { processes::run("rank: sums are bitwise equal on every rank", 3); }

TEST_CASE("shapes that cannot be cut are refused") {
  processes::run("rank: collectives refuse what they cannot cut", 2);
}
