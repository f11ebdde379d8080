// SPDX-License-Identifier: Apache-2.0
// Moves a tensor from one placement to another; the types pick the collective and its backward.
#pragma once

#include <concepts>

#include "lierne/mesh/group.hpp"
#include "lierne/mesh/placement.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

namespace detail {

// The collectives of the table below, each with its backward. The group must outlive the backward pass.
Tensor gather_then_reduce_scatter(Tensor const& part, std::int64_t dim, Group const& group);
Tensor gather_then_own_part(Tensor const& part, std::int64_t dim, Group const& group);
Tensor reduce_scatter_then_gather(Tensor const& summand, std::int64_t dim, Group const& group);
Tensor own_part_then_gather(Tensor const& whole, std::int64_t dim, Group const& group);
Tensor own_part(Tensor const& whole, std::int64_t dim, Group const& group);
Tensor sum_then_sum(Tensor const& summand, Group const& group);
Tensor sum_then_nothing(Tensor const& summand, Group const& group);
Tensor nothing_then_sum(Tensor const& whole, Group const& group);

template <class From, class To>
inline constexpr bool redistributes = false;
template <int dim>
inline constexpr bool redistributes<Sharded<dim>, Replicated> = true;
template <int dim>
inline constexpr bool redistributes<Sharded<dim>, Invariant> = true;
template <int dim>
inline constexpr bool redistributes<Partial, Sharded<dim>> = true;
template <int dim>
inline constexpr bool redistributes<Replicated, Sharded<dim>> = true;
template <int dim>
inline constexpr bool redistributes<Invariant, Sharded<dim>> = true;
template <>
inline constexpr bool redistributes<Partial, Invariant> = true;
template <>
inline constexpr bool redistributes<Partial, Replicated> = true;
template <>
inline constexpr bool redistributes<Invariant, Replicated> = true;
template <class Same>
inline constexpr bool redistributes<Same, Same> = true;

}  // namespace detail

/// The tensor at another placement along `group`'s axis.
///
/// | from → to | forward | backward |
/// |---|---|---|
/// | Sharded → Replicated | all-gather | reduce-scatter |
/// | Sharded → Invariant | all-gather | own part |
/// | Partial → Sharded | reduce-scatter | all-gather |
/// | Partial → Invariant | all-reduce | identity |
/// | Partial → Replicated | all-reduce | all-reduce |
/// | Replicated → Sharded | own part | zeros around the own part |
/// | Invariant → Sharded | own part | all-gather |
/// | Invariant → Replicated | identity | all-reduce |
///
/// Errors (compile time): any other pair. Run time: `ShapeError` when the axis does not divide the cut dimension.
/// Example: `auto whole = redistribute<Replicated>(Placed<Sharded<1>>{x}, mesh[Axis::tensor]);`
template <class To, class From>
Placed<To> redistribute(Placed<From> const& value, Group const& group) {
  static_assert(detail::redistributes<From, To>,
                "redistribute: the pair of placements must have a collective (see its table; a Sharded tensor changes "
                "its dimension by way of Replicated)");
  using namespace detail;
  auto const& x = value.local;
  if constexpr (std::same_as<From, To>) return {x};
  if (group.alone()) return {x};
  if constexpr (requires { From::dim; } && std::same_as<To, Replicated>) {
    return {gather_then_reduce_scatter(x, From::dim, group)};
  } else if constexpr (requires { From::dim; } && std::same_as<To, Invariant>) {
    return {gather_then_own_part(x, From::dim, group)};
  } else if constexpr (std::same_as<From, Partial> && requires { To::dim; }) {
    return {reduce_scatter_then_gather(x, To::dim, group)};
  } else if constexpr (std::same_as<From, Replicated> && requires { To::dim; }) {
    return {own_part(x, To::dim, group)};
  } else if constexpr (std::same_as<From, Invariant> && requires { To::dim; }) {
    return {own_part_then_gather(x, To::dim, group)};
  } else if constexpr (std::same_as<From, Partial> && std::same_as<To, Replicated>) {
    return {sum_then_sum(x, group)};
  } else if constexpr (std::same_as<From, Partial>) {
    return {sum_then_nothing(x, group)};
  } else {
    return {nothing_then_sum(x, group)};
  }
}

