// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/profiler.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lierne/core/error.hpp"
#include "lierne/tensor/operations.hpp"

using namespace lierne;

TEST_CASE("a recording names the operators that ran, how often, and writes a trace of them") {
  auto const path = std::filesystem::temp_directory_path() / "lierne_profiler_trace.json";
  std::filesystem::remove(path);
  auto const x = at::ones({64, 64});
  OperatorProfiler profiler(at::kCPU);
  for (int k = 0; k < 3; ++k) at::softmax(at::mm(x, x), -1);
  auto const operators = profiler.stop(path.string());
  auto const named = [&](std::string const& name) {
    auto const found = std::ranges::find(operators, name, &OperatorTime::name);
    REQUIRE(found != operators.end());
    return *found;
  };
  CHECK(named("aten::mm").calls == 3);
  auto const softmax = named("aten::softmax"), inner = named("aten::_softmax");
  CHECK(softmax.calls == 3);
  CHECK(softmax.total_seconds >= inner.total_seconds);
  CHECK(softmax.self_seconds < softmax.total_seconds);
  for (auto const& entry : operators) CHECK(entry.self_seconds >= 0);
  CHECK(to_text(operators).find("aten::mm") != std::string::npos);
  CHECK(to_text(operators, 1).find('\n', to_text({}).size()) == to_text(operators, 1).size() - 1);

  std::ifstream in(path);
  auto const trace = nlohmann::json::parse(in);
  int products = 0;
  for (auto const& event : trace.at("traceEvents")) products += event.value("name", "") == "aten::mm";
  CHECK(products == 3);
}

TEST_CASE("self times leave out what was called") {
  using lierne::detail::operator_times;
  auto const times = operator_times({{1, 0, 100, "a"}, {1, 10, 40, "b"}, {1, 20, 30, "a"}, {1, 50, 90, "b"}, {2, 0, 5, "b"}});
  REQUIRE(times.size() == 2);
  auto const& b = times[0].name == "b" ? times[0] : times[1];
  auto const& a = times[0].name == "a" ? times[0] : times[1];
  CHECK(a.calls == 2);
  CHECK(a.self_seconds == doctest::Approx(1e-9 * (100 - 30 - 40 + 10)));
  CHECK(a.total_seconds == doctest::Approx(1e-9 * 100));
  CHECK(b.self_seconds == doctest::Approx(1e-9 * (30 - 10 + 40 + 5)));
  CHECK(b.total_seconds == doctest::Approx(1e-9 * 75));
}

TEST_CASE("a trace that cannot be written is an error that names it") {
  OperatorProfiler profiler(at::kCPU);
  CHECK_THROWS_WITH_AS(profiler.stop("/nowhere/trace.json"), doctest::Contains("/nowhere/trace.json: the trace could not be written"),
                       FileError);
}
