// SPDX-License-Identifier: Apache-2.0
// The CUDA kernel of a rule: all stages in one pass over many parameters in one launch. For nvcc.
//
// Wants -std=c++20 --expt-relaxed-constexpr --fmad=false; `lierne_cuda_rules` sets them. No LibTorch header is named here:
// nvcc takes half a minute on one.
#pragma once

#include <cuda_runtime.h>

#include <typeinfo>

#include "lierne/optim/kernel/cuda_rule.hpp"

namespace lierne {

/// One thread computes 16 bytes of each array a round. `Tag` names the rule: `Tag::Rule` is its type. nvcc writes the
/// template arguments of a kernel out for the host's compiler, and cannot spell the labels of a rule.
/// Numerics: each operation rounds once, as on the CPU: same bits for the same numbers.
template <class Tag, class T, int field_count, int number_count>
__global__ void __launch_bounds__(CudaTable<T, field_count, number_count>::threads)
    cuda_rule_kernel(__grid_constant__ CudaTable<T, field_count, number_count> const table) {
  run_cuda_thread<Applied<typename Tag::Rule>, T>(table, static_cast<std::int32_t>(blockIdx.x),
                                                  static_cast<std::int32_t>(threadIdx.x));
}

namespace detail {

template <class Tag, class T>
char const* run_cuda_rule(CudaLaunch const& launch) {
  using Whole = Applied<typename Tag::Rule>;
  auto const stream = static_cast<cudaStream_t>(launch.stream);
  for_each_cuda_table<Whole, T>(launch.parameters, nullptr, [&](auto const& table) {
    auto const blocks = static_cast<unsigned>(table.blocks);
    cuda_rule_kernel<Tag, T, Layout<Whole>::fields, Layout<Whole>::numbers><<<blocks, table.threads, 0, stream>>>(table);
  });
  auto const error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

// Whether every type in a rule has one name in the whole program; the compilers write what has none in brackets.
template <class Node>
constexpr bool named_everywhere() {
  std::string_view const text = __PRETTY_FUNCTION__;
  for (auto const* mark : {"anonymous", "unnamed", "lambda"}) {
    if (text.find(mark) != std::string_view::npos) return false;
  }
  return true;
}

}  // namespace detail

/// Compiles the kernels of `Tag::Rule` and registers them; nothing where that is no rule, but a number's type, say.
/// Errors (compile time): those of `check_rule`; a rule with a type that other units cannot name.
template <class Tag>
bool register_cuda_kernels() {
  using Rule = typename Tag::Rule;
  if constexpr (Stage<Rule>) {
    if constexpr (detail::recipe_count<Rule> != 0) {
      static_assert(detail::named_everywhere<Rule>(),
                    "lierne_cuda_rules: a rule must be made of named types outside unnamed namespaces (name the stage, "
                    "move it into a namespace)");
      static_assert(check_rule<Rule>());
      static_assert(!runs_on_whole_tensors<Rule>,
                    "lierne_cuda_rules: a rule with a stage of whole tensors has no fused pass (leave it out: bind runs it "
                    "by ATen's operations)");
      static_assert(Layout<Rule>::fields <= static_cast<int>(CudaParameter::most_fields),
                    "lierne_cuda_rules: a rule may keep at most 16 fields (split it)");
      static CudaRule rule{typeid(Rule).name(), &detail::run_cuda_rule<Tag, float>, &detail::run_cuda_rule<Tag, double>};
      if (find_cuda_rule(rule.type) == nullptr) register_cuda_rule(rule);
      return true;
    }
  }
  return false;
}

}  // namespace lierne
