// SPDX-License-Identifier: Apache-2.0
// Evaluation weights: which they are, that the trained ones come back bit for bit, and that nothing trains on them.
#include "lierne/optim/evaluation_form.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"

using namespace lierne;

namespace {

static_assert(detail::traits<decltype(adamw() | ema(0.9))>.gives_evaluation_weights);
static_assert(!detail::traits<decltype(adamw())>.gives_evaluation_weights);
static_assert(!std::is_copy_constructible_v<EvaluationWeights>);

std::vector<Slot> three() {
  std::vector<Slot> slots;
  for (auto const* name : {"a", "b", "c"}) {
    slots.push_back({.name = name, .weight = (at::arange(101) * 0.37).cos().requires_grad_()});
  }
  return slots;
}

void step(Optimizer& optimizer, std::vector<Slot>& slots, int k) {
  for (auto& slot : slots) {
    if (slot.name != "c") slot.weight.mutable_grad() = (slot.weight.detach() * 5 + k).sin();
  }
  optimizer.step(slots, {.step = k});
}

std::vector<Tensor> copies(std::vector<Slot> const& slots) {
  std::vector<Tensor> result;
  for (auto const& slot : slots) result.push_back(slot.weight.detach().clone());
  return result;
}
bool equal(std::vector<Slot> const& slots, std::vector<Tensor> const& tensors) {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!slots[i].weight.equal(tensors[i])) return false;
  }
  return true;
}

template <class Rule>
void judged_and_back(Rule const& rule) {
  auto const optimizer = bind(rule), undisturbed = bind(rule);
  auto slots = three(), others = three();
  for (int k = 0; k < 9; ++k) {
    step(*optimizer, slots, k);
    step(*undisturbed, others, k);
    auto const trained = copies(slots);
    std::map<std::string, Tensor> before;
    for (auto const& [key, tensor] : optimizer->state()) before[key] = tensor.clone();
    {
      EvaluationWeights const judged(*optimizer, slots);
      CHECK(slots[2].weight.equal(trained[2]));  // never updated
      if (k > 0) CHECK_FALSE(slots[0].weight.equal(trained[0]));
      for (auto const& [key, tensor] : optimizer->state()) CHECK(tensor.equal(before.at(key)));
    }
    CHECK(equal(slots, trained));
  }
  CHECK(equal(slots, copies(others)));
}

}  // namespace

TEST_CASE("the trained weights come back bit for bit and training goes on as if undisturbed") {
  judged_and_back(adamw({.rate = 0.1}) | ema(0.9));
  judged_and_back(schedule_free_adamw({.rate = 0.1, .beta1 = 0.7}));
  judged_and_back(grouped(adamw({.rate = 0.1}) | ema(0.9),
                          groups(on(named("a"), schedule_free_sgd({.rate = 0.2})), otherwise())));
}

TEST_CASE("each group has the evaluation weights of its rule") {
  auto const optimizer = bind(grouped(plain_sgd(0.1), groups(on(named("a"), plain_sgd(0.1) | ema(0.5)), otherwise())));
  auto slots = three();
  for (int k = 0; k < 3; ++k) step(*optimizer, slots, k);
  auto const trained = copies(slots);
  EvaluationWeights const judged(*optimizer, slots);
  CHECK(slots[0].weight.equal(optimizer->state().at("optim.state.a.ema")));
  CHECK(slots[1].weight.equal(trained[1]));
}

TEST_CASE("a rule without evaluation weights changes nothing and may step") {
  auto const optimizer = bind(adamw());
  auto slots = three();
  step(*optimizer, slots, 0);
  auto const trained = copies(slots);
  EvaluationWeights const outer(*optimizer, slots), inner(*optimizer, slots);
  CHECK(equal(slots, trained));
  step(*optimizer, slots, 1);
  CHECK_FALSE(equal(slots, trained));
}

TEST_CASE("a state that was just loaded judges before its first step") {
  auto const first = bind(adamw({.rate = 0.1}) | ema(0.5)), second = bind(adamw({.rate = 0.1}) | ema(0.5));
  auto slots = three();
  for (int k = 0; k < 3; ++k) step(*first, slots, k);
  second->load_state(first->state());
  EvaluationWeights const judged(*second, slots);
  CHECK(slots[0].weight.equal(first->state().at("optim.state.a.ema")));
}

TEST_CASE("nothing trains or loads on evaluation weights") {
  auto const optimizer = bind(adamw() | ema(0.9));
  auto slots = three();
  step(*optimizer, slots, 0);
  {
    EvaluationWeights const judged(*optimizer, slots);
    CHECK_THROWS_WITH_AS(step(*optimizer, slots, 1), doctest::Contains("step: expected the trained weights in place"), ArgumentError);
    CHECK_THROWS_WITH_AS(optimizer->load_state({}), doctest::Contains("load_state: expected the trained weights"), ArgumentError);
    CHECK_THROWS_WITH_AS(optimizer->use_evaluation_weights(slots), doctest::Contains("use_evaluation_weights: expected"), ArgumentError);
  }
  step(*optimizer, slots, 1);
  optimizer->use_training_weights();  // in place already: nothing
}
