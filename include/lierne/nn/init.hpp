// SPDX-License-Identifier: Apache-2.0
// First values of parameters: the reference's stream bit for bit, or keyed by name and element.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/mesh/mesh.hpp"
#include "lierne/tensor/members.hpp"

#if LIERNE_BODIES
#include <cmath>
#include <span>
#include <tuple>

#include "lierne/core/random.hpp"
#include "lierne/tensor/autograd.hpp"
#include "lierne/tensor/generator.hpp"
#include "lierne/tensor/operations.hpp"
#include "lierne/tensor/parallel_for.hpp"
#endif

namespace lierne {

/// How random first values are drawn.
enum class InitStream {
  keyed,     ///< counter RNG by seed, name and global element index: a rank draws its own part alone
  reference  ///< one CPU generator for all tensors in the order of the walk, as torchtitan draws after manual_seed
};

/// Settings of `init`.
struct InitOptions {
  std::uint64_t seed = 42;
  InitStream stream = InitStream::keyed;
  Device device = at::kCPU;
};

namespace detail {

struct NamedParameter {
  std::string name;
  Parameter* parameter;
};
void init(std::vector<NamedParameter> const& parameters, InitOptions const& options, Mesh const& mesh, Dtype master);

/// What this process owns of a parameter.
Box owned_box(Parameter const& parameter, Mesh const& mesh);
/// A copy of the box of a whole tensor.
Tensor narrow_to(Tensor value, Box const& box);

}  // namespace detail

/// Names and allocates every parameter below `module`: this rank's part of it, with its first values, in `master`.
/// Numerics: values are drawn in float32 (keyed: in double, rounded once) and are the same under every plan. `reference`
/// equals torchtitan bit for bit where ATen runs with AVX2; without it `normal_` gives other last bits.
/// Errors: `ShapeError` naming a parameter without dimensions, or one that the tensor axis does not cut evenly.
template <class M>
void init(M& module, InitOptions const& options, Mesh const& mesh, Dtype master) {
  std::vector<detail::NamedParameter> parameters;
  walk(module, [&](std::string const& name, Parameter& parameter) { parameters.push_back({name, &parameter}); });
  detail::init(parameters, options, mesh, master);
}

#if LIERNE_BODIES
namespace detail {

/// The part of dimension `dim` that `group`'s rank owns: parts of ⌈n / size⌉, the last ones shorter or empty.
inline void cut(Box& box, std::int64_t dim, Group const& group) {
  auto const d = static_cast<std::size_t>(dim);
  auto const n = box.size[d];
  auto const part = (n + group.size() - 1) / group.size();
  auto const begin = std::min(n, group.rank() * part);
  box.offset[d] += begin;
  box.size[d] = std::min(n, begin + part) - begin;
}

LIERNE_INLINE Box owned_box(Parameter const& parameter, Mesh const& mesh) {
  auto const& [name, shape, dim] = std::tie(parameter.name, parameter.shape, parameter.tensor_dim);
  auto const rank = static_cast<int>(shape.size());
  check<ShapeError>(rank > 0, name, ": expected at least one dimension, found a scalar (give it the shape {1})");
  Box box{.offset = Shape(shape.size(), 0), .size = shape};
  if (dim != Parameter::whole) {
    check<ShapeError>(dim >= 0 && dim < rank, name, ": expected tensor_dim to be a dimension of ", to_string(shape),
                      ", found ", dim);
    auto const& group = mesh[Axis::tensor];
    check<ShapeError>(shape[static_cast<std::size_t>(dim)] % group.size() == 0, name, ": expected dimension ", dim, " of ",
                      to_string(shape), " to be a multiple of the tensor degree ", group.size());
    cut(box, dim, group);
  }
  cut(box, 0, mesh[Axis::shard]);
  return box;
}

inline double normal_cdf(double x) { return (1 + std::erf(x / std::sqrt(2.0))) / 2; }

/// The whole tensor from a generator, in float32 as the reference draws it.
inline Tensor draw_reference(Parameter const& parameter, Generator generator) {
  auto const& [kind, deviation, low, high] = parameter.initial;
  auto value = at::empty(parameter.shape, at::TensorOptions().dtype(float32));
  switch (kind) {
    case Initial::Kind::zeros: return value.zero_();
    case Initial::Kind::ones: return value.fill_(1);
    case Initial::Kind::normal: return value.normal_(0, deviation, generator);
    case Initial::Kind::truncated_normal: break;
  }
  value.uniform_(2 * normal_cdf(low / deviation) - 1, 2 * normal_cdf(high / deviation) - 1, generator);
  return value.erfinv_().mul_(deviation * std::sqrt(2.0)).add_(0.0).clamp_(low, high);
}

/// A run of neighbouring elements of the keyed stream. A truncated draw outside its bounds is drawn again from the next
/// stream.
inline void draw_keyed(Initial const& initial, std::uint64_t seed, std::uint64_t stream, std::uint64_t begin,
                       std::span<float> out) {
  Random{seed, stream}.fill_normal(out, begin, 0, initial.deviation);
  if (initial.kind == Initial::Kind::normal) return;
  for (std::size_t i = 0; i < out.size(); ++i) {
    for (std::uint64_t attempt = 1; out[i] < initial.low || out[i] > initial.high; ++attempt) {
      out[i] = static_cast<float>(initial.deviation * Random{seed, stream + attempt}.normal(begin + i));
    }
  }
}

/// The box of a tensor from the keyed stream.
inline Tensor draw_keyed(Parameter const& parameter, std::uint64_t seed) {
  auto value = at::empty(parameter.box.size, at::TensorOptions().dtype(float32));
  auto const& initial = parameter.initial;
  if (initial.kind == Initial::Kind::zeros) return value.zero_();
  if (initial.kind == Initial::Kind::ones) return value.fill_(1);
  auto const& [offset, size] = parameter.box;
  auto const rank = size.size();
  std::int64_t const row = rank == 0 ? 1 : size[rank - 1];
  auto const stream = hash(parameter.name);
  float* out = value.mutable_data_ptr<float>();
  // A row of the box is contiguous in the global tensor; its first global index follows from the other dimensions.
  parallel_for(0, row == 0 ? 0 : value.numel() / row, std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(row, 1)),
               [&](std::int64_t first, std::int64_t last) {
    for (auto r = first; r < last; ++r) {
      std::int64_t index = 0, stride = rank == 0 ? 1 : parameter.shape[rank - 1], left = r;
      for (std::size_t d = rank < 2 ? 0 : rank - 1; d-- > 0;) {
        index += (offset[d] + left % size[d]) * stride;
        left /= size[d];
        stride *= parameter.shape[d];
      }
      if (rank != 0) index += offset[rank - 1];
      draw_keyed(initial, seed, stream, static_cast<std::uint64_t>(index), {out + r * row, static_cast<std::size_t>(row)});
    }
  });
  return value;
}

LIERNE_INLINE Tensor narrow_to(Tensor value, Box const& box) {
  for (std::size_t d = 0; d < box.size.size(); ++d) {
    value = value.narrow(static_cast<std::int64_t>(d), box.offset[d], box.size[d]);
  }
  return value.clone(at::MemoryFormat::Contiguous);
}

LIERNE_INLINE void init(std::vector<NamedParameter> const& parameters, InitOptions const& options, Mesh const& mesh,
                        Dtype master) {
  NoGrad guard;
  auto generator = make_generator(options.seed);
  for (auto const& [name, parameter] : parameters) {
    parameter->name = name;
    parameter->box = owned_box(*parameter, mesh);
    auto const value = options.stream == InitStream::reference
                           ? narrow_to(draw_reference(*parameter, generator), parameter->box)
                           : draw_keyed(*parameter, options.seed);
    parameter->owned = value.to(at::TensorOptions().dtype(master).device(options.device)).requires_grad_();
    parameter->materialised = Tensor();
  }
}

}  // namespace detail
#endif

}  // namespace lierne
