// SPDX-License-Identifier: Apache-2.0
// The coordinate check of muP: how activations, and what training adds to them, grow with the width of the model.
//
// A model of muP keeps the sizes of its coordinates from width to width while it trains; one of the standard
// parametrisation does not. Each size's slope in a log-log plot against width says which. Probes are what branches add
// to the residual stream, before any norm behind them, the logits q·k of attention, and the logits of the output: the
// stream itself hides faults, as norms hold it flat in every parametrisation. Sizes may shrink, so a model whose output
// vanishes passes: wider models must also learn no slower. Planted faults must fail.
//
//   study_coordinates [--seeds N] [--steps N] [--widths N] [--log2-rate N]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <set>

#include "lierne/nn/nn.hpp"
#include "lierne/optim/optim.hpp"
#include "lierne/spec/spec.hpp"
#include "lierne/tensor/generator.hpp"
#include "lierne/tensor/operations.hpp"

using namespace lierne;

namespace {

int seeds = 1, steps = 10, widths = 3, log2_rate = -10;
int failures = 0;

constexpr int base_width = 128, head_size = 32, layers = 2, vocab = 256;

/// The root mean square of each probe at a step: of its values, and of what has changed since the first step.
struct Sizes {
  double value = 0;
  double change = 0;
};
/// By probe and step.
using Coordinates = std::map<std::pair<std::string, int>, Sizes>;

double rms(Tensor const& x) { return x.square().mean().sqrt().item<double>(); }

/// Keeps what branches add, and the logits of attention.
class Probe : public Observer {
 public:
  std::map<std::string, Tensor> values;

