// SPDX-License-Identifier: Apache-2.0
// What a Trainer with all its sinks costs over a bare loop of the same steps on the same batches.
//   bench_trainer [--threads 1] [--blocks 60] [--block 20] [--out FOLDER] [--json FILE]
//
// A block of bare steps runs inside the Trainer's request for a batch, before each block of its own steps: both see the same
// minutes of the machine, and their difference is taken block by block, of the clock and of the processor's time (which other
// programs on the machine disturb less; of the calling thread, so it is all of it on one thread). What passes outside loss and
// update is summed too: it is the Trainer's own, with no difference of two long times in it. Sinks that go by the clock (once a
// second, once in ten) write twice as often a step as in a run without bare blocks. The progress line goes to a file.
#include <fcntl.h>
#include <lierne/lierne.hpp>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "lierne/tensor/device.hpp"
#include "lierne/tensor/operations.hpp"

namespace {

namespace fs = std::filesystem;
namespace ln = lierne;

constexpr ln::Decoder spec{.layers = 2,
                           .width = 128,
                           .vocab = 4096,
                           .mixer = ln::Attention{.heads = 4, .kv_heads = 2},
                           .channel = ln::SwiGlu{.hidden = 384}};
constexpr std::int64_t rows = 2, length = 128;

auto rule() { return ln::clip_norm(1.0) | ln::adamw({.rate = 1e-4, .beta2 = 0.95}) | ln::decay(0.1, ln::times_rate); }

/// Seconds of the clock and of the calling thread on a processor: a moment, or what passes between two.
struct Time {
  double clock = 0, processor = 0;

  static Time now() {
    ::timespec spent{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return {std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(),
            static_cast<double>(spent.tv_sec) + 1e-9 * static_cast<double>(spent.tv_nsec)};
  }
  friend Time operator+(Time a, Time b) { return {a.clock + b.clock, a.processor + b.processor}; }
  friend Time operator-(Time a, Time b) { return {a.clock - b.clock, a.processor - b.processor}; }
  friend Time operator/(Time a, std::int64_t n) { return {a.clock / static_cast<double>(n), a.processor / static_cast<double>(n)}; }
};

struct Settings {
  int threads = 1;
  std::int64_t blocks = 60, block = 20;
  fs::path out = fs::temp_directory_path();
  std::string json{};
};

std::vector<ln::Batch> prepared() {
  std::vector<ln::Batch> all;
  for (int i = 0; i < 16; ++i) {
    auto const window = at::randint(spec.vocab, {rows, length + 1}, at::TensorOptions().dtype(ln::int64));
    all.push_back({.tokens = window.narrow(1, 0, length).contiguous(), .labels = window.narrow(1, 1, length).contiguous(),
                   .valid = rows * length, .global_valid = rows * length, .bytes = rows * length});
  }
  return all;
}

/// Forward, backward, clip and update, gradients gone: nothing else.
class BareLoop {
 public:
  explicit BareLoop(std::vector<ln::Batch> const& batches) : batches_(&batches), optimizer_(ln::bind(rule())) {
    model_.init({.seed = 42});
    for (auto* p : model_.parameters()) slots_.push_back({.name = p->name, .weight = p->owned});
  }
  void step() {
    auto const& batch = (*batches_)[static_cast<std::size_t>(done_) % batches_->size()];
    auto const loss = model_.loss(batch.tokens, batch.labels, static_cast<double>(batch.global_valid));
    ln::backward(loss);
    optimizer_->step(slots_, {.step = done_++});
    last_ = loss.template item<double>();
  }

 private:
  std::vector<ln::Batch> const* batches_;
  ln::Model<spec> model_;
  std::unique_ptr<ln::Optimizer> optimizer_;
  std::vector<ln::Slot> slots_;
  std::int64_t done_ = 0;
  double last_ = 0;
};

/// What has been measured.
struct Record {
  std::vector<Time> bare{}, trained{};  // a step, of each block without its first
  std::vector<Time> own{};              // a step outside loss and update, of each of the Trainer's blocks
  Time computed = Time::now();          // when the last update ended
  Time outside{};                       // since the block began
};

/// Prepared batches; a block of bare steps before each block of the Trainer's.
class Alternating final : public ln::Batches {
 public:
  Alternating(std::vector<ln::Batch> const& batches, ln::Tokenizer const& tokenizer, std::int64_t block, Record& record)
      : batches_(&batches), tokenizer_(&tokenizer), bare_(batches), block_(block), record_(&record) {}

