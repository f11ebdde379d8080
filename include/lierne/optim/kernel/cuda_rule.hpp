// SPDX-License-Identifier: Apache-2.0
// The rules that have a CUDA kernel in this program, found by the type of the rule. Sees no CUDA header.
#pragma once

#include <cstring>
#include <span>

#include "lierne/optim/kernel/cuda_table.hpp"

namespace lierne {

/// One step of parameters of one dtype on one device, which is the current one.
struct CudaLaunch {
  std::span<CudaParameter const> parameters;
  void* stream;                          ///< a cudaStream_t
  void const* device_numbers = nullptr;  ///< a row for each parameter, on the device; null: the parameters' own
};

/// The uniform numbers of one step, written on the device by the rule itself.
struct CudaNumbers {
  std::span<CudaCalls const> parameters;
  void const* whole;    ///< the rule with `Apply`, on the host
  double const* clock;  ///< on the device: the rate and the schedule's factor
  double const* norm;   ///< on the device: the global norm of the gradients; null where no stage asks for it
  void* numbers;        ///< on the device: the rows, in the dtype of the parameters
  void* stream;
};

/// What nvcc compiled for a rule. The functions return null, or CUDA's words for what went wrong.
struct CudaRule {
  using Run = char const* (*)(CudaLaunch const&);
  using Write = char const* (*)(CudaNumbers const&);

  char const* type;  ///< typeid(Node).name(); two units of one program agree on it
  Run run_float;
  Run run_double;
  Write write_float = nullptr;  ///< these three for rules that are compiled CAPTURABLE
  Write write_double = nullptr;
  bool (*capturing)(void* stream) = nullptr;
  CudaRule const* next = nullptr;
};

namespace detail {

// A list through the rules themselves: it exists before any constructor of a static object runs.
inline constinit CudaRule const* first_cuda_rule = nullptr;

}  // namespace detail

/// Makes a rule's kernels known to the program. `rule` must live as long as the program.
inline void register_cuda_rule(CudaRule& rule) {
  rule.next = detail::first_cuda_rule;
  detail::first_cuda_rule = &rule;
}

/// The kernels of the rule whose type has this name; null where `lierne_cuda_rules` compiled none.
inline CudaRule const* find_cuda_rule(char const* type) {
  auto const* rule = detail::first_cuda_rule;
  while (rule != nullptr && std::strcmp(rule->type, type) != 0) rule = rule->next;
  return rule;
}

}  // namespace lierne
