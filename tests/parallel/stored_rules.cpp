// SPDX-License-Identifier: Apache-2.0
// Rules that store state in fewer bits, on the shards that a plan cuts: the bits are those of one process.
#include "lierne/nn/init.hpp"
#include "lierne/nn/model.hpp"
#include "lierne/optim/optim.hpp"
#include "lierne/parallel/parallelise.hpp"
#include "processes.hpp"

using namespace lierne;

namespace {

// Rows long enough for 8-bit blocks, of which some hold two; counts of rows that neither 2 nor 3 ranks divide.
constexpr Decoder spec{.layers = 1, .width = 320, .vocab = 7, .mixer = Attention{.heads = 5, .kv_heads = 1},
                       .channel = SwiGlu{.hidden = 73}};

struct Cut {
  Parameter* parameter;
  Slot slot;
};

template <class M>
std::vector<Cut> cuts_of(M& model) {
  std::vector<Cut> cuts;
  model.walk([&](std::string const& name, Parameter& p) {
    cuts.push_back({&p, {.name = name, .weight = p.owned, .kind = p.kind, .shape = p.shape, .offset = p.box.offset}});
  });
  return cuts;
}

void step(Optimizer& optimizer, std::vector<Cut>& cuts, std::int64_t k) {
  std::vector<Slot> slots;
  for (auto& cut : cuts) {
    auto const& shape = cut.parameter->shape;
    auto const whole = at::arange(at::empty(shape).numel(), at::TensorOptions().dtype(float32)).view(shape).mul(0.37).add(static_cast<double>(k)).sin();
    cut.slot.weight.mutable_grad() = lierne::detail::narrow_to(whole, cut.parameter->box).contiguous();
    slots.push_back(cut.slot);
  }
  optimizer.step(slots, {.step = k});
}

template <Plan plan>
void has_the_bits_of_one_process() {
  auto const rule = adamw({.rate = 1e-2}) | decay(0.1, times_rate) | store<"exp_avg">(eight_bit_blocks) |
                    store<"exp_avg_sq">(bf16_stochastic, {.seed = 5});
  auto const mesh = join(plan, Launch::from_environment());
  Model<spec, plan> part;
  Model<spec> whole;
  parallelise(part, mesh);
  part.init({.seed = 3}, mesh);
  whole.init({.seed = 3});
  auto here = cuts_of(part), alone = cuts_of(whole);
  REQUIRE(here.size() == alone.size());
  auto const on_part = bind(rule), on_whole = bind(rule);
  for (std::int64_t k = 0; k < 5; ++k) {
    step(*on_part, here, k);
    step(*on_whole, alone, k);
  }
  auto const cut_state = on_part->state(), state = on_whole->state();
  int in_blocks = 0, cut = 0;
  for (std::size_t i = 0; i < here.size(); ++i) {
    auto const& [parameter, slot] = here[i];
    CAPTURE(slot.name);
    auto const same = [&, &box = parameter->box](Tensor const& mine, Tensor const& all) {
      CHECK(mine.equal(lierne::detail::narrow_to(all, box)));
    };
    same(slot.weight, alone[i].slot.weight);
    for (char const* field : {"exp_avg", "exp_avg_sq"}) {
      auto const key = "optim.state." + slot.name + "." + field;
      same(cut_state.at(key), state.at(key));
      in_blocks += state.at(key).scalar_type() == at::kByte;
    }
    cut += slot.weight.numel() < alone[i].slot.weight.numel();
  }
  CHECK(in_blocks >= 5);
  CHECK(cut >= 5);
}

}  // namespace

TEST_CASE("rank: stored under fsdp" * doctest::skip()) { has_the_bits_of_one_process<Plan{.shard = rest}>(); }

TEST_CASE("state in fewer bits is that of one process under fsdp") {
  processes::run("rank: stored under fsdp", 2);
  processes::run("rank: stored under fsdp", 3);
}
