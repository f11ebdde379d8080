// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/generator.hpp"

#include <doctest/doctest.h>

#include "lierne/tensor/tensor.hpp"

using namespace lierne;

namespace {

Tensor draw(Generator generator, std::int64_t n) { return at::empty({n}, float64).uniform_(0, 1, generator); }

}  // namespace

TEST_CASE("the generator is PyTorch's after manual_seed") {
  // The first outputs of the Mersenne twister mt19937 for the seed 5489, the standard's own check (C++ [rand.predef]:
  // the 10000th is 4123659995).
  auto const generator = make_generator(5489);
  auto* engine = at::check_generator<at::CPUGeneratorImpl>(generator);
  std::uint32_t last = 0;
  for (int i = 0; i < 10000; ++i) last = engine->random();
  CHECK(last == 4123659995U);

  auto global = at::globalContext().defaultGenerator(at::kCPU);
  global.set_current_seed(1234);
  CHECK(draw(make_generator(1234), 100).equal(draw(global, 100)));
}

TEST_CASE("equal seeds give equal streams, different seeds different ones") {
  CHECK(draw(make_generator(7), 50).equal(draw(make_generator(7), 50)));
  CHECK_FALSE(draw(make_generator(7), 50).equal(draw(make_generator(8), 50)));
}

TEST_CASE("copies of a generator share its state") {
  auto const generator = make_generator(3);
  auto const first = draw(generator, 10);
  auto const second = draw(generator, 10);
  CHECK(at::cat({first, second}).equal(draw(make_generator(3), 20)));
}