  void activation(std::string const& site, Tensor const& x) override {
    if (site.ends_with("attention") || site.ends_with("feed_forward")) values[site] = x.clone();
  }
  void attention(std::string const& site, Tensor const& q, Tensor const& k, kernel::VisibleKeys const& /*visible*/,
                 double scale) override {
    values[site + ".logits"] = at::einsum("blnh,bmnh->bnlm", {q, k.repeat_interleave(q.size(2) / k.size(2), 2)}) * scale;
  }
};

template <auto spec>
Coordinates train(Groups const& table, std::uint64_t seed) {
  Model<spec> model;
  model.init({.seed = seed});
  std::vector<Slot> slots;
  model.walk([&](std::string const& name, Parameter& p) { slots.push_back({.name = name, .weight = p.owned, .kind = p.kind}); });
  auto const constant = [](std::int64_t, std::int64_t) { return 1.0; };
  auto const optimizer = bind(scheduled(clip_norm(1.0) | adamw({.rate = std::exp2(log2_rate), .beta2 = 0.95}), constant, table));
  auto generator = make_generator(seed);
  // The second half repeats the first: something for attention to find.
  auto const half = at::randint(vocab, {4, 16}, generator, at::TensorOptions().dtype(int64));
  auto const text = at::cat({half, half, half.narrow(1, 0, 1)}, 1);
  auto const tokens = text.narrow(1, 0, 32).contiguous(), labels = text.narrow(1, 1, 32).contiguous();

  Coordinates coordinates;
  std::map<std::string, Tensor> first;
  for (int step = 0; step <= steps; ++step) {
    Probe probe;
    {
      NoGrad guard;
      coordinates[{"loss", step}].value = model.loss(tokens, labels, 128, probe).template item<double>();
      probe.values["output"] = model.forward(tokens);
    }
    if (step == 0) first = probe.values;
    for (auto const& [site, x] : probe.values) coordinates[{site, step}] = {rms(x), step == 0 ? 0 : rms(x - first.at(site))};
    backward(model.loss(tokens, labels, 128));
    optimizer->step(slots, {.step = step, .total = steps + 1});
  }
  return coordinates;
}

/// Slopes of ln(size) against ln(width), by least squares.
double slope(std::vector<double> const& log_widths, std::vector<double> const& sizes) {
  auto const n = static_cast<double>(sizes.size());
  double sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    double const x = log_widths[i], y = std::log(sizes[i]);
    sx += x, sy += y, sxx += x * x, sxy += x * y;
  }
  return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

/// The extreme slopes of a kind of probe over layers and steps 1 ... of values and of changes.
struct Slopes {
  double lowest = 1e9, highest = -1e9;
  void add(double value) {
    lowest = std::min(lowest, value);
    highest = std::max(highest, value);
  }
};
struct Report {
  Slopes attention, feed_forward, logits, output;
  std::vector<double> losses;  // of each width, the mean over the steps
};

/// `table` gives a width's groups, `at<width>` is the record.
template <class Record, class Table>
Report study(char const* name, Record const& record, Table const& table) {
  std::vector<double> log_widths;
  std::vector<Coordinates> by_width;
  auto const run = [&]<int width>(std::integral_constant<int, width>) {
    if (static_cast<int>(by_width.size()) >= widths) return;
    constexpr auto spec = Record::template at<width>();
    Coordinates sum;
    for (int seed = 0; seed < seeds; ++seed) {
      for (auto const& [key, sizes] : train<spec>(table(spec), static_cast<std::uint64_t>(seed))) {
        sum[key].value += sizes.value / seeds;
        sum[key].change += sizes.change / seeds;
      }
    }
    log_widths.push_back(std::log(width));
    by_width.push_back(sum);
  };
  static_cast<void>(record);
  run(std::integral_constant<int, 128>{});
  run(std::integral_constant<int, 256>{});
  run(std::integral_constant<int, 512>{});
  run(std::integral_constant<int, 1024>{});

  Report report;
  for (auto const& [key, unused] : by_width.front()) {
    auto const& [site, step] = key;
    if (step == 0 || site == "loss") continue;
    auto& slopes = site == "output"               ? report.output
                   : site.ends_with(".logits")    ? report.logits
                   : site.ends_with("attention") ? report.attention
                                                 : report.feed_forward;
    for (auto const part : {&Sizes::value, &Sizes::change}) {
      std::vector<double> sizes;
      for (auto const& coordinates : by_width) sizes.push_back(coordinates.at(key).*part);
      slopes.add(slope(log_widths, sizes));
    }
  }
  for (auto const& coordinates : by_width) {
    double sum = 0;
    for (int step = 1; step <= steps; ++step) sum += coordinates.at({"loss", step}).value;
    report.losses.push_back(sum / steps);
  }
  std::printf("%-44s", name);
  for (auto const* s : {&report.attention, &report.feed_forward, &report.logits, &report.output}) {
    std::printf("  %+5.2f ... %+5.2f", s->lowest, s->highest);
  }
  for (double loss : report.losses) std::printf("  %.3f", loss);
  std::printf("\n");
  std::fflush(stdout);
  return report;
}

constexpr MuP mup{.base_width = base_width};
constexpr Decoder pre_norm{.layers = layers, .width = base_width, .vocab = vocab, .scaling = mup};

/// Heads of one size, more of them in wider models.
template <auto spec>
struct MoreHeads {
  template <int width>
  static constexpr auto at() {
    return with(spec, field<"width">(width), Attention{.heads = width / head_size}, SwiGlu{.hidden = 3 * width});
  }
};
/// Four heads, larger ones in wider models.
template <auto spec>
struct LargerHeads {
  template <int width>
  static constexpr auto at() {
    return with(spec, field<"width">(width), Attention{.heads = base_width / head_size}, SwiGlu{.hidden = 3 * width});
  }
};
/// MoreHeads whose logits are not divided by the width multiplier.
template <auto spec>
struct LogitsUndivided {
  template <int width>
  static constexpr auto at() {
    return with(MoreHeads<spec>::template at<width>(),
                MuP{.base_width = base_width, .output_factor = static_cast<double>(width) / base_width});
  }
};

/// MoreHeads whose output starts with width^-½, as the fork's does, besides being divided.
template <auto spec>
struct OutputSmaller {
  template <int width>
  static constexpr auto at() {
    return with(MoreHeads<spec>::template at<width>(),
                MuP{.base_width = base_width, .output_deviation = 1 / __builtin_sqrt(static_cast<double>(width))});
  }
};

auto const by_record = [](auto const& spec) { return mup_groups(times_rate, spec).groups; };
auto const one_group = [](auto const&) { return groups(otherwise()); };
/// The table without 1/m_N on the rates of hidden matrices.
auto const hidden_rates_kept = [](auto const& spec) {
  auto table = mup_groups(times_rate, spec).groups;
  for (auto& group : table.all) group.multipliers.rate = 1;
  return table;
};

void expect(bool holds, char const* what) {
  if (holds) return;
  ++failures;
  std::cout << "  FAILED: " << what << std::endl;
}
bool branches_hold(Report const& r) {
  auto const flat = [](Slopes const& s) { return std::abs(s.lowest) <= 0.25 && std::abs(s.highest) <= 0.25; };
  return flat(r.attention) && flat(r.feed_forward);
}
bool logits_hold(Report const& r) { return r.logits.highest <= 0.3; }
bool output_holds(Report const& r) { return r.output.highest <= 0.3; }
bool wider_is_better(Report const& r) { return std::is_sorted(r.losses.rbegin(), r.losses.rend()); }

}  // namespace

