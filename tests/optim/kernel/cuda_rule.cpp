// SPDX-License-Identifier: Apache-2.0
// The register of rules with CUDA kernels: found by type, absent otherwise.
#include "lierne/optim/kernel/cuda_rule.hpp"

#include <doctest/doctest.h>

#include "optim/kernel/on_host.hpp"
#include "optim/kernel/rules.hpp"

using namespace lierne;

static_assert(std::is_trivially_destructible_v<CudaRule>);  // the list is read until the program ends

namespace {

struct Unknown {};
struct Known {};
struct AlsoKnown {};

}  // namespace

TEST_CASE("a rule is found by its type once it is registered") {
  CHECK(find_cuda_rule(typeid(Known).name()) == nullptr);
  static CudaRule first{typeid(Known).name(), nullptr, nullptr}, second{typeid(AlsoKnown).name(), nullptr, nullptr};
  register_cuda_rule(first);
  register_cuda_rule(second);
  CHECK(find_cuda_rule(typeid(Known).name()) == &first);
  CHECK(find_cuda_rule(typeid(AlsoKnown).name()) == &second);
  CHECK(find_cuda_rule(typeid(Unknown).name()) == nullptr);
}

TEST_CASE("settings do not matter, structure does") {
  auto const name = [](auto const& rule) { return std::string(typeid(rule).name()); };
  CHECK(name(adamw({.rate = 1})) == name(adamw({.rate = 2})));
  CHECK(name(adamw()) != name(adamw() | decay(0.1, times_rate)));
  CHECK(name(adopt()) != name(adopt({}, no_bound)));
}
