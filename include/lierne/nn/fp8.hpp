// SPDX-License-Identifier: Apache-2.0
// Which products with weights work in eight bits in a model: those of linear layers and of routed experts.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/spec/module_names.hpp"
#include "lierne/tensor/members.hpp"

#if LIERNE_BODIES
#include <algorithm>
#endif

namespace lierne {

namespace detail {

void use_fp8(std::vector<std::pair<std::string, Parameter*>> const& parameters, ModuleNames const& excluded, int tensor);

}  // namespace detail

/// Marks the weights of all linear layers and routed experts below `module` for products in eight bits, but for the
/// excluded layers and those that work in the master format. Each of a mixture's three weights counts as a layer, by its
/// own name. `tensor` is the degree of the tensor axis, which cuts some of the weights.
/// Errors: `ArgumentError` naming an excluded name that stands for no linear layer; `ShapeError` naming a layer whose
/// sizes on one rank are no multiples of 16.
template <class M>
void use_fp8(M& module, ModuleNames const& excluded, int tensor = 1) {
  std::vector<std::pair<std::string, Parameter*>> parameters;
  walk(module, [&](std::string const& name, Parameter& parameter) { parameters.emplace_back(name, &parameter); });
  detail::use_fp8(parameters, excluded, tensor);
}

#if LIERNE_BODIES
namespace detail {

LIERNE_INLINE void use_fp8(std::vector<std::pair<std::string, Parameter*>> const& parameters, ModuleNames const& excluded,
                           int tensor) {
  std::vector<std::pair<std::string_view, Parameter*>> layers;
  for (auto const& [name, parameter] : parameters) {
    if (parameter->product == Product::none || parameter->read_as == ReadAs::master) continue;
    std::string_view layer = name;
    if (layer.ends_with(".weight")) layer.remove_suffix(7);
    layers.emplace_back(layer, parameter);
  }
  excluded.for_each([&](std::string_view name) {
    bool stands = false;
    for (auto const& [layer, parameter] : layers) stands = stands || ModuleNames::stands_for(name, layer);
    if (stands) return;
    std::string all;
    for (auto const& [layer, parameter] : layers) all += (all.empty() ? "" : ", ") + std::string(layer);
    check(false, "Fp8: excluded names '", name, "', but no linear layer of the model is called so (they are ", all, ")");
  });
  for (auto const& [layer, parameter] : layers) {
    parameter->product = excluded.hold(layer) ? Product::plain : Product::fp8;
    if (parameter->product == Product::plain) continue;
    auto local = parameter->shape;
    if (parameter->tensor_dim != Parameter::whole) local[static_cast<std::size_t>(parameter->tensor_dim)] /= tensor;
    // Experts lie one behind the other along dimension 0.
    Shape const matrix(local.end() - std::min<std::ptrdiff_t>(2, std::ssize(local)), local.end());
    check<ShapeError>(matrix.size() == 2 && matrix[0] % 16 == 0 && matrix[1] % 16 == 0, "Fp8: ", layer,
                      ": expected sizes on one rank that are multiples of 16, found ", to_string(matrix),
                      " (name it in Fp8{.excluded = names(...)}, or change the sizes)");
  }
}

}  // namespace detail
#endif

}  // namespace lierne
