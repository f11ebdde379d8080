// SPDX-License-Identifier: Apache-2.0
#include "lierne/mesh/redistribute.hpp"

#include "lierne/mesh/mesh.hpp"
#include "lierne/tensor/autograd.hpp"
#include "lierne/tensor/generator.hpp"
#include "processes.hpp"

using namespace lierne;

static_assert(lierne::detail::redistributes<Sharded<1>, Replicated>);
static_assert(!lierne::detail::redistributes<Sharded<0>, Sharded<1>>);
static_assert(!lierne::detail::redistributes<Sharded<0>, Partial>);
static_assert(!lierne::detail::redistributes<Replicated, Partial>);
static_assert(!lierne::detail::redistributes<Replicated, Invariant>);
static_assert(!lierne::detail::redistributes<Invariant, Partial>);

namespace {

// The mathematics of one process, for each placement: what a rank holds of a whole value, how the ranks' parts give the
// whole back, and what a rank holds of the whole value's gradient. Nothing here communicates.

Tensor random(std::uint64_t seed, Shape const& shape) {
  auto generator = make_generator(seed);
  return at::empty(shape, at::TensorOptions().dtype(float64)).normal_(0, 1, generator);
}

/// A placement as one process simulates it. `split`: the parts of all ranks of a value.
template <class P>
struct Simulated {
  static std::vector<Tensor> split(Tensor const& whole, int ranks) { return std::vector<Tensor>(ranks, whole); }
};
template <int dim>
struct Simulated<Sharded<dim>> {
  static std::vector<Tensor> split(Tensor const& whole, int ranks) {
    auto const parts = whole.chunk(ranks, dim);
    return {parts.begin(), parts.end()};
  }
};
template <>
struct Simulated<Partial> {
  static std::vector<Tensor> split(Tensor const& whole, int ranks) {
    std::vector<Tensor> parts;
    auto rest = whole;
    for (int rank = 1; rank < ranks; ++rank) {
      parts.push_back(random(100 + static_cast<std::uint64_t>(rank), whole.sizes().vec()));
      rest = rest - parts.back();
    }
    parts.push_back(rest);
    return parts;
  }
};

/// What every rank's loss multiplies its part with: ranks that do the same work (Invariant) share it.
template <class To>
std::vector<Tensor> weights(std::vector<Tensor> const& parts) {
  std::vector<Tensor> all;
  for (std::size_t rank = 0; rank < parts.size(); ++rank) {
    auto const seed = std::same_as<To, Invariant> ? 7 : 7 + rank;
    all.push_back(random(seed, parts[rank].sizes().vec()));
  }
  return all;
}

/// How the ranks' inputs and gradients lie in memory: that must not show.
enum class Layout { plain, transposed, different };

template <class From, class To>
void check_pair(Group const& group, Shape const& shape, Layout layout) {
  int const ranks = group.size();
  auto const me = static_cast<std::size_t>(group.rank());
  bool const transposed = layout == Layout::transposed || (layout == Layout::different && me == 1);

  // One process: the parts of the input are leaves, the value is rebuilt from them, the loss is the sum of what the
  // ranks' losses are (once, where they all do the same work).
  auto const value = random(1, shape);
  std::vector<Tensor> leaves;
  for (auto const& part : Simulated<From>::split(value, ranks)) leaves.push_back(part.clone().requires_grad_());
  auto const one = value.clone().requires_grad_();
  Tensor whole;
  if constexpr (requires { From::dim; }) {
    whole = at::cat(leaves, From::dim);
  } else if constexpr (std::same_as<From, Partial>) {
    whole = at::stack(leaves).sum(0);
  } else {
    whole = one;
  }
  auto const outputs = Simulated<To>::split(whole, ranks);
  auto const by = weights<To>(outputs);
  Tensor loss = at::zeros({}, float64);
  for (std::size_t rank = 0; rank < outputs.size(); ++rank) {
    if (rank == 0 || !std::same_as<To, Invariant>) loss = loss + (outputs[rank] * by[rank]).square().sum();
  }
  backward(loss);

  // The ranks.
  auto input = leaves[me].detach().clone();
  if (transposed) input = input.transpose(0, 1).contiguous().transpose(0, 1);
  input.requires_grad_();
  auto const output = redistribute<To>(Placed<From>{input}, group).local;
  CHECK(output.sizes() == outputs[me].sizes());
  CHECK((output - outputs[me]).abs().max().template item<double>() <= 1e-13);
  auto seen = (output * by[me]).square().sum();
  if (transposed) seen = (output.transpose(0, 1) * by[me].transpose(0, 1)).square().sum();
  backward(seen);

  Tensor expected;
  if constexpr (std::same_as<From, Replicated>) {
    // A summand each: their sum is the gradient.
    auto total = input.grad().clone();
    group.sum(total);
    CHECK((total - one.grad()).abs().max().template item<double>() <= 1e-12);
  } else {
    expected = std::same_as<From, Invariant> ? one.grad() : leaves[me].grad();
    CHECK((input.grad() - expected).abs().max().template item<double>() <= 1e-12);
  }
  CHECK(input.grad().sizes() == input.sizes());
}

template <class From, class To>
void check_pair(Group const& group) {
  int const n = group.size();
  for (auto const layout : {Layout::plain, Layout::transposed, Layout::different}) {
    CAPTURE(static_cast<int>(layout));
    check_pair<From, To>(group, {2 * n, 3 * n, n}, layout);
    check_pair<From, To>(group, {n, n, 5 * n}, layout);
  }
}

template <int dim>
void check_sharded(Group const& group) {
  CAPTURE(dim);
  check_pair<Sharded<dim>, Replicated>(group);
  check_pair<Sharded<dim>, Invariant>(group);
  check_pair<Partial, Sharded<dim>>(group);
  check_pair<Replicated, Sharded<dim>>(group);
  check_pair<Invariant, Sharded<dim>>(group);
}

}  // namespace

