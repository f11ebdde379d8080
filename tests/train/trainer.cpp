// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/trainer.hpp"

#include <nlohmann/json.hpp>
#include <set>

#include "lierne/optim/kernel/norm.hpp"
#include "processes.hpp"
#include "train/small.hpp"

using namespace lierne;

namespace {

auto rule() { return clip_norm(1.0) | adamw({.rate = 1e-2, .beta2 = 0.95}) | decay(0.1, times_rate); }
auto schedule_of_run() { return warmup(3) | cosine_to(0.1); }

Options options(std::int64_t steps, std::string out = {}) {
  return {.out = std::move(out), .steps = steps, .validate_every = 0, .sample = 0, .seed = 5, .quiet = true};
}

std::vector<nlohmann::json> lines(std::filesystem::path const& folder) {
  std::ifstream in(folder / "metrics.jsonl");
  std::vector<nlohmann::json> all;
  for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
  return all;
}

/// The same run written out by hand.
std::vector<double> by_hand(int steps) {
  Model<small::spec> model;
  model.init({.seed = 5});
  std::vector<Slot> slots;
  model.walk([&](std::string const& name, Parameter& p) { slots.push_back({.name = name, .weight = p.owned}); });
  auto optimizer = bind(scheduled(rule(), schedule_of_run()));
  auto data = small::data();
  std::vector<double> losses;
  for (int k = 0; k < steps; ++k) {
    auto const batch = data.next();
    auto const loss = model.loss(batch.tokens, batch.labels, static_cast<double>(batch.global_valid));
    backward(loss);
    losses.push_back(loss.item<double>());
    optimizer->step(slots, {.step = k, .total = steps});
  }
  return losses;
}

template <Plan plan>
void trains_as_one_process() {
  auto const folder = std::filesystem::temp_directory_path() / ("lierne_trainer_" + to_string(plan));
  std::filesystem::create_directories(folder);
  auto data = small::data();
  Trainer trainer{Model<small::spec, plan>{}, scheduled(rule(), schedule_of_run()), options(6, folder.string())};
  auto const result = trainer.fit(data);
  auto const expected = by_hand(6);
  // Adam magnifies differences in gradients near epsilon; see docs/numerics.md.
  CHECK(result.loss == doctest::Approx(expected.back()).epsilon(1e-3));
  if (trainer.mesh().rank() != 0) return;
  auto const metrics = lines(folder);
  REQUIRE(metrics.size() == 7);
  CHECK(metrics[0]["loss"].get<double>() == doctest::Approx(expected[0]).epsilon(1e-6));
  CHECK(metrics[1]["loss"].get<double>() == doctest::Approx(expected[1]).epsilon(1e-5));
}

}  // namespace

TEST_CASE("validation is by the evaluation weights and training goes as without them") {
  auto const fit = [](auto const& rule, auto&& after) {
    auto data = small::data();
    Trainer trainer{Model<small::spec>{}, rule, options(8)};
    auto const result = trainer.fit(data);
    after(trainer, data);
    return result;
  };
  double by_hand_judged = 0;
  auto const nothing = [](auto&&...) {};
  auto const plain = fit(rule(), nothing), at_once = fit(rule() | ema(0.0), nothing);
  auto const averaged = fit(rule() | ema(0.9), [&](Trainer& trainer, auto& data) {
    NoGrad const no_grad;
    double judged = 0, trained = 0, tokens = 0;
    auto const nats = [&](Batch const& batch) { return trainer.model().loss(batch.tokens, batch.labels, 1.0).template item<double>(); };
    auto const held_out = data.validation();
    for (std::int64_t i = 0; i < held_out.size(); ++i) trained += nats(held_out[i]);
    auto const state = trainer.optimizer().state();
    for (auto* p : trainer.model().parameters()) p->owned.copy_(state.at("optim.state." + p->name + ".ema"));
    for (std::int64_t i = 0; i < held_out.size(); ++i) {
      judged += nats(held_out[i]);
      tokens += static_cast<double>(held_out[i].valid);
    }
    CHECK(trained / tokens == doctest::Approx(plain.validation_loss).epsilon(1e-12));
    CHECK(judged != trained);
    by_hand_judged = judged / tokens;
  });
  CHECK(averaged.loss == plain.loss);
  CHECK(averaged.validation_loss == doctest::Approx(by_hand_judged).epsilon(1e-12));
  CHECK(at_once.validation_loss == plain.validation_loss);
}

