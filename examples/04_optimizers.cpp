// SPDX-License-Identifier: Apache-2.0
// Twenty-four update rules in one binary, each at the best of its rates: `04_optimizers --out runs/optimizers --seeds 3`.
#include <lierne/lierne.hpp>
#include <lierne/sweep/sweep.hpp>

#include <CLI/CLI.hpp>

namespace ln = lierne;

constexpr ln::Decoder tiny{.layers = 2,
                           .width = 64,
                           .vocab = 4096,
                           .mixer = ln::Attention{.heads = 4},
                           .channel = ln::SwiGlu{.hidden = 192}};

// A stage of this program's own: the direction is shrunk where it is large.
struct SoftLimit {
  using pipe_role = ln::StageRole;
  static constexpr bool changes_direction = true;
  double size = 1;

  constexpr auto coefficients(auto const&) const { return std::array{1 / size}; }
  template <class V>
  static constexpr void element(auto const& numbers, ln::Element<V>& at) {
    V const scaled = numbers[0] * at.direction;
    at.direction = at.direction / sqrt(V(1) + scaled * scaled);
  }
  std::string name() const { return "soft limit " + ln::number(size); }
};

int main(int argc, char** argv) {
  ln::SweepOptions options;
  options.steps = 120;
  options.validate_every = 0;
  std::int64_t seeds = 2;
  CLI::App app{"compares 24 update rules on one text, each at the best of five rates"};
  options.add_to(app);
  app.add_option("--seeds", seeds, "runs of each rule and rate, each from other first weights")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  using ln::named;
  auto const l = ln::decay(0.1, ln::times_rate);
  auto const own = [](auto body) { return ln::recipe("own", 3e-3, body); };
  auto const rules = ln::rules("rule", {
      ln::adamw({.rate = 3e-3, .beta2 = 0.95}) | l,
      named("adam, coupled decay", ln::decay(1e-4, ln::coupled) | ln::adamw({.rate = 3e-3, .beta2 = 0.95})),
      named("decoupled adamw", ln::adamw({.rate = 3e-3, .beta2 = 0.95}) | ln::decay(3e-4, ln::times_schedule)),
      named("adamw, independent decay", ln::adamw({.rate = 3e-3, .beta2 = 0.95}) | ln::decay(1e-4, ln::independent)),
      ln::amsgrad({.rate = 3e-3, .beta2 = 0.95}) | l,
      named("adam, floor epsilon", own(ln::momentum() | ln::normalise<ln::Epsilon::floor>({.beta = 0.95})) | l),
      named("adam, previous moment", own(ln::momentum() | ln::normalise_by_previous({.beta = 0.95})) | l),
      named("adam, soft limit", own(ln::momentum() | ln::normalise({.beta = 0.95}) | SoftLimit{2}) | l),
      ln::nadam({.rate = 3e-3, .beta2 = 0.95}) | l,
      ln::qhadamw({.rate = 3e-3, .nu = 0.7}) | l,
      ln::adopt({.rate = 3e-3, .beta2 = 0.99}) | l,
      named("adopt, no clip", ln::adopt({.rate = 3e-3, .beta2 = 0.99}, ln::no_bound) | l),
      ln::qhadopt({.rate = 3e-3, .beta1 = 0.95, .beta2 = 0.99}) | l,
      named("qhadopt, coupled decay", ln::decay(1e-4, ln::coupled) | ln::qhadopt({.rate = 3e-3, .beta1 = 0.95, .beta2 = 0.99})),
      ln::laprop({.rate = 3e-3, .beta2 = 0.95}) | l,
      ln::rmsprop({.rate = 3e-3, .alpha = 0.95}) | l,
      named("rmsprop, centred", ln::rmsprop<ln::Centring::mean>({.rate = 1e-3, .alpha = 0.95}) | l),
      ln::lion({.rate = 5e-4}) | l,
      named("sign momentum", ln::recipe("signs", 5e-4, ln::momentum<ln::Bias::kept>() | ln::signs()) | l),
      ln::ademamix({.rate = 2e-3, .beta2 = 0.95, .beta3 = 0.99, .share = 2, .warmup = 100}) | l,
      named("sgd, nesterov", ln::sgd<ln::Lookahead::nesterov>({.rate = 0.1})),
      named("sgd, heavy ball", ln::sgd({.rate = 0.1})),
      ln::qhm({.rate = 1, .beta = 0.95}),
      ln::aggmo<3>({.rate = 0.1, .betas = {0, 0.9, 0.99}}),
  });

  auto data = ln::text(options.data, std::filesystem::path(options.tokenizer), {.validation = 0.01}) | ln::pack(64) |
              ln::shuffle(42) | ln::batch(4);
  ln::sweep(options, rules, ln::rate_factors({0.5, 1, 2, 4, 8}), ln::seeds(seeds), [&](auto rule) {
    return ln::trial(ln::Model<tiny>{}, ln::scheduled(ln::clip_norm(1.0) | rule, ln::warmup(20) | ln::cosine_to(0.1)), data);
  });
}
