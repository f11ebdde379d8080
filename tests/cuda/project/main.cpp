// SPDX-License-Identifier: Apache-2.0
// Says which rules have CUDA kernels in this program.
#include <cstdio>
#include <typeinfo>

#include "cuda/rules.hpp"
#include "library_rules.hpp"
#include "lierne/optim/bind.hpp"
#include "lierne/optim/kernel/cuda_rule.hpp"

template <class Rule>
void say(char const* name, Rule const& rule) {
  auto const* kernels = lierne::find_cuda_rule(typeid(rule).name());
  bool const complete = kernels != nullptr && kernels->run_float != nullptr && kernels->run_double != nullptr;
  bool const capturable = complete && kernels->write_float != nullptr && kernels->write_double != nullptr;
  std::printf("%s %s\n", name, capturable ? "capturable" : complete ? "compiled" : "absent");
}

int main() {
  cuda_rules::for_each([](char const* title, auto const& rule) { say(title, rule); });
  say("other numbers", lierne::adopt({.rate = 5, .beta2 = 0.5}) | lierne::decay(0.7, lierne::times_rate));
  say("library", library_rule);
  say("unnamed", lierne::adamw());

  // The program itself runs where there is no GPU.
  auto const optimizer = lierne::bind(cuda_rules::mine, lierne::Path::fused_only);
  lierne::Slot slot{.name = "w", .weight = at::ones({3})};
  slot.weight.mutable_grad() = at::ones({3});
  optimizer->step({&slot, 1}, {});
  std::printf("stepped %s\n", slot.weight.lt(1).all().item<bool>() ? "down" : "nowhere");
}
