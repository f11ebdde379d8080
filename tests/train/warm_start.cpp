// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/warm_start.hpp"

#include "lierne/train/trainer.hpp"
#include "train/small.hpp"

using namespace lierne;
namespace fs = std::filesystem;

namespace {

fs::path fresh(std::string const& name) {
  auto const folder = fs::temp_directory_path() / ("lierne_warm_start_" + name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

template <auto spec>
auto initialised(std::uint64_t seed) {
  static Mesh const mesh;
  auto model = std::make_unique<lierne::detail::TrainableModel<Model<spec>>>(Model<spec>{});
  model->init({.seed = seed}, mesh);
  return model;
}

/// Copies of all that a file should have.
std::map<std::string, Tensor> weights_of(Trainable& model) {
  std::map<std::string, Tensor> all;
  for (auto const* p : model.parameters()) all[p->name] = p->owned.detach().clone();
  model.walk_buffers([&](std::string const& name, Buffer& b) {
    if (b.persistent) all[name] = b.value.clone();
  });
  return all;
}

Options options(std::string weights) {
  return {.steps = 3, .validate_every = 0, .sample = 0, .seed = 5, .quiet = true, .weights = std::move(weights)};
}

auto rule() { return clip_norm(1.0) | adamw({.rate = 1e-2}); }

}  // namespace

TEST_CASE("a model takes every weight and persistent buffer of the file, and what is excluded keeps its first values") {
  auto const folder = fresh("all");
  auto const from = initialised<small::experts>(1);
  from->walk_buffers([](std::string const&, Buffer& b) { if (b.persistent) b.value.fill_(0.5); });
  auto const saved = weights_of(*from);
  write_safetensors((folder / "model.safetensors").string(), {saved.begin(), saved.end()});

  auto const all = initialised<small::experts>(2);
  CHECK(warm_start(*all, folder.string()).ends_with("model.safetensors: kept " + std::to_string(saved.size()) + ", missing 0, extra 0"));
  for (auto const& [name, tensor] : weights_of(*all)) CHECK(tensor.equal(saved.at(name)));

  auto const some = initialised<small::experts>(2), untouched = initialised<small::experts>(2);
  auto const first = weights_of(*untouched);
  CHECK(warm_start(*some, folder.string(), {"output.weight", "*.moe.*"}).ends_with("missing 0, extra 0"));
  int kept = 0;
  for (auto const& [name, tensor] : weights_of(*some)) {
    bool const excluded = name == "output.weight" || name.find(".moe.") != std::string::npos;
    kept += excluded;
    CHECK(tensor.equal(excluded ? first.at(name) : saved.at(name)));
  }
  CHECK(kept > 2);
}

TEST_CASE("a run begins with the weights of another, and with nothing else of it") {
  auto const folder = fresh("run");
  auto data = small::data(), same = small::data();
  auto first = options("");
  first.out = folder.string();
  first.checkpoint_every = 3;
  Trainer before{Model<small::spec>{}, rule(), first};
  before.fit(data);
  auto const trained = weights_of(before.model());

  // By hand: the trained weights, a new optimizer, the data from its beginning.
  Model<small::spec> model;
  model.init({.seed = 5});
  std::vector<Slot> slots;
  {
    NoGrad const no_grad;
    model.walk([&](std::string const& name, Parameter& p) {
      p.owned.copy_(trained.at(name));
      slots.push_back({.name = name, .weight = p.owned});
    });
  }
  auto const optimizer = bind(rule());
  auto hand = small::data();
  double expected = 0;
  for (int k = 0; k < 3; ++k) {
    auto const batch = hand.next();
    auto const loss = model.loss(batch.tokens, batch.labels, static_cast<double>(batch.global_valid));
    backward(loss);
    expected = loss.item<double>();
    optimizer->step(slots, {.step = k, .total = 3});
  }
  Trainer after{Model<small::spec>{}, rule(), options(folder.string())};
  auto const result = after.fit(same);
  CHECK(result.steps == 3);
  CHECK(result.loss == expected);
  for (auto const& slot : slots) CHECK(weights_of(after.model()).at(slot.name).equal(slot.weight));

  // evaluate judges them as they are, and a run that goes on does not begin.
  Trainer judge{Model<small::spec>{}, rule(), options((folder / "checkpoints/step-000000003").string())};
  Trainer itself{Model<small::spec>{}, rule(), [&] { auto o = options(""); o.out = folder.string(); o.resume = true; return o; }()};
  CHECK(judge.evaluate(same).loss == itself.evaluate(same).loss);
  auto resumed = options("nowhere");
  resumed.out = folder.string();
  resumed.resume = true;
  resumed.steps = 4;
  Trainer goes_on{Model<small::spec>{}, rule(), resumed};
  CHECK(goes_on.fit(same).steps == 4);
}

TEST_CASE("a weight of another dtype is rounded once") {
  auto const folder = fresh("dtype");
  auto const from = initialised<small::spec>(1);
  NamedTensors narrow;
  for (auto const& [name, tensor] : weights_of(*from)) narrow.emplace_back(name, tensor.to(bfloat16));
  write_safetensors((folder / "model.safetensors").string(), narrow);
  auto const to = initialised<small::spec>(2);
  warm_start(*to, folder.string());
  auto const now = weights_of(*to);
  for (auto const& [name, tensor] : narrow) CHECK(now.at(name).equal(tensor.to(float32)));
}

TEST_CASE("weights that do not fit are refused before one of them is copied") {
  auto const folder = fresh("refused");
  auto const from = initialised<small::spec>(1), to = initialised<small::spec>(2);
  auto weights = weights_of(*from);
  weights["head.weight"] = at::zeros({2});
  auto const file = (folder / "model.safetensors").string();
  write_safetensors(file, {weights.begin(), weights.end()});
  CHECK(warm_start(*to, file).ends_with("missing 0, extra 1 (head.weight)"));
  auto const before = weights_of(*to);
  for (auto const& [name, tensor] : weights_of(*from)) weights[name] = tensor + 1;
  weights.erase("output.weight");
  write_safetensors(file, {weights.begin(), weights.end()});
  CHECK_THROWS_WITH_AS(warm_start(*to, file), doctest::Contains("found 1 (output.weight) missing (name them in weights_exclude"), FileError);
  weights["output.weight"] = at::zeros({7});
  write_safetensors(file, {weights.begin(), weights.end()});
  CHECK_THROWS_WITH_AS(warm_start(*to, file), doctest::Contains("tensor 'output.weight': expected shape [4096, 32], found [7]"), ShapeError);
  for (auto const& [name, tensor] : weights_of(*to)) CHECK(tensor.equal(before.at(name)));
  CHECK(warm_start(*to, file, {"output.*"}).ends_with("extra 1 (head.weight)"));
  CHECK_THROWS_WITH_AS(warm_start(*to, file, {"lm_head.*"}), doctest::Contains("found 'lm_head.*', which matches none of 12"), ArgumentError);
  auto data = small::data();
  Trainer trainer{Model<small::spec>{}, rule(), options((folder / "nowhere").string())};
  CHECK_THROWS_WITH_AS(trainer.fit(data), doctest::Contains("nowhere: expected a safetensors file"), FileError);
}
