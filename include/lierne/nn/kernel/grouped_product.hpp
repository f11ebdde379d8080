// SPDX-License-Identifier: Apache-2.0
// One product for each group of rows, with that group's weights.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <ATen/ops/_grouped_mm.h>

#include <vector>

#include "lierne/core/error.hpp"
#include "lierne/nn/kernel/product.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne::kernel {

/// The multiple at which `at::_grouped_mm` wants groups to begin, in rows, so that its gradients are aligned too.
inline constexpr std::int64_t grouped_rows = 8;

/// Whether `at::_grouped_mm` takes such rows and weights: float32 and bfloat16, in rows of a multiple of 16 bytes.
bool suits_grouped_mm(Tensor const& x, Tensor const& weight);

/// y_r = W_e x_r for the rows r of each group e. Rows behind the last end are not defined.
/// Shapes: x [R, in], weight [E, out, in], ends [E] of int32 → [R, out]. Errors: `ShapeError`.
/// Numerics: in the tensors' dtype. By `at::_grouped_mm` where it suits and groups begin at a multiple of
/// `grouped_rows` (`aligned`), otherwise by one product a group, which reads `ends` on the host.
Tensor grouped_product(Tensor const& x, Tensor const& weight, Tensor const& ends, bool aligned);

#if LIERNE_BODIES

namespace detail {

/// product(rows, weight) for each group, one behind the other, and zeros behind the last end.
template <class Product>
Tensor product_by_group(Tensor const& x, Tensor const& weight, Tensor const& ends, Product const& product) {
  auto const host = ends.cpu();
  auto const* end = host.const_data_ptr<std::int32_t>();
  // Unbound, not selected: the gradient of a selection is a whole tensor of zeros for each group.
  auto const weights = weight.unbind(0);
  std::vector<Tensor> parts;
  std::int64_t begin = 0;
  for (std::size_t e = 0; e < weights.size(); ++e) {
    parts.push_back(product(x.narrow(0, begin, end[e] - begin), weights[e]));
    begin = end[e];
  }
  if (begin < x.size(0)) parts.push_back(at::zeros({x.size(0) - begin, weight.size(1)}, x.options()));
  return at::cat(parts);
}

}  // namespace detail

LIERNE_INLINE bool suits_grouped_mm(Tensor const& x, Tensor const& weight) {
  auto const bytes = [&](std::int64_t columns) { return columns * static_cast<std::int64_t>(x.element_size()); };
  return (x.scalar_type() == float32 || x.scalar_type() == bfloat16) && bytes(weight.size(1)) % 16 == 0 &&
         bytes(weight.size(2)) % 16 == 0;
}

LIERNE_INLINE Tensor grouped_product(Tensor const& x, Tensor const& weight, Tensor const& ends, bool aligned) {
  check<ShapeError>(x.dim() == 2 && weight.dim() == 3 && x.size(1) == weight.size(2) && ends.dim() == 1 &&
                        ends.size(0) == weight.size(0) && x.scalar_type() == weight.scalar_type(),
                    "grouped_product: expected x [R, in], weight [E, out, in] of one dtype and ends [E], found ",
                    to_string(x.sizes()), " of ", at::toString(x.scalar_type()), ", ", to_string(weight.sizes()), " of ",
                    at::toString(weight.scalar_type()), " and ", to_string(ends.sizes()));
  if (aligned && suits_grouped_mm(x, weight)) return at::_grouped_mm(x, weight.transpose(1, 2), ends);
  return detail::product_by_group(x, weight, ends, kernel::linear);
}

#endif

}  // namespace lierne::kernel
