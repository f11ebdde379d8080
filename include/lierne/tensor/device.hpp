// SPDX-License-Identifier: Apache-2.0
// Devices by name, and the threads that work on the CPU.
#pragma once

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <string>

#include "lierne/core/error.hpp"
#include "lierne/tensor/tensor.hpp"

namespace lierne {

/// The device that a name means: `cpu`, `cuda` (this process's own among those of its machine) or `cuda:N`.
/// Errors: `ArgumentError` for a name that is none, or a GPU that this program or machine does not have.
inline Device open_device(std::string const& name, int local_rank = 0) {
  check(name == "cpu" || name == "cuda" || name.starts_with("cuda:"), "device: expected cpu, cuda or cuda:N, found '",
        name, "'");
  if (name == "cpu") return at::kCPU;
#ifndef LIERNE_CUDA
  check(false, "device: '", name, "' asked of a program built without CUDA (build it with the cuda preset)");
#endif
  check(at::hasCUDA(), "device: '", name, "' asked, but LibTorch finds no GPU on this machine");
  return name == "cuda" ? Device(at::kCUDA, static_cast<c10::DeviceIndex>(local_rank)) : Device(name);
}

/// Sets how many threads a tensor operation on the CPU may use.
inline void set_threads(int threads) { at::set_num_threads(threads); }

/// From now on operators of LibTorch that may give other bits from run to run throw, where they have no other form.
inline void use_deterministic_operators() { at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false); }

}  // namespace lierne