TEST_CASE("rank: every pair" * doctest::skip()) {
  Mesh const mesh = join(Plan{.tensor = std::max(1, Launch::from_environment().world)}, Launch::from_environment());
  auto const& group = mesh[Axis::tensor];
  check_sharded<0>(group);
  check_sharded<1>(group);
  check_sharded<2>(group);
  check_pair<Partial, Invariant>(group);
  check_pair<Partial, Replicated>(group);
  check_pair<Invariant, Replicated>(group);
  auto const x = at::ones({4, 5});
  CHECK(redistribute<Replicated>(Placed<Replicated>{x}, group).local.is_same(x));
  CHECK(redistribute<Invariant>(Placed<Invariant>{x}, group).local.is_same(x));
  CHECK(redistribute<Partial>(Placed<Partial>{x}, group).local.is_same(x));
  CHECK(redistribute<Sharded<1>>(Placed<Sharded<1>>{x}, group).local.is_same(x));
}

TEST_CASE("rank: shapes that do not divide" * doctest::skip()) {
  Mesh const mesh = join(Plan{.tensor = 2}, Launch::from_environment());
  auto const& group = mesh[Axis::tensor];
  auto const x = at::ones({4, 5});
  auto const refused = doctest::Contains("expected dimension 1 of [4, 5] to be a multiple of 2");
  CHECK_THROWS_WITH_AS(redistribute<Sharded<1>>(Placed<Replicated>{x}, group), refused, ShapeError);
  CHECK_THROWS_WITH_AS(redistribute<Sharded<1>>(Placed<Invariant>{x}, group), refused, ShapeError);
  CHECK_THROWS_WITH_AS(redistribute<Sharded<1>>(Placed<Partial>{x}, group), refused, ShapeError);
  group.barrier();  // the refusals sent nothing
}

TEST_CASE("rank: without a graph" * doctest::skip()) {
  Mesh const mesh = join(Plan{.tensor = 2}, Launch::from_environment());
  auto const& group = mesh[Axis::tensor];
  auto const x = at::full({2, 2}, 1.0 + group.rank()).requires_grad_();
  NoGrad guard;
  auto const sum = redistribute<Invariant>(Placed<Partial>{x}, group).local;
  CHECK_FALSE(sum.requires_grad());
  CHECK(sum.equal(at::full({2, 2}, 3.0)));
  CHECK(x.equal(at::full({2, 2}, 1.0 + group.rank())));
}

TEST_CASE("every pair of the table has the values and gradients of one process") {
  SUBCASE("2") { processes::run("rank: every pair", 2); }
  SUBCASE("3") { processes::run("rank: every pair", 3); }
}

TEST_CASE("alone every pair is the identity") {
  Group const group;
  auto const x = at::ones({3, 5});
  CHECK(redistribute<Replicated>(Placed<Sharded<1>>{x}, group).local.is_same(x));
  CHECK(redistribute<Sharded<1>>(Placed<Partial>{x}, group).local.is_same(x));
  CHECK(redistribute<Replicated>(Placed<Invariant>{x}, group).local.is_same(x));
}

TEST_CASE("no graph is needed") { processes::run("rank: without a graph", 2); }

TEST_CASE("a dimension that the axis does not divide is refused") {
  processes::run("rank: shapes that do not divide", 2);
}
