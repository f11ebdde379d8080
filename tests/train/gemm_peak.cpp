// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/gemm_peak.hpp"

#include <doctest/doctest.h>

#include <chrono>

#include "lierne/core/error.hpp"
#include "lierne/tensor/operations.hpp"

using namespace lierne;

TEST_CASE("the measured peak is not below what a product reaches, and takes about the time given") {
  GemmShape const shape{.rows = 512, .inner = 256, .columns = 768};
  auto const begin = std::chrono::steady_clock::now();
  double const peak = measure_gemm(shape, float32, 0.2);
  double const took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  CHECK(took >= 0.2);
  CHECK(took < 5);
  // The mean of some products lies below the fastest one.
  auto const a = at::ones({512, 256}), b = at::ones({256, 768});
  auto const before = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) at::mm(a, b);
  double const mean = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count() / 20;
  double const reached = 2.0 * 512 * 256 * 768 / mean;
  CHECK(peak > 0.5 * reached);  // half: the machine may be shared
  CHECK(peak < 1e14);
}

TEST_CASE("a product that would take long is measured by some of its rows") {
  auto const begin = std::chrono::steady_clock::now();
  double const peak = measure_gemm({.rows = 1 << 16, .inner = 512, .columns = 512}, float64, 0.05);
  CHECK(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() < 10);
  CHECK(peak > 1e8);
}

TEST_CASE("a GPU's peak is in the table under its exact name, or there is none") {
  CHECK(gpu_peak("NVIDIA H200", bfloat16) == 989.4e12);
  CHECK(gpu_peak("NVIDIA A100-SXM4-80GB", float32) == 19.5e12);
  CHECK(gpu_peak("NVIDIA B200", bfloat16) == 2250e12);
  CHECK_FALSE(gpu_peak("NVIDIA H100 NVL", float32).has_value());
  // What follows from NVIDIA's counts and clocks: 528 tensor cores, 1024 operations a clock, 1.83 GHz; 108 x 4 x 512 at 1.41 GHz.
  CHECK(*gpu_peak("NVIDIA H100 80GB HBM3", bfloat16) == doctest::Approx(528 * 1024 * 1.83e9).epsilon(1e-3));
  CHECK(*gpu_peak("NVIDIA A100-PCIE-40GB", bfloat16) == doctest::Approx(108 * 4 * 512 * 1.41e9).epsilon(1e-3));
  // float32 outside tensor cores: two operations a clock of each core, at the boost clock.
  CHECK(*gpu_peak("NVIDIA A100 80GB PCIe", float32) == doctest::Approx(2 * 6912 * 1.41e9).epsilon(2e-3));
  CHECK(*gpu_peak("NVIDIA L40S", float32) == doctest::Approx(2 * 18176 * 2.52e9).epsilon(2e-3));
  CHECK(*gpu_peak("NVIDIA A10", float32) == doctest::Approx(2 * 9216 * 1.695e9).epsilon(2e-3));
  CHECK(*gpu_peak("Tesla V100-SXM2-16GB", float32) == doctest::Approx(2 * 5120 * 1.53e9).epsilon(3e-3));
  CHECK(*gpu_peak("Tesla T4", float32) == doctest::Approx(2 * 2560 * 1.59e9).epsilon(6e-3));
  CHECK_FALSE(gpu_peak("NVIDIA H200 MIG 1g.18gb", bfloat16).has_value());
  CHECK_FALSE(gpu_peak("NVIDIA Z9000", bfloat16).has_value());
  CHECK_FALSE(gpu_peak("Tesla T4", bfloat16).has_value());
  CHECK_FALSE(gpu_peak("NVIDIA H200", float64).has_value());
  CHECK_FALSE(gpu_peak("", float32).has_value());
  CHECK_FALSE(gemm_peak(at::kMeta, {.rows = 1, .inner = 1, .columns = 1}, float32).has_value());
}

TEST_CASE("a model's product is its largest hidden matrix, of any kind where it has none") {
  Parameter table{.shape = {4096, 64}, .kind = Kind::embedding}, hidden{.shape = {192, 64}}, small{.shape = {64, 64}},
      gain{.shape = {64}};
  std::vector<Parameter*> const all{&table, &small, &hidden, &gain};
  auto const shape = gemm_of(all, 100);
  CHECK(shape.rows == 100);
  CHECK(shape.inner == 64);
  CHECK(shape.columns == 192);
  CHECK(gemm_of(std::vector<Parameter*>{&gain, &table}, 1).columns == 4096);
  CHECK_THROWS_WITH_AS(gemm_of(std::vector<Parameter*>{&gain}, 1), doctest::Contains("found none among 1 parameters"), ArgumentError);
}

TEST_CASE("a product of nothing is refused") {
  CHECK_THROWS_WITH_AS(measure_gemm({.rows = 0, .inner = 1, .columns = 1}, float32), doctest::Contains("0 x 1 x 1"), ArgumentError);
}
