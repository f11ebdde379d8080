// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/run_state.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "lierne/train/trainer.hpp"
#include "train/small.hpp"

extern char** environ;

using namespace lierne;
namespace fs = std::filesystem;

namespace {

constexpr auto narrow = with(small::spec, BFloat16{});

auto rule() { return clip_norm(1.0) | adamw({.rate = 1e-2, .beta2 = 0.95}) | decay(0.1, times_rate) | ema(0.9); }
auto schedule_of_run() { return warmup(3) | cosine_to(0.1); }

fs::path fresh(std::string const& name) {
  auto const folder = fs::temp_directory_path() / ("lierne_run_state_" + name);
  fs::remove_all(folder);
  return folder;
}

Options options(fs::path const& out, std::int64_t every = 5) {
  return {.out = out.string(), .steps = 20, .validate_every = 4, .sample = 0, .seed = 5, .quiet = true, .accumulate = 2,
          .checkpoint_every = every, .spike = 4};
}

/// Trains to the end, or to what `stop` does after a step; the weights, the optimizer's state and the result.
struct Ended {
  TrainResult result;
  std::map<std::string, Tensor> tensors;
  std::vector<double> losses;
};
template <auto spec>
Ended train(Options const& given, std::function<void(StepMetrics const&)> const& stop = {}) {
  auto data = small::data() | prefetch(2);
  Trainer trainer{Model<spec>{}, scheduled(rule(), schedule_of_run()), given};
  Ended ended;
  trainer.measure_noise({.every = 3});
  trainer.observe([&](StepMetrics const& m) {
    ended.losses.push_back(m.loss);
    if (stop) stop(m);
  });
  ended.result = trainer.fit(data);
  for (auto* p : trainer.model().parameters()) ended.tensors[p->name] = p->owned.detach().clone();
  trainer.model().walk_buffers([&](std::string const& name, Buffer& b) { ended.tensors[name] = b.value.clone(); });
  for (auto const& [key, tensor] : trainer.optimizer().state()) ended.tensors[key] = tensor.clone();
  return ended;
}

void same(Ended const& a, Ended const& b) {
  REQUIRE(a.tensors.size() == b.tensors.size());
  for (auto const& [name, tensor] : a.tensors) {
    CAPTURE(name);
    CHECK(tensor.equal(b.tensors.at(name)));
  }
  CHECK(a.result.loss == b.result.loss);
  CHECK(a.result.validation_loss == b.result.validation_loss);
}

/// Runs a skipped test case in a process of its own; its exit status as wait gives it.
int in_a_process(std::string const& test_case) {
  std::string name = "--test-case=" + test_case;
  char* arguments[] = {const_cast<char*>("/proc/self/exe"), name.data(), const_cast<char*>("--no-skip"), const_cast<char*>("--out=/dev/null"), nullptr};
  pid_t child = 0;
  REQUIRE(::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments, environ) == 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

template <auto spec>
void goes_on_bit_for_bit(std::string const& name, std::string const& killed) {
  auto const whole = train<spec>(options(fresh(name + "_whole"), 0));
  auto const status = in_a_process(killed);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGKILL);
  auto resumed = options(fs::temp_directory_path() / ("lierne_run_state_" + name));
  resumed.resume = true;
  auto const rest = train<spec>(resumed);
  CHECK(rest.losses.size() == 10);
  CHECK(rest.losses == std::vector<double>(whole.losses.begin() + 10, whole.losses.end()));
  same(whole, rest);
}

}  // namespace

// Killed in step 13, whose checkpoint is that of step 10.
TEST_CASE("killed: float32" * doctest::skip()) {
  train<small::spec>(options(fresh("float32")), [](StepMetrics const& m) { if (m.step == 13) ::raise(SIGKILL); });
}
TEST_CASE("killed: bfloat16" * doctest::skip()) {
  train<narrow>(options(fresh("bfloat16")), [](StepMetrics const& m) { if (m.step == 13) ::raise(SIGKILL); });
}
TEST_CASE("killed: experts" * doctest::skip()) {
  train<small::experts>(options(fresh("experts")), [](StepMetrics const& m) { if (m.step == 13) ::raise(SIGKILL); });
}