#if LIERNE_BODIES
namespace detail {

// A group is reached through a pointer: autograd keeps it until the backward pass, and the mesh outlives that.
inline std::int64_t handle(Group const& group) { return reinterpret_cast<std::int64_t>(&group); }
inline Group const& group_at(std::int64_t handle) { return *reinterpret_cast<Group const*>(handle); }

/// The ranks' parts joined along `dim`.
inline Tensor gather_dim(Tensor const& part, std::int64_t dim, Group const& group) {
  if (dim == 0) return group.gather(part);
  auto whole = group.gather(part.unsqueeze(0));
  return at::cat(whole.unbind(0), dim);
}

/// This rank's part, cut along `dim`, of the ranks' sum.
inline Tensor reduce_scatter_dim(Tensor const& whole, std::int64_t dim, Group const& group) {
  check<ShapeError>(whole.size(dim) % group.size() == 0, "redistribute: expected dimension ", dim, " of ",
                    to_string(whole.sizes()), " to be a multiple of ", group.size());
  if (dim == 0) return group.reduce_scatter(whole);
  return group.reduce_scatter(at::stack(whole.chunk(group.size(), dim), 0)).squeeze(0);
}

LIERNE_INLINE Tensor own_part(Tensor const& whole, std::int64_t dim, Group const& group) {
  check<ShapeError>(whole.size(dim) % group.size() == 0, "redistribute: expected dimension ", dim, " of ",
                    to_string(whole.sizes()), " to be a multiple of ", group.size());
  auto const size = whole.size(dim) / group.size();
  return whole.narrow(dim, group.rank() * size, size);
}

struct GatherThenReduceScatter : Function<GatherThenReduceScatter> {
  static Tensor forward(AutogradContext* context, Tensor const& part, std::int64_t dim, std::int64_t group) {
    context->saved_data["dim"] = dim;
    context->saved_data["group"] = group;
    return gather_dim(part, dim, group_at(group));
  }
  static TensorList backward(AutogradContext* context, TensorList gradient) {
    auto const& group = group_at(context->saved_data["group"].toInt());
    return {reduce_scatter_dim(gradient[0], context->saved_data["dim"].toInt(), group), {}, {}};
  }
};

struct GatherThenOwnPart : Function<GatherThenOwnPart> {
  static Tensor forward(AutogradContext* context, Tensor const& part, std::int64_t dim, std::int64_t group) {
    context->saved_data["dim"] = dim;
    context->saved_data["group"] = group;
    return gather_dim(part, dim, group_at(group));
  }
  static TensorList backward(AutogradContext* context, TensorList gradient) {
    auto const& group = group_at(context->saved_data["group"].toInt());
    return {own_part(gradient[0], context->saved_data["dim"].toInt(), group).contiguous(), {}, {}};
  }
};

struct ReduceScatterThenGather : Function<ReduceScatterThenGather> {
  static Tensor forward(AutogradContext* context, Tensor const& summand, std::int64_t dim, std::int64_t group) {
    context->saved_data["dim"] = dim;
    context->saved_data["group"] = group;
    return reduce_scatter_dim(summand, dim, group_at(group));
  }
  static TensorList backward(AutogradContext* context, TensorList gradient) {
    auto const& group = group_at(context->saved_data["group"].toInt());
    return {gather_dim(gradient[0], context->saved_data["dim"].toInt(), group), {}, {}};
  }
};

struct OwnPartThenGather : Function<OwnPartThenGather> {
  static Tensor forward(AutogradContext* context, Tensor const& whole, std::int64_t dim, std::int64_t group) {
    context->saved_data["dim"] = dim;
    context->saved_data["group"] = group;
    return own_part(whole, dim, group_at(group)).contiguous();
  }
  static TensorList backward(AutogradContext* context, TensorList gradient) {
    auto const& group = group_at(context->saved_data["group"].toInt());
    return {gather_dim(gradient[0], context->saved_data["dim"].toInt(), group), {}, {}};
  }
};

template <bool sum_forward, bool sum_backward>
struct Sum : Function<Sum<sum_forward, sum_backward>> {
  static Tensor forward(AutogradContext* context, Tensor const& value, std::int64_t group) {
    context->saved_data["group"] = group;
    auto result = value.clone(at::MemoryFormat::Contiguous);
    if constexpr (sum_forward) group_at(group).sum(result);
    return result;
  }
  static TensorList backward(AutogradContext* context, TensorList gradient) {
    auto result = gradient[0];
    if constexpr (sum_backward) {
      result = result.clone(at::MemoryFormat::Contiguous);
      group_at(context->saved_data["group"].toInt()).sum(result);
    }
    return {result, {}};
  }
};

LIERNE_INLINE Tensor gather_then_reduce_scatter(Tensor const& part, std::int64_t dim, Group const& group) {
  return GatherThenReduceScatter::apply(part, dim, handle(group));
}
LIERNE_INLINE Tensor gather_then_own_part(Tensor const& part, std::int64_t dim, Group const& group) {
  return GatherThenOwnPart::apply(part, dim, handle(group));
}
LIERNE_INLINE Tensor reduce_scatter_then_gather(Tensor const& summand, std::int64_t dim, Group const& group) {
  return ReduceScatterThenGather::apply(summand, dim, handle(group));
}
LIERNE_INLINE Tensor own_part_then_gather(Tensor const& whole, std::int64_t dim, Group const& group) {
  return OwnPartThenGather::apply(whole, dim, handle(group));
}
LIERNE_INLINE Tensor sum_then_sum(Tensor const& summand, Group const& group) {
  return Sum<true, true>::apply(summand, handle(group));
}
LIERNE_INLINE Tensor sum_then_nothing(Tensor const& summand, Group const& group) {
  return Sum<true, false>::apply(summand, handle(group));
}
LIERNE_INLINE Tensor nothing_then_sum(Tensor const& whole, Group const& group) {
  return Sum<false, true>::apply(whole, handle(group));
}

}  // namespace detail
#endif

}  // namespace lierne
