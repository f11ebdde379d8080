// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/attention_gradient.hpp"

#include <cmath>

#include "nn/kernel/against.hpp"

using namespace lierne;
using kernel::detail::AttentionGradient;
using kernel::detail::AttentionTiles;

namespace {

/// Gradients by loops over every pair of positions, in double. `gradients`: dq, dk, dv.
struct ByLoops {
  std::vector<Tensor> gradients;
  Tensor out, log_sum;

  ByLoops(Tensor const& q, Tensor const& k, Tensor const& v, Tensor const& up, Tensor const& first, double scale)
      : gradients{at::zeros_like(q), at::zeros_like(k), at::zeros_like(v)}, out(at::zeros_like(q)),
        log_sum(at::zeros({q.size(0), q.size(2), q.size(1)}, q.options())) {
    auto const length = q.size(1), group = q.size(2) / k.size(2), size = q.size(3);
    auto const a = q.accessor<double, 4>(), b = k.accessor<double, 4>(), c = v.accessor<double, 4>(), d = up.accessor<double, 4>();
    auto dq = gradients[0].accessor<double, 4>(), dk = gradients[1].accessor<double, 4>(), dv = gradients[2].accessor<double, 4>();
    auto y = out.accessor<double, 4>();
    for (std::int64_t i = 0; i < q.size(0); ++i) {
      for (std::int64_t n = 0; n < q.size(2); ++n) {
        for (std::int64_t t = 0; t < length; ++t) {
          auto const from = first[i][t].item<std::int64_t>(), key = n / group;
          std::vector<double> p;
          double sum = 0, along = 0;
          for (auto s = from; s <= t; ++s) {
            double score = 0;
            for (std::int64_t h = 0; h < size; ++h) score += a[i][t][n][h] * b[i][s][key][h];
            p.push_back(std::exp(scale * score));
            sum += p.back();
          }
          log_sum.accessor<double, 3>()[i][n][t] = std::log(sum);
          for (auto s = from; s <= t; ++s) {
            auto& weight = p[static_cast<std::size_t>(s - from)];
            weight /= sum;
            for (std::int64_t h = 0; h < size; ++h) y[i][t][n][h] += weight * c[i][s][key][h];
          }
          for (std::int64_t h = 0; h < size; ++h) along += y[i][t][n][h] * d[i][t][n][h];
          for (auto s = from; s <= t; ++s) {
            double const weight = p[static_cast<std::size_t>(s - from)];
            double change = -along;
            for (std::int64_t h = 0; h < size; ++h) change += d[i][t][n][h] * c[i][s][key][h];
            for (std::int64_t h = 0; h < size; ++h) {
              dv[i][s][key][h] += weight * d[i][t][n][h];
              dq[i][t][n][h] += scale * weight * change * b[i][s][key][h];
              dk[i][s][key][h] += scale * weight * change * a[i][t][n][h];
            }
          }
        }
      }
    }
  }
};

struct Case {
  std::int64_t batch, length, heads, keys, size;
};

/// T: the type of the operands. `bound`: of the difference, to sums of numbers near 1, which may cancel.
template <class T>
void equals_loops(Case const& c, Tensor const& first, double bound) {
  CAPTURE(c.length);
  constexpr auto type = std::is_same_v<T, float> ? float32 : bfloat16;
  auto const drawn = [&](std::int64_t heads, std::uint64_t seed) {
    return testing::draw({c.batch, c.length, heads, c.size}, 1, seed).to(type).to(float64);
  };
  auto const q = drawn(c.heads, 1), k = drawn(c.keys, 2), v = drawn(c.keys, 3), up = drawn(c.heads, 4);
  ByLoops const exact(q, k, v, up, first, 0.4);
  // Any values in what it overwrites.
  std::vector<Tensor> found;
  for (auto const& g : exact.gradients) found.push_back(at::full_like(g, NAN, g.options().dtype(float32)));
  std::vector<Tensor> given;
  for (auto const& t : {q, k, v, exact.out, up}) given.push_back(t.to(type));
  auto const log_sum = exact.log_sum.to(float32);
  AttentionTiles const tiles(given[0], given[1], first, 0);
  AttentionGradient<T>(tiles, {.scale = 0.4F,
                               .q = given[0].const_data_ptr<T>(),
                               .k = given[1].const_data_ptr<T>(),
                               .v = given[2].const_data_ptr<T>(),
                               .out = given[3].const_data_ptr<T>(),
                               .up = given[4].const_data_ptr<T>(),
                               .log_sums = log_sum.const_data_ptr<float>(),
                               .dq = found[0].mutable_data_ptr<float>(),
                               .dk = found[1].mutable_data_ptr<float>(),
                               .dv = found[2].mutable_data_ptr<float>()})
      .run();
  for (int i = 0; i < 3; ++i) {
    CAPTURE(i);
    auto const& expected = exact.gradients[static_cast<std::size_t>(i)];
    double const difference = (found[static_cast<std::size_t>(i)].to(float64) - expected).norm().item<double>();
    CHECK(difference < bound * (expected.norm().item<double>() + std::sqrt(static_cast<double>(expected.numel()))));
  }
}

void equals_loops(Case const& c, Tensor const& first) {
  equals_loops<float>(c, first, 1e-6);
  // Probabilities and their gradients are operands, and lose the ninth bit.
  if (kernel::detail::has_block_products<at::BFloat16>()) equals_loops<at::BFloat16>(c, first, 4e-3);
}

Tensor positions(std::int64_t batch, std::int64_t length) {
  return at::arange(length, at::TensorOptions().dtype(int64)).expand({batch, length}).contiguous();
}

}  // namespace

TEST_CASE("gradients equal those of loops in double, over one span and several, whatever each query sees") {
  for (auto const& c : std::vector<Case>{{2, 33, 4, 2, 4}, {1, 300, 2, 1, 4}, {1, 256, 2, 2, 8}, {3, 1, 2, 1, 4}}) {
    auto const t = positions(c.batch, c.length);
    equals_loops(c, at::zeros_like(t));                // all before
    equals_loops(c, t.clone());                        // itself alone: dq and dk are 0
    equals_loops(c, t - t % 7);                        // blocks
    equals_loops(c, (t - 140).clamp_min(0));           // a window across spans
    equals_loops(c, t * 31 % (t + 1));                 // anything: some rows see less than the one before them
    equals_loops(c, at::where(t >= 140, 140, 0));      // two documents, whose border lies in a span
  }
}

TEST_CASE("no query, no round") {
  auto const empty = at::empty({0, 4, 2, 4});
  AttentionTiles const tiles(empty, empty, {}, 0);
  AttentionGradient<float>(tiles, {}).run();
}
