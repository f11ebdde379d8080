// SPDX-License-Identifier: Apache-2.0
// A loss and a metric of one's own in a run: `08_own_metric_and_loss --steps 200 --out runs/own`.
#include <lierne/lierne.hpp>
#include <lierne/tensor/operations.hpp>

#include <cmath>
#include <cstdio>

namespace ln = lierne;

// A loss: cross entropy towards labels that are smoothed, the sum over those that are not ignored.
struct SmoothedCrossEntropy {
  static constexpr auto role = ln::Role::loss;
  double smoothing = 0.1;

  ln::Tensor operator()(ln::Tensor const& logits, ln::Tensor const& labels) const {
    return at::cross_entropy_loss(logits.to(ln::float32).flatten(0, 1), labels.flatten(), {}, at::Reduction::Sum,
                                  ln::ignored_label, smoothing);
  }
  std::string name() const { return "cross entropy smoothed by " + ln::number(smoothing); }
  friend constexpr bool operator==(SmoothedCrossEntropy const&, SmoothedCrossEntropy const&) = default;
};

// A metric: the perplexity of the held-out text, and how much of the run waited for data.
struct Perplexity final : ln::Sink {
  double waited = 0, trained = 0;

  void write(ln::StepMetrics const& m) override { waited += m.data_seconds, trained += m.seconds; }
  void write(ln::ValidationMetrics const& m) override {
    std::printf("step %lld: perplexity %.1f, %.1f %% of the time waiting for data\n", static_cast<long long>(m.step), std::exp(m.loss),
                100 * waited / trained);
  }
  using Sink::write;
};

constexpr ln::Decoder tiny{.layers = 2,
                           .width = 128,
                           .vocab = 4096,
                           .mixer = ln::Attention{.heads = 4},
                           .loss = SmoothedCrossEntropy{.smoothing = 0.05}};

int main(int argc, char** argv) {
  auto options = ln::Options::parse(argc, argv);
  auto rule = ln::clip_norm(1.0) | ln::adamw({.rate = 2e-3, .beta2 = 0.95}) | ln::decay(0.1, ln::times_rate);
  auto data = ln::text(options.data, options.tokenizer) | ln::pack(128) | ln::shuffle(options.data_seed) | ln::batch(8);
  ln::Trainer trainer{ln::Model<tiny>{}, ln::scheduled(rule, ln::warmup(20) | ln::cosine_to(0.1)), options};
  trainer.add_sink(std::make_unique<Perplexity>());
  trainer.observe([](ln::CheckpointMetrics const& saved) {  // with --checkpoint-every 100
    std::printf("step %lld: saved %s\n", static_cast<long long>(saved.step), saved.path.c_str());
  });
  trainer.fit(data);
}
