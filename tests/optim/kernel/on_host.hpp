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
  for_each_cuda_table<Whole, T>(launch.parameters, nullptr, [](CudaTableOf<Whole, T> const& table) {
    ++host_launches.launches;
    host_launches.blocks += table.blocks;
    host_launches.parameters += table.count;
    for (std::int32_t block = 0; block < table.blocks; ++block) {
      for (std::int32_t thread = 0; thread < table.threads; ++thread) run_cuda_thread<Whole, T>(table, block, thread);
    }
  });
  return nullptr;
}

template <class Rule>
CudaRule host_rule() {
  return {typeid(Rule).name(), &run_on_host<Rule, float>, &run_on_host<Rule, double>};
}

}  // namespace lierne::test