  ln::Batch next() override {
    auto const here = Time::now();
    auto const counted = block_ - 1;
    if (taken_ % block_ == 0) {
      if (taken_ > 0) {
        record_->trained.push_back((here - began_) / counted);
        record_->own.push_back((record_->outside + (here - record_->computed)) / counted);
      }
      bare_.step();  // as the Trainer's first step of a block, on caches that are another's
      auto const start = Time::now();
      for (std::int64_t i = 0; i < counted; ++i) bare_.step();
      record_->bare.push_back((Time::now() - start) / counted);
    }
    if (taken_ % block_ == 1) {
      began_ = record_->computed = here;
      record_->outside = {};
    }
    return (*batches_)[static_cast<std::size_t>(taken_++) % batches_->size()];
  }
  void shard(ln::Shard) override {}
  ln::Position position() const override { return {}; }
  void seek(ln::Position) override {}
  std::int64_t validation_size() const override { return 0; }
  ln::Batch validation(std::int64_t) const override { return {}; }
  std::int64_t length() const override { return ::length; }
  std::int64_t batch_size() const override { return rows; }
  ln::Tokenizer const& tokenizer() const override { return *tokenizer_; }

 private:
  std::vector<ln::Batch> const* batches_;
  ln::Tokenizer const* tokenizer_;
  BareLoop bare_;
  std::int64_t block_, taken_ = 0;
  Record* record_;
  Time began_{};
};

/// The model; says when a step's computation begins.
class TimedModel final : public ln::Trainable {
 public:
  explicit TimedModel(Record& record) : record_(&record) {}
  ln::Tensor loss(ln::Tensor const& tokens, ln::Tensor const& labels, double count) override {
    record_->outside = record_->outside + (Time::now() - record_->computed);
    return inner_.loss(tokens, labels, count);
  }
  ln::Plan plan() const override { return inner_.plan(); }
  std::string name() const override { return inner_.name(); }
  std::int64_t vocab() const override { return inner_.vocab(); }
  ln::Dtype compute() const override { return inner_.compute(); }
  std::int64_t parameter_count() const override { return inner_.parameter_count(); }
  double flops_per_token(std::int64_t of_length) const override { return inner_.flops_per_token(of_length); }
  void init(ln::InitOptions const& options, ln::Mesh const& mesh) override { inner_.init(options, mesh); }
  ln::Tensor observed_loss(ln::Tensor const& tokens, ln::Tensor const& labels, double count, ln::Observer& observer) override {
    return inner_.observed_loss(tokens, labels, count, observer);
  }
  std::vector<ln::ExpertLoad> update_expert_bias() override { return inner_.update_expert_bias(); }
  ln::Tensor logits(ln::Tensor const& tokens) override { return inner_.logits(tokens); }
  std::vector<ln::Parameter*> parameters() override { return inner_.parameters(); }

 private:
  ln::detail::TrainableModel<ln::Model<spec>> inner_{ln::Model<spec>{}};
  Record* record_;
};

/// The optimizer; says when it ends.
class TimedOptimizer final : public ln::Optimizer {
 public:
  explicit TimedOptimizer(Record& record) : inner_(ln::bind(rule())), record_(&record) {}
  ln::StepReport step(std::span<ln::Slot const> slots, ln::StepContext const& context) override {
    auto report = inner_->step(slots, context);
    record_->computed = Time::now();
    return report;
  }
  std::map<std::string, ln::Tensor> state() const override { return inner_->state(); }
  ln::LoadReport load_state(std::map<std::string, ln::Tensor> const& state) override { return inner_->load_state(state); }
  void use_evaluation_weights(std::span<ln::Slot const> slots) override { inner_->use_evaluation_weights(slots); }
  void use_training_weights() override { inner_->use_training_weights(); }
  bool in_evaluation_form() const override { return inner_->in_evaluation_form(); }
  double initial_rate() const override { return inner_->initial_rate(); }
  double rate(ln::StepContext const& context) const override { return inner_->rate(context); }
  std::string name() const override { return inner_->name(); }

