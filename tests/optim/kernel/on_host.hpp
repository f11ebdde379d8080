// SPDX-License-Identifier: Apache-2.0
// A rule's CUDA launches without a GPU: every thread of every block, one after the other, on the host.
#pragma once

#include <typeinfo>

#include "lierne/optim/kernel/cuda_rule.hpp"

namespace lierne::test {

/// The blocks and parameters of the launches so far.
struct HostLaunches {
  std::int64_t launches = 0;
  std::int64_t blocks = 0;
  std::int64_t parameters = 0;
};
inline HostLaunches host_launches;

template <class Rule, class T>
char const* run_on_host(CudaLaunch const& launch) {
  using Whole = Applied<Rule>;
  auto const* const numbers = static_cast<T const*>(launch.device_numbers);
  for_each_cuda_table<Whole, T>(launch.parameters, numbers, [](CudaTableOf<Whole, T> const& table) {
    ++host_launches.launches;
    host_launches.blocks += table.blocks;
    host_launches.parameters += table.count;
    for (std::int32_t block = 0; block < table.blocks; ++block) {
      for (std::int32_t thread = 0; thread < table.threads; ++thread) run_cuda_thread<Whole, T>(table, block, thread);
    }
  });
  return nullptr;
}

template <class Rule, class T>
char const* write_on_host(CudaNumbers const& step) {
  using Whole = Applied<Rule>;
  for_each_numbers_table<Whole, T>(step.parameters, step.whole, step.clock, step.norm, static_cast<T*>(step.numbers),
                                   [](auto const& table) {
    for (std::int32_t index = 0; index < table.count + 5; ++index) write_cuda_numbers<Whole, T>(table, index);
  });
  return nullptr;
}

inline bool capturing_on_host = false;

template <class Rule>
CudaRule host_rule() {
  return {typeid(Rule).name(), &run_on_host<Rule, float>, &run_on_host<Rule, double>, &write_on_host<Rule, float>,
          &write_on_host<Rule, double>, [](void*) { return capturing_on_host; }};
}

}  // namespace lierne::test
