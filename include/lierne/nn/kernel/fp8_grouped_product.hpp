// SPDX-License-Identifier: Apache-2.0
// One product in eight bits for each group of rows, with that group's weights and scales.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include "lierne/core/error.hpp"
#include "lierne/nn/kernel/fp8.hpp"
#include "lierne/nn/kernel/grouped_product.hpp"
#endif

namespace lierne::kernel {

/// y_r = W_e x_r for the rows r of each group e, and its gradients, each group's three products as `fp8_linear` makes
/// them: a group's rows, its weight and its gradients have scales of their own. Rows behind the last end are zeros.
/// Shapes: x [R, in], weight [E, out, in], ends [E] of int32 → [R, out]; groups of any number of rows, none too, while
/// in and out must be multiples of 16. Errors: `ShapeError`, also for a dtype other than bfloat16 and float32.
/// Numerics: see `fp8_linear`. One product after the other; reads `ends` on the host.
Tensor fp8_grouped_product(Tensor const& x, Tensor const& weight, Tensor const& ends);

#if LIERNE_BODIES

LIERNE_INLINE Tensor fp8_grouped_product(Tensor const& x, Tensor const& weight, Tensor const& ends) {
  check<ShapeError>(x.dim() == 2 && weight.dim() == 3 && x.size(1) == weight.size(2) && ends.dim() == 1 &&
                        ends.size(0) == weight.size(0),
                    "fp8_grouped_product: expected x [R, in], weight [E, out, in] and ends [E], found ",
                    to_string(x.sizes()), ", ", to_string(weight.sizes()), " and ", to_string(ends.sizes()));
  return detail::product_by_group(x, weight, ends, fp8_linear);
}

#endif

}  // namespace lierne::kernel