TEST_CASE("a run equals the same loop written by hand, step by step") {
  auto const folder = std::filesystem::temp_directory_path() / "lierne_trainer_test";
  std::filesystem::remove_all(folder);
  auto data = small::data();
  Trainer trainer{Model<small::spec>{}, scheduled(rule(), schedule_of_run()), options(20, folder.string())};
  auto const result = trainer.fit(data);
  auto const expected = by_hand(20);
  auto const metrics = lines(folder);
  REQUIRE(metrics.size() == 21);
  for (std::size_t k = 0; k < 20; ++k) {
    CHECK(metrics[k]["step"] == k + 1);
    CHECK(metrics[k]["loss"].get<double>() == expected[k]);
    CHECK(metrics[k]["grad_norm"].get<double>() > 0);
    CHECK(metrics[k]["tokens"] == 64 * (k + 1));
  }
  CHECK(metrics[0]["rate"].get<double>() == doctest::Approx(1e-2 / 3));
  CHECK(result.steps == 20);
  CHECK(result.loss == expected.back());
  CHECK(result.loss < expected.front() - 1);
}

TEST_CASE("a model with probes trains by the same bits and its numbers are in the measured steps' lines") {
  auto const folder = std::filesystem::temp_directory_path() / "lierne_trainer_probes";
  std::filesystem::remove_all(folder);
  auto const measured = [](nlohmann::json const& line) {
    std::vector<std::string> keys;
    for (auto const& [key, value] : line.items()) {
      if (key.find('/') != std::string::npos) keys.push_back(key);
    }
    return keys;
  };
  auto data = small::data(), same = small::data();
  auto const probing = probes<ActivationRms, AttentionLogitMax>({.every = 3});
  Trainer trainer{Model<small::spec>{} | probing, scheduled(rule(), schedule_of_run()), options(7, folder.string())};
  auto const result = trainer.fit(data);
  auto const metrics = lines(folder);
  Trainer plain{Model<small::spec>{}, scheduled(rule(), schedule_of_run()), options(7)};
  CHECK(plain.fit(same).loss == result.loss);
  auto const keys = std::vector<std::string>{
      "activation/layers.0.attention/rms", "activation/layers.0.feed_forward/rms", "activation/layers.0/rms",
      "activation/norm/rms", "activation/tok_embeddings/rms", "attention_logit/layers.0.attention/max"};
  for (std::size_t k = 0; k < 7; ++k) {
    CHECK(measured(metrics[k]) == ((k + 1) % 3 == 0 ? keys : std::vector<std::string>{}));
  }
  CHECK(metrics[2]["activation/norm/rms"].get<double>() == doctest::Approx(1).epsilon(0.01));
}

TEST_CASE("the gradient-noise scale is measured in a run that goes on as without") {
  auto const folder = std::filesystem::temp_directory_path() / "lierne_trainer_noise";
  std::filesystem::remove_all(folder);
  auto data = small::data();
  Trainer trainer{Model<small::spec>{}, scheduled(rule(), schedule_of_run()), options(6, folder.string())};
  trainer.measure_noise({.every = 2});
  auto const result = trainer.fit(data);
  auto const expected = by_hand(6);
  CHECK(result.loss == doctest::Approx(expected.back()).epsilon(1e-3));  // the order of sums differs in measured steps
  auto const metrics = lines(folder);
  for (std::size_t k = 0; k < 6; ++k) {
    CHECK(metrics[k].contains("gradient_noise/scale") == (k % 2 == 1));
    if (k < 2) CHECK(metrics[k]["loss"].get<double>() == doctest::Approx(expected[k]).epsilon(1e-6));
  }
  CHECK(metrics[1]["gradient_noise/noise"].get<double>() > 0);
}

