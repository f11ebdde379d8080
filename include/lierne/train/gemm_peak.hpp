// SPDX-License-Identifier: Apache-2.0
// How many floating-point operations a second a device's products reach at best: measured on a CPU, by table on a GPU.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/parameter.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <array>
#include <chrono>

#include "lierne/core/error.hpp"
#include "lierne/tensor/autograd.hpp"
#include "lierne/tensor/machine.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// The product of a rows x inner and an inner x columns matrix.
struct GemmShape {
  std::int64_t rows = 0;
  std::int64_t inner = 0;
  std::int64_t columns = 0;
};

/// The largest product of a model's hidden layers when `tokens` tokens run through it; where it has none, its largest product.
/// Example: `gemm_of(trainer.model().parameters(), 8 * 256)`.
GemmShape gemm_of(std::span<Parameter* const> parameters, std::int64_t tokens);

/// Operations a second (two for each multiply-add) of a product on the CPU: the fastest of several within about `seconds`.
/// Rows are cut so that one product takes a small part of that time.
double measure_gemm(GemmShape const& shape, Dtype dtype, double seconds = 0.3);

/// The dense peak of a GPU by the name that its driver gives, in operations a second: tensor cores with float32 sums for
/// bfloat16, no tensor cores for float32 (LibTorch's default). Nothing for a name or a dtype that is not in the table: no peak is
/// ever assumed. Source: NVIDIA's data sheets, and for Hopper its H100 white paper (which has a digit more), without sparsity.
std::optional<double> gpu_peak(std::string_view name, Dtype dtype);

/// What a share of the peak is a share of: measured on a CPU, from the table on a GPU.
std::optional<double> gemm_peak(Device device, GemmShape const& shape, Dtype dtype);

#if LIERNE_BODIES
LIERNE_INLINE GemmShape gemm_of(std::span<Parameter* const> parameters, std::int64_t tokens) {
  Parameter const* best = nullptr;
  auto const rank = [](Parameter const& p) { return std::pair(kind_of(p.kind, p.shape.size()) == Kind::matrix, elements(p.shape)); };
  for (auto const* p : parameters) {
    if (p->shape.size() == 2 && (best == nullptr || rank(*p) > rank(*best))) best = p;
  }
  check(best != nullptr, "gemm_of: expected a model with a matrix, found none among ", parameters.size(), " parameters");
  return {.rows = tokens, .inner = best->shape[1], .columns = best->shape[0]};
}

LIERNE_INLINE double measure_gemm(GemmShape const& shape, Dtype dtype, double seconds) {
  using Now = std::chrono::steady_clock;
  check(shape.rows > 0 && shape.inner > 0 && shape.columns > 0, "measure_gemm: expected sizes above 0, found ", shape.rows, " x ",
        shape.inner, " x ", shape.columns);
  NoGrad const guard;
  auto const operations = [&](std::int64_t rows) {
    return 2.0 * static_cast<double>(rows) * static_cast<double>(shape.inner) * static_cast<double>(shape.columns);
  };
  auto const weight = at::ones({shape.columns, shape.inner}, at::TensorOptions().dtype(dtype)).t();
  auto const time = [&](Tensor const& rows) {
    auto const begin = Now::now();
    auto const product = at::mm(rows, weight);
    return std::chrono::duration<double>(Now::now() - begin).count();
  };
  auto const a = at::ones({shape.rows, shape.inner}, at::TensorOptions().dtype(dtype));
  // A slow dtype must not hold the run up: from a few rows to as many as a part of the time has room for. One product says
  // little of that where other programs run.
  auto rows = std::min<std::int64_t>(shape.rows, 32);
  time(a.narrow(0, 0, rows));
  double best = 0;
  auto const begin = Now::now();
  do {
    double const taken = time(a.narrow(0, 0, rows));
    best = std::max(best, operations(rows) / std::max(taken, 1e-9));
    if (taken < seconds / 8) rows = std::min(2 * rows, shape.rows);
  } while (std::chrono::duration<double>(Now::now() - begin).count() < seconds);
  return best;
}

LIERNE_INLINE std::optional<double> gpu_peak(std::string_view name, Dtype dtype) {
  struct Gpu {
    std::string_view name;
    double bfloat16, float32;  // 1e12 a second; 0: none
  };
  static constexpr std::array table{
      Gpu{"NVIDIA B200", 2250.0, 75.0},
      Gpu{"NVIDIA H200", 989.4, 66.9},
      Gpu{"NVIDIA H100 80GB HBM3", 989.4, 66.9},
      Gpu{"NVIDIA H100 NVL", 835.0, 0},
      Gpu{"NVIDIA H100 PCIe", 756.0, 51.0},
      Gpu{"NVIDIA A100-SXM4-80GB", 312.0, 19.5},
      Gpu{"NVIDIA A100-SXM4-40GB", 312.0, 19.5},
      Gpu{"NVIDIA A100 80GB PCIe", 312.0, 19.5},
      Gpu{"NVIDIA A100-PCIE-40GB", 312.0, 19.5},
      Gpu{"NVIDIA L40S", 362.05, 91.6},
      Gpu{"NVIDIA L40", 181.05, 90.5},
      Gpu{"NVIDIA L4", 121.0, 30.3},
      Gpu{"NVIDIA A40", 149.7, 37.4},
      Gpu{"NVIDIA A10", 125.0, 31.2},
      Gpu{"Tesla V100-SXM2-32GB", 0, 15.7},
      Gpu{"Tesla V100-SXM2-16GB", 0, 15.7},
      Gpu{"Tesla T4", 0, 8.1}};
  auto const* const found = std::ranges::find(table, name, &Gpu::name);
  if (found == table.end()) return std::nullopt;
  double const peak = dtype == bfloat16 ? found->bfloat16 : dtype == float32 ? found->float32 : 0;
  if (peak == 0) return std::nullopt;
  return peak * 1e12;
}

LIERNE_INLINE std::optional<double> gemm_peak(Device device, GemmShape const& shape, Dtype dtype) {
  if (device.is_cpu()) return measure_gemm(shape, dtype);
  return gpu_peak(device_name(device), dtype);
}
#endif

}  // namespace lierne