TEST_CASE("a run that was killed and goes on ends with the bits of one that was not") {
  SUBCASE("float32") { goes_on_bit_for_bit<small::spec>("float32", "killed: float32"); }
  SUBCASE("bfloat16") { goes_on_bit_for_bit<narrow>("bfloat16", "killed: bfloat16"); }
  SUBCASE("experts, with their selection biases") { goes_on_bit_for_bit<small::experts>("experts", "killed: experts"); }
}

TEST_CASE("resume_previous goes on from the checkpoint before the latest") {
  auto const folder = fresh("previous");
  auto const whole = train<small::spec>(options(folder));
  auto again = options(folder);
  again.resume_previous = true;
  auto const rest = train<small::spec>(again);
  CHECK(rest.losses.size() == 5);
  same(whole, rest);
}

TEST_CASE("resume without a checkpoint begins, and with a finished one trains no step") {
  auto const folder = fresh("begin");
  auto given = options(folder);
  given.resume = true;
  CHECK(train<small::spec>(given).losses.size() == 20);
  auto const done = train<small::spec>(given);
  CHECK(done.losses.empty());
  CHECK(done.result.steps == 20);
  given.steps = 23;
  CHECK(train<small::spec>(given).losses.size() == 3);
}

TEST_CASE("a signal ends a run after its step, with a checkpoint from which it goes on") {
  auto const folder = fresh("signal");
  auto const whole = train<small::spec>(options(fresh("signal_whole"), 0));
  auto const stopped = train<small::spec>(options(folder, 0), [](StepMetrics const& m) { if (m.step == 7) ::raise(SIGTERM); });
  CHECK(stopped.result.stopped);
  CHECK(stopped.result.steps == 7);
  auto resumed = options(folder, 0);
  resumed.resume = true;
  auto const rest = train<small::spec>(resumed);
  CHECK(rest.losses.size() == 13);
  same(whole, rest);
}

TEST_CASE("the last checkpoint knows of the last validation") {
  auto const folder = fresh("validated");
  auto given = options(folder, 20);
  given.validate_every = 0;
  auto const ended = train<small::spec>(given);
  auto const saved = Checkpoint::open(folder);
  CHECK(saved.step() == 20);
  CHECK(saved.facts().get<double>("early_stop.best") == ended.result.validation_loss);
  CHECK(saved.facts().get<std::int64_t>("validation.step") == 20);
  CHECK(saved.facts().get<double>("validation.loss") == ended.result.validation_loss);
  CHECK(saved.facts().get<double>("validation.bits_per_byte") == ended.result.bits_per_byte);
  given.resume = true;
  given.steps = 21;
  given.checkpoint_every = 21;
  train<small::spec>(given);
  CHECK(Checkpoint::open(folder).facts().get<std::int64_t>("validation.step") == 21);
}