TEST_CASE("experts: loads are written every step, and the bias follows the training tokens alone") {
  auto const folder = std::filesystem::temp_directory_path() / "lierne_trainer_experts";
  std::filesystem::remove_all(folder);
  auto const fit = [](Options chosen, std::map<std::string, Tensor>& buffers) {
    auto data = small::data();
    Model<small::experts> model;
    model.init({.seed = 5});
    Trainer trainer{std::move(model), scheduled(rule(), schedule_of_run()), std::move(chosen)};
    auto const result = trainer.fit(data);
    trainer.model().walk_buffers([&](std::string const& name, Buffer& b) { buffers[name] = b.value; });
    return result;
  };
  auto validated = options(8, folder.string());
  validated.validate_every = 1;
  std::map<std::string, Tensor> with_validation, without;
  auto const result = fit(validated, with_validation);
  CHECK(fit(options(8), without).loss == result.loss);
  REQUIRE(with_validation.size() == 2);
  for (auto const& [name, value] : with_validation) CHECK(value.equal(without.at(name)));
  // Every step of 1e-3 moved each of the four biases, up or down or by the mean of all.
  CHECK(with_validation.at("layers.0.moe.expert_bias").abs().max().item<double>() > 1e-3);
  CHECK(with_validation.at("layers.0.moe.tokens_per_expert").sum().item<std::int64_t>() == 0);
  int steps = 0;
  for (auto const& line : lines(folder)) {
    if (!line.contains("grad_norm")) continue;
    ++steps;
    auto const largest = line.at("expert_load/layers.0.moe/max").get<double>();
    CHECK(largest >= 1);
    CHECK(largest <= 2);  // two different experts a token: half of all choices at most
    CHECK(line.at("expert_load/layers.0.moe/unused").get<double>() <= 0.5);
  }
  CHECK(steps == 8);
}

TEST_CASE("matrices follow muon, embedding, norms and output adamw, by groups") {
  auto const matrices = clip_norm(1.0) | muon({.rate = 0.02}) | decay(0.1, times_rate);
  auto data = small::data();
  Trainer trainer{Model<small::spec>{}, scheduled(rule(), schedule_of_run(), groups(on<Kind::matrix>(matrices), otherwise())), options(6)};
  trainer.fit(data);

  // By hand: two optimizers, each with its own parameters and the norm of all gradients.
  Model<small::spec> model;
  model.init({.seed = 5});
  std::vector<Slot> of_muon, of_adamw;
  std::set<std::string> matrix_names;
  model.walk([&](std::string const& name, Parameter& p) {
    bool const matrix = name.starts_with("layers.") && p.owned.dim() == 2;
    (matrix ? of_muon : of_adamw).push_back({.name = name, .weight = p.owned});
    if (matrix) matrix_names.insert(name);
  });
  CHECK(of_muon.size() == 7);   // wq wk wv wo w1 w2 w3
  CHECK(of_adamw.size() == 5);  // embedding, output, three norms
  auto const muon_alone = bind(scheduled(matrices, schedule_of_run())), adamw_alone = bind(scheduled(rule(), schedule_of_run()));
  auto same = small::data();
  for (int k = 0; k < 6; ++k) {
    auto const batch = same.next();
    backward(model.loss(batch.tokens, batch.labels, static_cast<double>(batch.global_valid)));
    std::vector<Tensor> gradients;
    model.walk([&](std::string const&, Parameter& p) { gradients.push_back(p.owned.grad()); });
    double const norm = std::sqrt(sum_of_squares(gradients));
    muon_alone->step(of_muon, {.step = k, .total = 6, .grad_norm = norm});
    adamw_alone->step(of_adamw, {.step = k, .total = 6, .grad_norm = norm});
  }
  std::map<std::string, Tensor> expected;
  for (auto const* slots : {&of_muon, &of_adamw}) {
    for (auto const& slot : *slots) expected[slot.name] = slot.weight;
  }
  for (auto const* p : trainer.model().parameters()) CHECK(p->owned.equal(expected.at(p->name)));
  for (auto const& [key, tensor] : trainer.optimizer().state()) {
    auto const name = key.substr(12, key.rfind('.') - 12);
    CHECK(key.ends_with(".momentum_buffer") <= matrix_names.contains(name));
    CHECK(key.ends_with(".exp_avg") <= !matrix_names.contains(name));
  }
}

