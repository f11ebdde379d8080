// SPDX-License-Identifier: Apache-2.0
// What computes: the version of LibTorch, the processor, its threads, and a device's name.
#pragma once

#include <string>

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/headeronly/version.h>
#ifdef LIERNE_CUDA
#include <ATen/cuda/CUDAContextLight.h>
#endif

#include <fstream>
#endif

namespace lierne {

/// The version of LibTorch that this program was compiled with. Example: `2.11.0`.
std::string libtorch_version();

/// The processor's own name; `unknown` where /proc does not tell. Example: `AMD EPYC 7B13`.
std::string cpu_model();

/// The vector instructions that LibTorch's own loops use here. Example: `AVX2`.
std::string cpu_capability();

/// How many threads a tensor operation on the CPU may use.
int threads();

/// A device's name as its maker gives it: the processor's, or `NVIDIA H100 80GB HBM3`.
std::string device_name(Device device);

#if LIERNE_BODIES
LIERNE_INLINE std::string libtorch_version() { return TORCH_VERSION; }

LIERNE_INLINE std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    auto const colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

LIERNE_INLINE std::string cpu_capability() { return at::get_cpu_capability(); }

LIERNE_INLINE int threads() { return at::get_num_threads(); }

LIERNE_INLINE std::string device_name(Device device) {
#ifdef LIERNE_CUDA
  if (device.is_cuda()) return at::cuda::getDeviceProperties(device.index())->name;
#endif
  return device.is_cpu() ? cpu_model() : device.str();
}
#endif

}  // namespace lierne
