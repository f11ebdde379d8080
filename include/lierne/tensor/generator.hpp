// SPDX-License-Identifier: Apache-2.0
// LibTorch's sequential random generator, for streams that must equal PyTorch's.
#pragma once

#include <ATen/CPUGeneratorImpl.h>

#include <cstdint>

namespace lierne {

using Generator = at::Generator;

/// A CPU generator in the state that `torch.manual_seed(seed)` leaves.
inline Generator make_generator(std::uint64_t seed) { return at::detail::createCPUGenerator(seed); }

}  // namespace lierne