TEST_CASE("a finished run's last checkpoint holds weights alone on demand, rounded, in the form to judge them by") {
  auto const folder = fresh("alone"), whole_folder = fresh("alone_whole");
  auto const whole = train<small::spec>(options(whole_folder));
  auto given = options(folder);
  given.last_model_only = true;
  given.export_dtype = "bfloat16";
  same(train<small::spec>(given), whole);
  auto const saved = Checkpoint::open(folder);
  CHECK(saved.step() == 20);
  CHECK_FALSE(saved.has_optimizer());
  CHECK(saved.manifest().weights_dtype == "bfloat16");
  for (auto const& name : saved.weights().names()) {
    CAPTURE(name);
    // The rule ends in `ema`.
    CHECK(saved.weights().tensor(name).equal(whole.tensors.at("optim.state." + name + ".ema").to(bfloat16)));
  }
  // The ones before are whole, started again the run is finished, and it cannot go on.
  CHECK(Checkpoint::open(folder, "15").has_optimizer());
  given.resume = true;
  auto const again = train<small::spec>(given);
  CHECK(again.losses.empty());
  CHECK(again.result.validation_loss == doctest::Approx(whole.result.validation_loss).epsilon(1e-3));
  given.steps = 21;
  CHECK_THROWS_WITH_AS(train<small::spec>(given), doctest::Contains("resume_previous goes on from the one before it"), FileError);
  given.resume = false;
  given.resume_previous = true;
  CHECK(train<small::spec>(given).losses.size() == 6);
  // Without other checkpoints, and not by a signal.
  auto single = options(fresh("alone_single"), 0);
  single.last_model_only = true;
  train<small::spec>(single);
  CHECK(list_checkpoints(single.out).size() == 1);
  single.out = fresh("alone_stopped").string();
  train<small::spec>(single, [](StepMetrics const& m) { if (m.step == 7) ::raise(SIGTERM); });
  CHECK(Checkpoint::open(single.out).has_optimizer());
}

TEST_CASE("what checkpoints leave out is not there, and a run goes on as far as the rest allows") {
  auto const folder = fresh("excluded");
  auto given = options(folder);
  given.checkpoint_exclude = {"*.exp_avg_sq", "no.such.name"};
  auto const whole = train<small::spec>(given);
  auto const saved = Checkpoint::open(folder);
  auto const state = saved.optimizer();
  CHECK(state.contains("optim.state.norm.weight.exp_avg"));
  CHECK_FALSE(state.contains("optim.state.norm.weight.exp_avg_sq"));
  CHECK(saved.manifest().excluded == given.checkpoint_exclude);
  given.resume = true;
  given.steps = 21;
  CHECK(train<small::spec>(given).losses.size() == 1);
}

TEST_CASE("a checkpoint of another model, of other data, or of weights alone is refused by what is wrong with it") {
  auto const folder = fresh("other");
  train<small::spec>(options(folder));
  auto given = options(folder);
  given.resume = true;
  given.steps = 30;
  CHECK_THROWS_WITH_AS(train<small::experts>(given), doctest::Contains("missing"), FileError);
  constexpr auto wide = with(small::spec, field<"width">(64));
  CHECK_THROWS_WITH_AS(train<wide>(given), doctest::Contains("expected shape"), ShapeError);
  auto other = small::text() | pack(8) | shuffle(7) | batch(4);
  Trainer trainer{Model<small::spec>{}, scheduled(rule(), schedule_of_run()), given};
  CHECK_THROWS_WITH_AS(trainer.fit(other), doctest::Contains("text, tokenizer, window length or seed has changed"), ArgumentError);
}

TEST_CASE("another rule's state is kept where its keys are known, and the rest is told") {
  auto const folder = fresh("rule");
  train<small::spec>(options(folder));
  auto data = small::data() | prefetch(2);
  lierne::detail::TrainableModel<Model<small::spec>> model{Model<small::spec>{}};
  Mesh const mesh;
  model.init({}, mesh);
  auto const optimizer = bind(adopt() | decay(0.1, times_rate));
  lierne::detail::StreamBatches batches(data);
  SpikeGuard guard;
  EarlyStop early_stop;
  RunState state{.model = &model, .optimizer = optimizer.get(), .batches = &batches, .guard = &guard, .early_stop = &early_stop};
  auto const notices = state.restore(Checkpoint::open(folder, "latest"));
  REQUIRE(notices.size() == 1);
  CHECK(notices[0].find("under the rule 'adopt") != std::string::npos);
  CHECK(notices[0].find(".ema") != std::string::npos);
  CHECK(state.step == 20);
  CHECK(state.tokens == 20 * 2 * 64);
}