TEST_CASE("a run with steps in the backward pass has the bits of one with steps behind it") {
  auto const folder = std::filesystem::temp_directory_path() / "lierne_trainer_in_backward";
  std::filesystem::remove_all(folder);
  auto const unclipped = scheduled(adamw({.rate = 1e-2, .beta2 = 0.95}) | decay(0.1, times_rate) | ema(0.9), schedule_of_run(),
                                   groups(on<Kind::matrix>({.rate = 2}), otherwise()));
  auto data = small::data(), same = small::data();
  Trainer behind{Model<small::experts>{}, unclipped, options(8)};
  std::vector<StepMetrics> expected;
  behind.observe([&](StepMetrics const& m) { expected.push_back(m); });
  auto const result = behind.fit(data);
  auto given = options(8, folder.string());
  given.checkpoint_every = 4;
  Trainer inside{Model<small::experts>{}, in_backward(unclipped), given};
  std::vector<StepMetrics> found;
  inside.observe([&](StepMetrics const& m) {
    found.push_back(m);
    for (auto const* p : inside.model().parameters()) CHECK_FALSE(p->owned.grad().defined());
  });
  CHECK(inside.fit(same).validation_loss == result.validation_loss);
  REQUIRE(found.size() == 8);
  for (std::size_t k = 0; k < 8; ++k) {
    CHECK(found[k].loss == expected[k].loss);
    CHECK(found[k].rate == expected[k].rate);
    CHECK(found[k].grad_norm == doctest::Approx(expected[k].grad_norm).epsilon(1e-12));
  }
  auto const weights = behind.model().parameters(), also = inside.model().parameters();
  for (std::size_t i = 0; i < weights.size(); ++i) CHECK(weights[i]->owned.equal(also[i]->owned));
  for (auto const& [key, tensor] : behind.optimizer().state()) CHECK(inside.optimizer().state().at(key).equal(tensor));

  // And it goes on from its checkpoint.
  std::filesystem::remove_all(folder / "checkpoints/step-000000008");
  given.resume = true;
  auto again = small::data();
  Trainer resumed{Model<small::experts>{}, in_backward(unclipped), given};
  CHECK(resumed.fit(again).validation_loss == result.validation_loss);
}

TEST_CASE("what a step in the backward pass cannot do is refused, and a loss that is not finite moves nothing") {
  auto const plain = adamw({.rate = 1e-2});
  auto const refused = [&](Options const& given, char const* words, bool noise = false) {
    auto data = small::data();
    Trainer trainer{Model<small::spec>{}, in_backward(plain), given};
    if (noise) trainer.measure_noise();
    CHECK_THROWS_WITH_AS(trainer.fit(data), doctest::Contains(words), ArgumentError);
  };
  auto several = options(2), guarded = options(2);
  several.accumulate = 2;
  guarded.spike = 4;
  refused(several, "in_backward: expected accumulate 1, found 2");
  refused(guarded, "in_backward: expected no spike guard, found one of 4 medians");
  refused(options(2), "in_backward: expected no gradient noise to measure", true);

  auto data = small::data();
  Trainer trainer{Model<small::spec>{}, in_backward(plain), options(3)};
  std::map<std::string, Tensor> before;
  trainer.observe([&](StepMetrics const& m) {
    if (m.step != 1) return;
    NoGrad const no_grad;
    trainer.model().parameters().front()->owned.fill_(std::numeric_limits<float>::infinity());
    for (auto const* p : trainer.model().parameters()) before[p->name] = p->owned.detach().clone();
  });
  CHECK_THROWS_WITH_AS(trainer.fit(data), doctest::Contains("the loss of step 2"), NumericError);
  for (auto const* p : trainer.model().parameters()) CHECK(p->owned.equal(before.at(p->name)));
}

TEST_CASE("bits per byte is the held-out text's cross entropy over its bytes") {
  auto data = small::data();
  Trainer trainer{Model<small::spec>{}, scheduled(rule(), schedule_of_run()), options(1)};
  auto const result = trainer.fit(data);
  auto const text = small::text();
  double tokens = 0, nats = 0;
  auto const held_out = data.validation(1);
  for (std::int64_t i = 0; i < held_out.size(); ++i) {
    auto const batch = held_out[i];
    NoGrad guard;
    auto const logs = at::log_softmax(trainer.model().logits(batch.tokens).to(float64), -1)[0];
    for (std::int64_t t = 0; t < batch.labels.size(1); ++t) {
      auto const label = batch.labels[0][t].item<std::int64_t>();
      if (label < 0) continue;
      nats -= logs[t][label].item<double>();
      ++tokens;
    }
  }
  CHECK(result.validation_loss == doctest::Approx(nats / tokens).epsilon(1e-6));
  double const bytes = static_cast<double>(text.bytes(text.validation()));
  CHECK(result.bits_per_byte == doctest::Approx(nats / std::log(2.0) / bytes).epsilon(1e-6));
}

TEST_CASE("rank: trains under fsdp 2" * doctest::skip()) { trains_as_one_process<Plan{.shard = rest}>(); }
TEST_CASE("rank: trains under tensor 2" * doctest::skip()) { trains_as_one_process<Plan{.tensor = 2}>(); }

TEST_CASE("two processes train as one") {
  SUBCASE("fsdp") { processes::run("rank: trains under fsdp 2", 2); }
  SUBCASE("tensor") { processes::run("rank: trains under tensor 2", 2); }
}

