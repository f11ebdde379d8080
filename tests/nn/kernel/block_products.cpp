// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/block_products.hpp"

#include <array>
#include <vector>

#include "nn/kernel/against.hpp"

using namespace lierne;
using namespace kernel::detail;

namespace {

/// Numbers that bfloat16 holds.
template <class T>
Tensor matrix(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  return testing::draw({rows, columns}, 1, seed).to(bfloat16).to(pair_of<T> == 1 ? float32 : bfloat16);
}

/// Values that no packing may leave where it says that there are zeros.
template <class T>
std::vector<T> filled(std::int64_t count) {
  return std::vector<T>(static_cast<std::size_t>(count), T(77.0F));
}

template <class T>
void products_equal_loops() {
  if (!has_block_products<T>()) return;
  Products<T> const products;
  // Whole blocks of eight units, less than one, and parts on either side.
  for (auto const& [rows, size, columns] : std::vector<std::array<std::int64_t, 3>>{{64, 64, 64}, {5, 6, 9}, {17, 22, 31}, {1, 2, 1}, {33, 40, 8}}) {
    CAPTURE(rows);
    auto const a = matrix<T>(rows, size + 2, 1), x = matrix<T>(columns, size + 4, 2), y = matrix<T>(columns, rows + 6, 3);
    auto const expected = a.narrow(1, 0, size).to(float64).mm(x.narrow(1, 0, size).to(float64).t());
    Rows<T const> const left{a.template const_data_ptr<T>(), size + 2}, right{x.template const_data_ptr<T>(), size + 4};

    // a xᵀ, with more columns than x has rows.
    auto const width = columns + 3;
    auto packed = filled<T>(size * width);
    pack_columns<T>(right, columns, size, packed.data(), width);
    auto c = at::ones({rows, width + 1}, at::TensorOptions().dtype(float32));
    multiply<T>(rows, width, size, left, packed.data(), width, false, {c.template mutable_data_ptr<float>(), width + 1});
    CHECK(testing::relative_error(c.narrow(1, 0, columns), expected) < 1e-6);
    CHECK((c.narrow(1, columns, 3) == 0).all().template item<bool>());
    CHECK((c.narrow(1, width, 1) == 1).all().template item<bool>());
    multiply<T>(rows, width, size, left, packed.data(), width, true, {c.template mutable_data_ptr<float>(), width + 1});
    CHECK(testing::relative_error(c.narrow(1, 0, columns), 2 * expected) < 1e-6);

    // xᵀ y: the operand of columns by rows, and y by rows.
    auto by_rows = filled<T>(size * width), of_y = filled<T>(whole_pairs<T>(columns) * rows);
    unpack_columns<T>(packed.data(), size, width, by_rows.data());
    pack_rows<T>({y.template const_data_ptr<T>(), rows + 6}, columns, rows, of_y.data());
    auto d = at::empty({size, rows}, at::TensorOptions().dtype(float32));
    multiply<T>(size, rows, whole_pairs<T>(columns), {by_rows.data(), width}, of_y.data(), rows, false, {d.template mutable_data_ptr<float>(), rows});
    auto const other = x.narrow(1, 0, size).to(float64).t().mm(y.narrow(1, 0, rows).to(float64));
    CHECK(testing::relative_error(d, other) < 1e-6);
    }
}

}  // namespace

TEST_CASE("products of packed parts of matrices are those of float64") {
  products_equal_loops<float>();
  products_equal_loops<at::BFloat16>();
}