 private:
  std::unique_ptr<ln::Optimizer> inner_;
  Record* record_;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  auto const middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// The order statistics between which the median lies in 95 of 100 cases (by the binomial's normal approximation).
std::pair<double, double> interval_of_median(std::vector<double> values) {
  std::ranges::sort(values);
  auto const n = static_cast<double>(values.size());
  auto const half = 1.96 * std::sqrt(n) / 2;
  auto const low = static_cast<std::size_t>(std::max(0.0, std::floor(n / 2 - half)));
  auto const high = static_cast<std::size_t>(std::min(n - 1, std::ceil(n / 2 + half)));
  return {values[low], values[high]};
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app{"times a Trainer against a bare loop"};
  app.add_option("--threads", settings.threads)->check(CLI::PositiveNumber);
  app.add_option("--blocks", settings.blocks, "of bare steps and of the Trainer's, in turn")->check(CLI::Range(4, 1'000'000));
  app.add_option("--block", settings.block, "steps of a block")->check(CLI::Range(2, 1'000'000));
  app.add_option("--out", settings.out, "folder for the run directory, which is removed");
  app.add_option("--json", settings.json, "file for the cases");
  CLI11_PARSE(app, argc, argv);
  auto const folder = settings.out / ("lierne-bench-trainer-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  ln::set_threads(settings.threads);

  auto const tokenizer = ln::Tokenizer::load("tests/golden/tokenizer/tokenizer.json");
  auto const batches = prepared();
  Record record;
  Alternating alternating(batches, tokenizer, settings.block, record);
  // One block more, whose end nobody asks for, and one at the beginning that does not count.
  ln::Options const options{.out = folder.string(), .steps = (settings.blocks + 1) * settings.block + 1, .validate_every = 0, .sample = 0,
                            .threads = settings.threads};
  int const terminal = ::dup(STDERR_FILENO);
  int const lines = ::open((folder / "progress.txt").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  ::dup2(lines, STDERR_FILENO);
  {
    std::unique_ptr<ln::Trainable> model = std::make_unique<TimedModel>(record);
    std::unique_ptr<ln::Optimizer> optimizer = std::make_unique<TimedOptimizer>(record);
    ln::Trainer trainer{std::move(model), std::move(optimizer), options};
    trainer.fit(alternating);
  }
  ::dup2(terminal, STDERR_FILENO);
  fs::remove_all(folder);

  nlohmann::ordered_json list;
  auto const report = [&](char const* kind, double Time::*of) {
    std::vector<double> bare, trained, own, differences;
    for (std::size_t i = 1; i < record.trained.size(); ++i) {
      bare.push_back(1e3 * (record.bare[i].*of));
      trained.push_back(1e3 * (record.trained[i].*of));
      own.push_back(1e3 * (record.own[i].*of));
      // The bare blocks on both sides of the Trainer's: what drifts cancels.
      differences.push_back(100 * (record.trained[i].*of / ((record.bare[i].*of + record.bare[i + 1].*of) / 2) - 1));
    }
    auto const [low, high] = interval_of_median(differences);
    double const own_mean = std::accumulate(own.begin(), own.end(), 0.0) / static_cast<double>(own.size());
    double const bare_ms = median(bare), trained_ms = median(trained), overhead = median(differences);
    std::printf("%s: bare loop %.3f ms a step, Trainer with all sinks %.3f (medians of %zu blocks of %lld steps, in turn)\n", kind, bare_ms,
                trained_ms, bare.size(), static_cast<long long>(settings.block - 1));
    std::printf("  overhead by differences %+.2f %% (95 %%: %+.2f to %+.2f)\n", overhead, low, high);
    std::printf("  outside loss and update %.4f ms a step (mean; median block %.4f), %.2f %% of a bare step\n", own_mean, median(own),
                100 * own_mean / bare_ms);
    list.push_back({{"name", std::string("trainer with all sinks, ") + kind}, {"ours", trained_ms}, {"peer", bare_ms}, {"peer_name", "bare loop"},
                    {"ratio", 1 / (1 + overhead / 100)}, {"unit", "ms a step"}, {"overhead_percent", overhead},
                    {"overhead_percent_low", low}, {"overhead_percent_high", high}, {"own_ms", own_mean},
                    {"own_percent", 100 * own_mean / bare_ms}});
  };
  report("clock", &Time::clock);
  report("processor", &Time::processor);
  if (!settings.json.empty()) std::ofstream(settings.json) << list.dump(1) << '\n';
}