TEST_CASE("a run ends when validations bring nothing better") {
  auto data = small::data();
  auto given = options(100);
  given.validate_every = 2;
  given.early_stop = 3;
  Trainer trainer{Model<small::spec>{}, scheduled(plain_sgd(1e-30), warmup(0) | stable()), given};
  CHECK(trainer.fit(data).steps == 8);  // the best at step 2, and three that equal it
}

TEST_CASE("evaluation alone gives the loss of the weights as they are") {
  auto data = small::data(), same = small::data();
  Trainer trainer{Model<small::spec>{}, rule(), options(1)};
  auto const before = trainer.evaluate(data);
  CHECK(before.loss == doctest::Approx(std::log(4096.0)).epsilon(0.1));  // as good as nothing learnt
  auto given = options(1);
  given.validate_first = true;
  struct First : Sink {
    double* loss;
    explicit First(double* to) : loss(to) {}
    void write(ValidationMetrics const& m) override { if (m.step == 0) *loss = m.loss; }
  };
  double first = 0;
  Trainer trained{Model<small::spec>{}, rule(), given};
  trained.add_sink(std::make_unique<First>(&first));
  trained.fit(same);
  CHECK(first == before.loss);
}

TEST_CASE("a run directory holds what the run was and what it did") {
  auto const folder = std::filesystem::temp_directory_path() / "lierne_trainer_directory";
  std::filesystem::remove_all(folder);
  auto data = small::data();
  auto given = options(8, folder.string());
  given.profile = 2;
  given.checkpoint_every = 4;
  given.keep = 1;
  Trainer trainer{Model<small::spec>{}, scheduled(rule(), schedule_of_run()), given};
  trainer.fit(data);
  for (char const* file : {"run.json", "metrics.jsonl", "metrics.prom", "report.html", "trace.json", "checkpoints/latest",
                           "checkpoints/step-000000008/manifest.json"}) {
    CAPTURE(file);
    CHECK(std::filesystem::file_size(folder / file) > 0);
  }
  CHECK_FALSE(std::filesystem::exists(folder / "checkpoints/step-000000004"));
}

TEST_CASE("an error leaves the run directory with all that came before it, and sinks of one's own are flushed") {
  auto const folder = std::filesystem::temp_directory_path() / "lierne_trainer_error";
  std::filesystem::remove_all(folder);
  struct Flushed : Sink {
    int* count;
    explicit Flushed(int* to) : count(to) {}
    void flush() override { ++*count; }
  };
  auto data = small::data();
  int flushed = 0;
  Trainer trainer{Model<small::spec>{}, rule(), options(20, folder.string())};
  trainer.add_sink(std::make_unique<Flushed>(&flushed));
  trainer.observe([](StepMetrics const& m) { check<NumericError>(m.step < 8, "at step 8"); });
  CHECK_THROWS_WITH_AS(trainer.fit(data), "at step 8", NumericError);
  CHECK(flushed == 1);
  CHECK(lines(folder).size() == 8);
  auto const text = [&](char const* name) {
    std::ifstream in(folder / name);
    return std::string{std::istreambuf_iterator<char>(in), {}};
  };
  CHECK(text("metrics.prom").find("lierne_step 8\n") != std::string::npos);
  CHECK(text("report.html").find("<b>8</b><span>of 20 steps</span>") != std::string::npos);
}

TEST_CASE("a trainer that has evaluated trains as one that has not") {
  auto data = small::data(), same = small::data();
  Trainer trainer{Model<small::spec>{}, scheduled(rule(), schedule_of_run()), options(4)};
  trainer.evaluate(data);
  CHECK(trainer.fit(data).loss == by_hand(4).back());
}

