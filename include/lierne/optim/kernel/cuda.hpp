// SPDX-License-Identifier: Apache-2.0
// The driver of a rule's CUDA kernels: parameters with their gradients in, new weights and fields out. Names no CUDA header.
#pragma once

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <map>

#include "lierne/core/error.hpp"
#include "lierne/optim/kernel/cuda_rule.hpp"
#include "lierne/optim/kernel/fused.hpp"

namespace lierne {

namespace detail {

// The stream that LibTorch's operations on this device go to at present.
inline void* current_stream(Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle();
}

inline void check_cuda(char const* error, Device device) {
  check<Error>(error == nullptr, "optimizer: the fused pass on ", device, " was not launched: ",
               error != nullptr ? error : "");
}

inline CudaParameter cuda_parameter(ParameterStep const& step) {
  static_assert(CudaParameter::most_fields == Passes::most_fields);
  CudaParameter parameter{step.weight.mutable_data_ptr(), step.gradient.const_data_ptr(), {}, step.weight.numel(), step.numbers};
  for (std::size_t k = 0; k < step.fields->size(); ++k) parameter.fields[k] = (*step.fields)[k].mutable_data_ptr();
  return parameter;
}

// `stream_of(device)` is the stream of a device that has become the current one.
template <class StreamOf>
void run_cuda(CudaRule const& rule, std::span<ParameterStep const> steps, StreamOf const& stream_of) {
  std::map<std::pair<std::string, Dtype>, std::pair<Device, std::vector<CudaParameter>>> batches;
  for (auto const& step : steps) {
    auto const device = step.weight.device();
    auto& batch = batches.try_emplace({device.str(), step.weight.scalar_type()}, device, std::vector<CudaParameter>{}).first->second;
    batch.second.push_back(cuda_parameter(step));
  }
  for (auto const& [key, batch] : batches) {
    auto const& [device, parameters] = batch;
    c10::DeviceGuard const guard(device);
    auto const run = key.second == float32 ? rule.run_float : rule.run_double;
    check_cuda(run({parameters, stream_of(device)}), device);
  }
}

}  // namespace detail

/// One pass over memory for all parameters together, in place, on the GPUs where they lie. dtypes: float32, float64.
/// Nothing is copied to the GPU and nothing read from it: the call returns when the kernels are queued.
/// Numerics: bitwise `run_fused` on the CPU. Errors: `Error` with CUDA's words, where a kernel cannot be launched.
inline void run_cuda(CudaRule const& rule, std::span<ParameterStep const> steps) {
  detail::run_cuda(rule, steps, detail::current_stream);
}

}  // namespace lierne
