// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/expert_products.hpp"

#include <array>
#include <vector>

#include "nn/kernel/against.hpp"

using namespace lierne;
using namespace kernel::detail;

namespace {

template <class T>
constexpr auto type_of = pair_of<T> == 1 ? float32 : bfloat16;
/// What rounding a result to T may change at most: half a unit of its last place.
template <class T>
constexpr double rounding = pair_of<T> == 1 ? 1e-6 : 1.0 / 256;

template <class T>
Tensor drawn(at::IntArrayRef shape, std::uint64_t seed) {
  return testing::draw(shape, 1, seed).to(type_of<T>);
}

// Whole panels and tiles, and parts of either.
constexpr std::array<std::array<std::int64_t, 3>, 4> sizes{{{64, 64, 128}, {1, 6, 10}, {77, 130, 66}, {200, 32, 70}}};

template <class T>
void rows_meet_weights() {
  if (!has_block_products<T>()) return;
  Products<T> const products;
  for (auto const& [rows, inner, columns] : sizes) {
    CAPTURE(rows);
    auto const a = drawn<T>({rows, inner}, 1), b = drawn<T>({rows, inner}, 2);
    auto const v = drawn<T>({3, columns, inner}, 3), w = drawn<T>({3, inner, columns}, 4);
    ExpertPanels<T> transposed(v, false), plain(w, true);
    for (std::int64_t const expert : {0, 2, 2, 1}) {
      auto const out = at::full({rows, columns}, NAN, a.options());
      transposed.load(expert);
      plain.load(expert);
      multiply_rows<T>(out, {{a, transposed}});
      auto const one = a.to(float64).mm(v[expert].to(float64).t());
      CHECK(testing::relative_error(out, one) < rounding<T>);
      multiply_rows<T>(out, {{a, transposed}, {b, plain}});
      CHECK(testing::relative_error(out, one + b.to(float64).mm(w[expert].to(float64))) < rounding<T>);
    }
  }
}

template <class T>
void tokens_are_summed() {
  if (!has_block_products<T>()) return;
  Products<T> const products;
  TokenMemory<T> const memory(200, 130);
  for (auto const& [m, n, spare] : sizes) {
    if (m % pair_of<T> != 0) continue;  // sizes of weights are whole pairs
    for (std::int64_t const tokens : {0, 1, 5, 128, 301}) {
      CAPTURE(m);
      CAPTURE(tokens);
      auto const a = drawn<T>({tokens, m + spare}, 1), b = drawn<T>({tokens, n}, 2);
      auto const out = at::full({m, n}, NAN, a.options());
      multiply_tokens<T>({out.template mutable_data_ptr<T>(), n}, {a.template const_data_ptr<T>(), m + spare}, m,
                         {b.template const_data_ptr<T>(), n}, n, tokens, memory);
      CHECK(testing::relative_error(out, a.narrow(1, 0, m).to(float64).t().mm(b.to(float64))) < rounding<T>);
    }
  }
}

}  // namespace

TEST_CASE("rows meet an expert's weights, one or two of them, as in float64") {
  rows_meet_weights<float>();
  rows_meet_weights<at::BFloat16>();
}

TEST_CASE("products over tokens are those of float64, and zeros without any") {
  tokens_are_summed<float>();
  tokens_are_summed<at::BFloat16>();
}
