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

/// One thread computes 16 bytes of each array a round. `Tag` names the rule: `Tag::Rule` is its type, `Tag::capturable`
/// whether its numbers are also written on the device. nvcc writes the
/// template arguments of a kernel out for the host's compiler, and cannot spell the labels of a rule.
/// Numerics: each operation rounds once, as on the CPU: same bits for the same numbers.
template <class Tag, class T, int field_count, int number_count>
__global__ void __launch_bounds__(CudaTable<T, field_count, number_count>::threads)
    cuda_rule_kernel(__grid_constant__ CudaTable<T, field_count, number_count> const table) {
  run_cuda_thread<Applied<typename Tag::Rule>, T>(table, static_cast<std::int32_t>(blockIdx.x),
                                                  static_cast<std::int32_t>(threadIdx.x));
}

/// One thread writes the numbers of one parameter's call.
template <class Tag, class T, std::size_t rule_bytes>
__global__ void __launch_bounds__(CudaNumbersTable<rule_bytes>::threads)
    cuda_numbers_kernel(__grid_constant__ CudaNumbersTable<rule_bytes> const table) {
  auto const index = static_cast<std::int32_t>(blockIdx.x * blockDim.x + threadIdx.x);
  write_cuda_numbers<Applied<typename Tag::Rule>, T>(table, index);
}

namespace detail {

inline char const* cuda_error() {
  auto const error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

template <class Tag, class T>
char const* run_cuda_rule(CudaLaunch const& launch) {
  using Whole = Applied<typename Tag::Rule>;
  auto const stream = static_cast<cudaStream_t>(launch.stream);
  auto const* const numbers = static_cast<T const*>(launch.device_numbers);
  for_each_cuda_table<Whole, T>(launch.parameters, numbers, [&](auto const& table) {
    auto const blocks = static_cast<unsigned>(table.blocks);
    cuda_rule_kernel<Tag, T, Layout<Whole>::fields, Layout<Whole>::numbers><<<blocks, table.threads, 0, stream>>>(table);
  });
  return cuda_error();
}

template <class Tag, class T>
char const* write_cuda_numbers(CudaNumbers const& step) {
  using Whole = Applied<typename Tag::Rule>;
  auto const stream = static_cast<cudaStream_t>(step.stream);
  for_each_numbers_table<Whole, T>(step.parameters, step.whole, step.clock, step.norm, static_cast<T*>(step.numbers),
                                   [&](auto const& table) {
    auto const blocks = static_cast<unsigned>((table.count + table.threads - 1) / table.threads);
    cuda_numbers_kernel<Tag, T, sizeof(Whole)><<<blocks, table.threads, 0, stream>>>(table);
  });
  return cuda_error();
}

inline bool cuda_capturing(void* stream) {
  auto status = cudaStreamCaptureStatusNone;
  return cudaStreamIsCapturing(static_cast<cudaStream_t>(stream), &status) == cudaSuccess && status != cudaStreamCaptureStatusNone;
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
  if constexpr (detail::recipe_count<Rule> == 0) {
    return false;
  } else {
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
    if constexpr (Tag::capturable) {
      rule.write_float = &detail::write_cuda_numbers<Tag, float>;
      rule.write_double = &detail::write_cuda_numbers<Tag, double>;
      rule.capturing = &detail::cuda_capturing;
    }
    // Another header may name the same rule; the newest is found first.
    auto const* const known = find_cuda_rule(rule.type);
    if (known == nullptr || (Tag::capturable && known->write_float == nullptr)) register_cuda_rule(rule);
    return true;
  }
}

/// Whether one of the tags leads to a rule.
template <class... Tags>
inline constexpr bool any_cuda_rule = ((detail::recipe_count<typename Tags::Rule> > 0) || ...);

}  // namespace lierne