TEST_CASE("a callback sees steps, validations and checkpoints in their order, each checkpoint once it is on the disk") {
  auto const folder = std::filesystem::temp_directory_path() / "lierne_trainer_callback";
  std::filesystem::remove_all(folder);
  auto data = small::data();
  auto given = options(5, folder.string());
  given.validate_every = 3;
  given.checkpoint_every = 2;
  Trainer trainer{Model<small::spec>{}, rule(), given};
  struct Seen {
    std::vector<std::string>* events;
    std::uint64_t* bytes;
    void operator()(StepMetrics const& m) const { events->push_back(message("step ", m.step)); }
    void operator()(ValidationMetrics const& m) const { events->push_back(message("validation ", m.step)); }
    void operator()(CheckpointMetrics const& m) const {
      events->push_back(message("checkpoint ", m.step));
      std::ifstream const manifest(std::filesystem::path(m.path) / "manifest.json");
      CHECK(manifest.good());
      for (auto const& file : std::filesystem::directory_iterator(m.path)) {
        if (file.path().extension() == ".safetensors") *bytes += file.file_size();
      }
      *bytes -= m.bytes;
      CHECK(m.seconds > 0);
    }
  };
  std::vector<std::string> events;
  std::uint64_t bytes = 0;
  int steps = 0;
  trainer.observe(Seen{&events, &bytes});
  trainer.observe([&](StepMetrics const&) { ++steps; });
  trainer.fit(data);
  CHECK(events == std::vector<std::string>{"step 1", "step 2", "checkpoint 2", "step 3", "validation 3", "step 4", "checkpoint 4",
                                           "step 5", "validation 5", "checkpoint 5"});
  CHECK(bytes == 0);
  CHECK(steps == 5);
}

TEST_CASE("a model and a rule that are chosen by name train as those that are written") {
  static constexpr auto wide = with(small::spec, field<"width">(64), MuP{.base_width = 32});
  auto const models = presets(preset<small::spec>("small"), preset<wide>("wide"));
  auto const grouped_rule = [](auto const& table) { return scheduled(rule(), schedule_of_run(), table); };
  auto const all = rules(named("adamw", grouped_rule(mup_groups(times_rate))),
                         named("adopt", scheduled(adopt({.rate = 1e-2}), warmup(3), mup_groups(times_rate, MupEpsilon::kept))));
  auto const loss = [](auto const& model, auto const& rule, std::string preset, std::string name) {
    auto given = options(4);
    given.preset = std::move(preset);
    given.rule = std::move(name);
    auto data = small::data();
    Trainer trainer{model(), rule, given};
    return trainer.fit(data).loss;
  };
  auto const chosen = [&](std::string preset, std::string name) {
    return loss([&] { return models; }, all, std::move(preset), std::move(name));
  };
  auto const narrow_model = [] { return Model<small::spec>{}; };
  auto const wide_model = [] { return Model<wide>{}; };
  auto const plain = loss(narrow_model, scheduled(rule(), schedule_of_run()), "", "");
  CHECK(chosen("small", "adamw") == plain);
  CHECK(chosen("", "") == plain);
  CHECK(chosen("wide", "adamw") == loss(wide_model, grouped_rule(mup_groups(times_rate, wide)), "", ""));
  CHECK(chosen("wide", "adamw") != loss(wide_model, scheduled(rule(), schedule_of_run()), "", ""));
  CHECK(chosen("small", "adopt") == loss(narrow_model, scheduled(adopt({.rate = 1e-2}), warmup(3)), "", ""));
  // A list of one kind goes with a model or a rule that is written out.
  CHECK(loss([&] { return models; }, scheduled(rule(), schedule_of_run()), "small", "") == plain);
  CHECK(loss(wide_model, all, "", "adamw") == chosen("wide", "adamw"));
  CHECK_THROWS_WITH_AS(chosen("tiny", ""), doctest::Contains("expected one of small, wide, found 'tiny'"), ArgumentError);
}

TEST_CASE("what cannot work is said before training") {
  auto data = small::data();
  auto wrong_device = options(1);
  wrong_device.device = "tpu";
  Trainer trainer{Model<small::spec>{}, scheduled(rule(), schedule_of_run()), wrong_device};
  CHECK_THROWS_WITH_AS(trainer.fit(data), doctest::Contains("expected cpu, cuda or cuda:N, found 'tpu'"), ArgumentError);

  constexpr auto few = with(small::spec, field<"vocab">(100));
  Trainer too_small{Model<few>{}, scheduled(rule(), schedule_of_run()), options(1)};
  CHECK_THROWS_WITH_AS(too_small.fit(data), doctest::Contains("4096"), Error);

  Trainer too_many{Model<small::spec, Plan{.shard = 2}>{}, scheduled(rule(), schedule_of_run()), options(1)};
  CHECK_THROWS_WITH_AS(too_many.fit(data), doctest::Contains("does not fit 1 process"), LaunchError);

  Trainer diverges{Model<small::spec>{}, scheduled(adamw({.rate = 1e30}), warmup(0) | stable()), options(50)};
  CHECK_THROWS_WITH_AS(diverges.fit(data), doctest::Contains("the loss of step"), NumericError);
}
