// SPDX-License-Identifier: Apache-2.0
#include "lierne/sweep/trial.hpp"

#include <csignal>

#include "train/small.hpp"

using namespace lierne;

namespace {

Options options(std::int64_t steps) { return {.steps = steps, .validate_every = 0, .sample = 0, .seed = 5, .quiet = true}; }

auto rule() { return clip_norm(1.0) | adamw({.rate = 1e-2}) | decay(0.1, times_rate); }

}  // namespace

TEST_CASE("a trial is the run of the trainer, number for number, and leaves the stream where it was") {
  auto data = small::data(), same = small::data();
  Row row;
  run_trial(trial(Model<small::spec>{}, scheduled(rule(), warmup(3)), data), options(8), row);
  Trainer trainer{Model<small::spec>{}, scheduled(rule(), warmup(3)), options(8)};
  auto const expected = trainer.fit(same);
  CHECK(row.loss == expected.loss);
  CHECK(row.validation_loss == expected.validation_loss);
  CHECK(row.bits_per_byte == expected.bits_per_byte);
  CHECK(row.diverged_at == 0);
  REQUIRE(row.curve.size() == 8);
  CHECK(row.curve.back().loss == row.loss);

  CHECK(data.position() == small::data().position());
  Row again;
  run_trial(trial(Model<small::spec>{}, scheduled(rule(), warmup(3)), data), options(8), again);
  CHECK(again.bits_per_byte == row.bits_per_byte);
  CHECK((again.curve == row.curve));
}

TEST_CASE("a row keeps what the monitor and the probes said last") {
  auto data = small::data();
  Row plain, row, erased;
  run_trial(trial(Model<small::spec>{}, rule(), data), options(8), plain);
  CHECK(plain.measured.empty());
  auto const measured = rule() | monitor({.every = 4});
  auto model = Model<small::spec>{} | probes<ActivationRms>({.every = 4});
  run_trial(trial(std::move(model), measured, data), options(8), row);
  CHECK(row.bits_per_byte == plain.bits_per_byte);
  CHECK(row.measured.at("l2_norm/update/global") > 0);
  run_trial(trial(Model<small::spec>{}, rule() | monitor({.every = 8}), data), options(8), erased);
  CHECK(erased.measured.at("l2_norm/update/global") == row.measured.at("l2_norm/update/global"));
  CHECK(row.measured.size() > erased.measured.size());
}

TEST_CASE("groups that depend on the model are those of the trial's model") {
  static constexpr auto wide = with(small::spec, field<"width">(64), MuP{.base_width = 32});
  auto data = small::data();
  auto const last = [&](AnyRule rule) {
    Row row;
    run_trial(trial(Model<wide>{}, std::move(rule), data), options(4), row);
    return row.loss;
  };
  auto const late = last(named("mine", scheduled(rule(), warmup(3), mup_groups(times_rate))));
  CHECK(late == last(scheduled(rule(), warmup(3), mup_groups(times_rate, wide).groups)));
  CHECK(late != last(scheduled(rule(), warmup(3))));
}

TEST_CASE("a run that diverges says at which step, keeps its curve, and rewinds the stream") {
  auto data = small::data();
  Row row;
  run_trial(trial(Model<small::spec>{}, plain_sgd(1e30), data), options(50), row);
  CHECK(row.diverged_at >= 2);
  CHECK(row.diverged_at <= 50);
  CHECK(row.curve.size() == static_cast<std::size_t>(row.diverged_at - 1));
  CHECK(std::isfinite(row.curve.front().loss));
  CHECK(std::isnan(row.bits_per_byte));
  CHECK(data.position() == small::data().position());
  // The trainer alone says the same step.
  Trainer trainer{Model<small::spec>{}, plain_sgd(1e30), options(50)};
  CHECK_THROWS_WITH_AS(trainer.fit(data), doctest::Contains(message("step ", row.diverged_at, " ").c_str()), NumericError);
}

TEST_CASE("a signal ends the sweep and not its run alone") {
  using Stream = decltype(small::data());
  struct Raising final : Batches {
    lierne::detail::StreamBatches<Stream> inner;
    int given = 0;
    explicit Raising(Stream& stream) : inner(stream) {}
    Batch next() override {
      if (++given == 3) std::raise(SIGTERM);
      return inner.next();
    }
    void shard(Shard shard) override { inner.shard(shard); }
    Position position() const override { return inner.position(); }
    void seek(Position position) override { inner.seek(position); }
    std::int64_t validation_size() const override { return inner.validation_size(); }
    Batch validation(std::int64_t index) const override { return inner.validation(index); }
    std::int64_t length() const override { return inner.length(); }
    std::int64_t batch_size() const override { return inner.batch_size(); }
    Tokenizer const& tokenizer() const override { return inner.tokenizer(); }
  };
  static int ended = 0;
  auto const before = std::signal(SIGINT, [](int signal) { ended = signal; });
  auto data = small::data();
  auto described = trial(Model<small::spec>{}, rule(), data);
  described.data.replay = [&](std::function<void(Batches&)> const& use) {
    Raising batches(data);
    use(batches);
  };
  Row row;
  CHECK_THROWS_WITH_AS(run_trial(std::move(described), options(50), row), doctest::Contains("ended by a signal"), Error);
  CHECK(ended == SIGINT);
  std::signal(SIGINT, before);
}

TEST_CASE("a rule without a fused pass is refused where one is required") {
  auto data = small::data();
  Row row;
  auto required = options(1);
  auto const rule = recipe("c", 1e-2, momentum() | normalise() | cautious());
  run_trial(trial(Model<small::spec>{}, rule, data), required, row);
  CHECK(row.loss > 0);
  required.require_fused = true;
  CHECK_THROWS_WITH_AS(run_trial(trial(Model<small::spec>{}, rule, data), required, row),
                       doctest::Contains("has no fused pass"), ArgumentError);
  run_trial(trial(Model<small::spec>{}, adamw(), data), required, row);
}

TEST_CASE("data without held-out text, and errors that are no divergence, come through") {
  std::vector<std::string> const documents{"Emma Woodhouse, handsome, clever, and rich, with a comfortable home, seemed."};
  Text const all{std::make_shared<Tokenizer const>(small::text().tokenizer()), documents, {.validation = 0}};
  auto data = all | pack(8) | shuffle(7) | batch(1);
  Row row;
  CHECK_THROWS_WITH_AS(run_trial(trial(Model<small::spec>{}, adamw(), data), options(2), row),
                       doctest::Contains("expected data with held-out text"), ArgumentError);
  auto wrong = options(2);
  wrong.device = "tpu";
  auto good = small::data();
  CHECK_THROWS_AS(run_trial(trial(Model<small::spec>{}, adamw(), good), wrong, row), ArgumentError);
}
