// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/clock.hpp"

#include <doctest/doctest.h>

#include <thread>

TEST_CASE("laps follow each other and elapsed counts from the process's start") {
  lierne::Clock clock;
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  double const first = clock.lap();
  CHECK(first >= 0.03);
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  double const second = clock.lap();
  CHECK(second >= 0.01);
  CHECK(second < first + 0.02);
  CHECK(clock.elapsed() >= first + second);
}

TEST_CASE("a later clock of the same process has the same origin") {
  lierne::Clock first;
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  lierne::Clock second;
  double const a = first.elapsed(), b = second.elapsed();
  CHECK(b >= a);
  CHECK(b - a < 0.02);
  // The kernel counts a process's start in hundredths of a second.
  CHECK(std::abs(lierne::detail::seconds_since_exec() - second.elapsed()) < 0.03);
}

TEST_CASE("a clock for each step costs next to nothing") {
  auto const begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 10'000; ++i) lierne::Clock{}.lap();
  CHECK(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() < 0.1);
}

TEST_CASE("a time limit fixes the number of steps by the median step") {
  std::vector<double> const seconds{9, 9, 0.1, 0.1, 0.1, 5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1};
  CHECK(lierne::detail::steps_in(1, seconds, 1'000'000) == 600);
  CHECK(lierne::detail::steps_in(1, seconds, 50) == 50);
  CHECK(lierne::detail::steps_in(0.001, seconds, 1000) == lierne::detail::timed_steps);
}
