// SPDX-License-Identifier: Apache-2.0
// Orthogonalisation of a matrix by odd polynomials, and its scale. Sees the standard library only.
#pragma once

#include <string>

#include "lierne/optim/field_shape.hpp"

namespace lierne {

/// p(x) = a·x + b·x³ + c·x⁵, which an iteration applies to all singular values of a matrix at once.
struct Quintic {
  double a, b, c;
};

/// Five times one polynomial whose slope at 0 is large: singular values from 0.01 of the norm on end in [0.68, 1.21].
/// Source: Jordan et al. 2024; torch.optim.Muon.
struct NewtonSchulz {
  static constexpr std::array<Quintic, 5> polynomials = [] {
    std::array<Quintic, 5> all{};
    all.fill({3.4445, -4.7750, 2.0315});
    return all;
  }();
  static constexpr double norm_factor = 1;  ///< the matrix is divided by this times its Frobenius norm
  static constexpr char const* name = "newton-schulz";
};

/// A polynomial of its own for each step, the best one for what the steps before it leave of singular values in [10⁻³, 1].
/// Each but the last of the table is p(x / 1.01), so that rounding does not carry a singular value out of its range.
/// Singular values from 0.001 of the norm on end in [0.84, 1.13] after 5 steps, in [0.993, 1.002] after 6.
/// Source: Amsel et al., "The Polar Express", arXiv 2505.16932, the listing of its algorithm.
template <int steps = 5>
struct PolarExpress {
  static_assert(steps > 0, "PolarExpress: it needs a step (write PolarExpress<5>)");
  static constexpr std::array<Quintic, steps> polynomials = [] {
    constexpr Quintic table[] = {{8.28721201814563, -23.595886519098837, 17.300387312530933},
                                 {4.107059111542203, -2.9478499167379106, 0.5448431082926601},
                                 {3.9486908534822946, -2.908902115962949, 0.5518191394370137},
                                 {3.3184196573706015, -2.488488024314874, 0.51004894012372},
                                 {2.300652019954817, -1.6689039845747493, 0.4188073119525673},
                                 {1.891301407787398, -1.2679958271945868, 0.37680408948524835},
                                 {1.8750014808534479, -1.2500016453999487, 0.3750001645474248}};
    std::array<Quintic, steps> all{};
    all.fill({1.875, -1.25, 0.375});
    for (std::size_t i = 0; i < all.size() && i < std::size(table); ++i) {
      constexpr double safety = 1.01, cube = safety * safety * safety;
      all[i] = {table[i].a / safety, table[i].b / cube, table[i].c / (cube * safety * safety)};
    }
    return all;
  }();
  static constexpr double norm_factor = 1.01;
  static constexpr char const* name = "polar express";
};

/// Satisfied if and only if `T` says by which polynomials to orthogonalise, so that one of your own fits.
/// Satisfied by `NewtonSchulz`, `PolarExpress<5>`.
template <class T>
concept MatrixIteration = requires {
  T::polynomials[0].a + T::polynomials[0].b + T::polynomials[0].c;
  T::polynomials.size();
  T::norm_factor * 1.0;
  T::name;
};

/// In which format an iteration runs.
enum class IterationFormat {
  bf16,
  exact  ///< the weight's own
};

/// The direction of a matrix with all singular values brought near 1.
/// Math: X = u / max(f‖u‖_F, 10⁻⁷), f the iteration's norm factor, transposed if rows > columns; then for each of its
/// polynomials A = XXᵀ, X <- a·X + (b·A + c·A²)X.
/// Shapes: [rows, columns]; a parameter of other rank is refused. Source: Jordan et al. 2024; torch.optim.Muon.
/// Numerics: `bf16` rounds every product of the iteration to bfloat16, on the CPU too.
template <MatrixIteration Iteration = NewtonSchulz, IterationFormat format = IterationFormat::bf16>
struct Orthogonalise {
  using pipe_role = StageRole;
  static constexpr bool changes_direction = true;
  static constexpr bool whole_tensor = true;
  static constexpr Dimensions dimensions{2, 2};

  template <class V>
  static constexpr void element(auto const&, Element<V>& at) {
    at.direction = orthogonalise(at.direction, Iteration::polynomials, Iteration::norm_factor, format == IterationFormat::bf16);
  }
  std::string name() const {
    return std::string("orthogonalise by ") + Iteration::name + (format == IterationFormat::exact ? " exact" : "");
  }
};

/// How an orthogonalised matrix is scaled to its shape.
enum class MuonScale {
  original,    ///< √max(1, rows / columns)
  match_adam,  ///< 0.2·√max(rows, columns): the root mean square of an Adam step (Moonlight)
  fixed_rms    ///< 0.2·√(rows · columns) / ‖u‖_F: that root mean square exactly (NorMuon's paper)
};

/// Math: u <- r·u, r by `scale`. Shapes: [rows, columns]; a parameter of other rank is refused.
template <MuonScale scale = MuonScale::original>
struct ScaleToShape {
  using pipe_role = StageRole;
  static constexpr bool changes_direction = true;
  static constexpr bool whole_tensor = true;
  static constexpr Dimensions dimensions{2, 2};

  template <class V>
  static constexpr void element(auto const&, Element<V>& at) {
    if constexpr (scale == MuonScale::fixed_rms) {
      V const norm = maximum(sqrt(sum(at.direction * at.direction)), 1e-30);
      at.direction = at.direction * (0.2 * sqrt(size(at.direction)) / norm);
    } else {
      at.direction = at.direction * shape_scale(at.direction, scale == MuonScale::match_adam);
    }
  }
  std::string name() const {
    return scale == MuonScale::original ? "to its shape" : scale == MuonScale::match_adam ? "to adam's size" : "to rms 0.2";
  }
};

}  // namespace lierne
