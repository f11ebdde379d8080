// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/stop_signal.hpp"

#include <doctest/doctest.h>

#include <csignal>

using namespace lierne;

namespace {
int seen_before = 0;
}

TEST_CASE("the first signal is kept and the second goes where it went before") {
  auto const before = std::signal(SIGTERM, [](int signal) { seen_before = signal; });
  {
    StopSignal const stop;
    CHECK(StopSignal::received() == 0);
    std::raise(SIGTERM);
    CHECK(StopSignal::received() == SIGTERM);
    CHECK(seen_before == 0);
    std::raise(SIGTERM);
    CHECK(seen_before == SIGTERM);
  }
  seen_before = 0;
  {
    StopSignal const next;
    CHECK(StopSignal::received() == 0);
    std::raise(SIGINT);
    CHECK(StopSignal::received() == SIGINT);
  }
  std::raise(SIGTERM);
  CHECK(seen_before == SIGTERM);
  std::signal(SIGTERM, before);
}
