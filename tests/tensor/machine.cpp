// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/machine.hpp"

#include <doctest/doctest.h>

#include "lierne/tensor/device.hpp"

using namespace lierne;

TEST_CASE("the machine tells what computes") {
  auto const version = libtorch_version();
  CHECK(std::count(version.begin(), version.end(), '.') >= 2);
  CHECK(version.find_first_of("0123456789") == 0);
  CHECK_FALSE(cpu_model().empty());
  CHECK(cpu_model().find('\n') == std::string::npos);
  CHECK(cpu_model().find("model name") == std::string::npos);
  CHECK_FALSE(cpu_capability().empty());
  CHECK(device_name(at::kCPU) == cpu_model());
  CHECK(device_name(at::kMeta) == "meta");
}

TEST_CASE("threads are those that were set") {
  auto const before = threads();
  CHECK(before >= 1);
  set_threads(before + 1);
  CHECK(threads() == before + 1);
  set_threads(before);
}
