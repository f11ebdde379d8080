// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/expert_rows.hpp"

#include "against.hpp"

using namespace lierne;
using namespace lierne::testing;
namespace rows_of = lierne::kernel::detail;

namespace {

// Three tokens, two choices: slots 0 ... 5 and the rows that serve them. Wider than one tile of a row.
constexpr std::int64_t width = rows_of::row_tile + 37;
std::vector<std::int64_t> const slots{4, 0, 3, 1, 2, 5}, rows{1, 3, 4, 2, 0, 5};

}  // namespace

TEST_CASE("gathered rows are the tokens' times their scale") {
  auto const x = draw({3, width}).to(float32), scale = draw({6}, 1, 2).to(float32);
  auto const plain = at::empty({6, width}), scaled = at::empty({6, width});
  rows_of::gather_rows(plain, x, slots.data(), nullptr, 2);
  rows_of::gather_rows(scaled, x, slots.data(), scale.const_data_ptr<float>(), 2);
  for (int i = 0; i < 6; ++i) {
    CHECK(plain[i].equal(x[slots[i] / 2]));
    CHECK(scaled[i].equal(x[slots[i] / 2] * scale[slots[i]]));
  }
}

TEST_CASE("summed rows are base, scaled rows in the order of the choices, and dot products") {
  auto const y = draw({6, width}).to(float32), base = draw({3, width}, 1, 2).to(float32), scale = draw({6}, 1, 3).to(float32);
  auto const out = at::empty({3, width}), bare = at::empty({3, width}), dots = at::empty({6});
  rows_of::sum_rows(out, base, y, rows.data(), scale.const_data_ptr<float>(), 2);
  rows_of::sum_rows(bare, {}, y, rows.data(), nullptr, 2, base, dots.mutable_data_ptr<float>());
  for (int t = 0; t < 3; ++t) {
    auto const a = y[rows[2 * t]], b = y[rows[2 * t + 1]];
    CHECK(out[t].equal((base[t] + scale[2 * t] * a) + scale[2 * t + 1] * b));
    CHECK(bare[t].equal(a + b));
    for (int k = 0; k < 2; ++k) {
      double const exact = (y[rows[2 * t + k]].to(float64) * base[t].to(float64)).sum().item<double>();
      CHECK(dots[2 * t + k].item<double>() == doctest::Approx(exact).epsilon(1e-5));
    }
  }
}

TEST_CASE("bfloat16 rows are rounded once") {
  auto const x = draw({3, width}).to(bfloat16), scale = draw({6}, 1, 2).to(float32);
  auto const narrow = at::empty({6, width}, x.options());
  rows_of::gather_rows(narrow, x, slots.data(), scale.const_data_ptr<float>(), 2);
  for (int i = 0; i < 6; ++i) CHECK(narrow[i].equal((x[slots[i] / 2].to(float32) * scale[slots[i]]).to(bfloat16)));
}

TEST_CASE("the activation and its way back are those of plain operators") {
  auto const gate = draw({6, width}, 2).to(float32), up = draw({6, width}, 1, 2).to(float32);
  auto const scale = draw({6}, 1, 3).to(float32), change = draw({6, width}, 1, 4).to(float32);
  auto const hidden = at::empty_like(gate);
  rows_of::activate_rows(hidden, gate, up);
  CHECK(at::allclose(hidden, at::silu(gate) * up, 1e-5, 1e-6));

  auto const g = gate.to(float64).requires_grad_(), u = up.to(float64).requires_grad_(), s = scale.to(float64).requires_grad_();
  auto const by_row = s.index_select(0, at::tensor(at::ArrayRef<std::int64_t>(slots))).unsqueeze(1);
  auto const scaled = by_row * at::silu(g) * u;
  backward((scaled * change.to(float64)).sum());
  auto const dg = change.clone(), du = at::empty_like(gate), dots = at::empty({6});
  rows_of::activate_rows_backward(hidden, dg, du, gate, up, slots.data(), scale.const_data_ptr<float>(),
                                 dots.mutable_data_ptr<float>());
  CHECK(relative_error(hidden, scaled.detach()) <= 3e-7);
  CHECK(relative_error(dg, g.grad()) <= 3e-7);
  CHECK(relative_error(du, u.grad()) <= 3e-7);
  CHECK(relative_error(dots, s.grad()) <= 3e-6);
}

TEST_CASE("places of elements beyond 2^31 are right") {
  // Offsets are products of 64-bit numbers throughout; a row number from a slot of 2^33 stays what it is.
  auto const far = std::int64_t{1} << 33;
  CHECK(rows_of::row_grain(far) == 1);
  CHECK(rows_of::row_grain(0) == 16384);
}