int main(int count, char** arguments) {
  for (int i = 1; i + 1 < count; i += 2) {
    std::string const option = arguments[i];
    int* const value = option == "--seeds" ? &seeds : option == "--steps" ? &steps : option == "--widths" ? &widths
                       : option == "--log2-rate" ? &log2_rate : nullptr;
    if (value == nullptr) {
      std::cerr << "study_coordinates: expected --seeds, --steps, --widths or --log2-rate, found " << option << "\n";
      return 2;
    }
    *value = std::atoi(arguments[i + 1]);
  }
  std::cout << "slopes of ln(rms) against ln(width), widths " << base_width << " ... " << (base_width << (widths - 1)) << ", steps 1 ... "
            << steps << ", " << seeds << " seeds, rate 2^" << log2_rate << ", base " << base_width << "\n"
            << std::string(44, ' ') << "  attention          feed-forward       q·k                output             mean losses\n";
  constexpr auto preset = with(pre_norm, field<"tied">(true), field<"embedding_norm">(true), field<"peri_norm">(true));
  constexpr auto growing = with(pre_norm, MuP{.base_width = base_width, .base_head_size = head_size});
  auto const holds = [](char const* name, auto record) {
    auto const report = study(name, record, by_record);
    expect(branches_hold(report), "muP: |slope| of branches at most 0.25");
    expect(logits_hold(report), "muP: slope of q·k at most 0.3");
    expect(output_holds(report), "muP: slope of the output at most 0.3");
    expect(wider_is_better(report), "muP: no wider model behind a narrower one");
  };
  holds("muP, pre-norm", MoreHeads<pre_norm>{});
  holds("muP, preset: peri-norm, tied", MoreHeads<preset>{});
  holds("muP, larger heads, 1/d", LargerHeads<growing>{});

  auto const control = study("standard", MoreHeads<with(pre_norm, Standard{})>{}, one_group);
  expect(control.attention.highest >= 0.8 && control.feed_forward.highest >= 0.8, "standard: a slope of branches of at least 0.8");

  expect(!branches_hold(study("fault: hidden rates not divided", MoreHeads<pre_norm>{}, hidden_rates_kept)),
         "the fault must show in the branches");
  expect(!output_holds(study("fault: logits not divided", LogitsUndivided<preset>{}, by_record)),
         "the fault must show in the output");
  expect(!logits_hold(study("fault: larger heads, 1/sqrt(d)", LargerHeads<pre_norm>{}, by_record)),
         "the fault must show in q·k");
  expect(!wider_is_better(study("fault: output starts with width^-1/2", OutputSmaller<pre_norm>{}, by_record)),
         "the fault must show in the losses");
  std::cout << (failures == 0 ? "every gate held, every fault was found\n" : "some gates did not hold\n");
  return failures == 0 ? 0 : 1;
}
