// SPDX-License-Identifier: Apache-2.0
// The walk over a module: every parameter with its fully qualified name.
#pragma once

#include <concepts>
#include <type_traits>
#include <variant>

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/buffer.hpp"
#include "lierne/tensor/function_ref.hpp"
#include "lierne/tensor/parameter.hpp"

namespace lierne {

namespace detail {

struct IgnoreMember {
  template <class T>
  void operator()(std::string_view, T&&) const {}
};

}  // namespace detail

/// Satisfied if and only if `M` names its members: `static void members(auto& self, auto&& visit)` calls
/// `visit("name", self.name)` once for each data member, in the order of their first values.
/// Satisfied by `Linear`, `Block<...>`, and any aggregate of parameters and modules with such a function.
template <class M>
concept Module = requires(M& module) { M::members(module, detail::IgnoreMember{}); };

namespace detail {

struct AnyMember {
  template <class T>
  constexpr operator T() const;
};

/// The number of data members of an aggregate, found by how many initializers it takes.
template <class M, class... Members>
consteval int member_count() {
  if constexpr (requires { M{Members{}..., AnyMember{}}; }) {
    return member_count<M, Members..., AnyMember>();
  } else {
    return sizeof...(Members);
  }
}

// A member that the walk may pass by: a number or a plain record cannot hold a Parameter by value, a tensor is none.
template <class T>
inline constexpr bool holds_no_parameter =
    std::is_trivially_copyable_v<T> || std::same_as<T, Tensor> || std::same_as<T, std::string>;

/// The parameter that a visitor of modules of type `M` sees.
template <class M>
using ParameterOf = std::conditional_t<std::is_const_v<M>, Parameter const, Parameter>;

std::string join_name(std::string const& prefix, std::string_view name);
void check_members(int named, int declared, std::string const& prefix);

}  // namespace detail

/// What `walk_buffers` calls for each buffer.
using BufferVisitor = FunctionRef<void(std::string const& name, Buffer& buffer)>;

namespace detail {

/// What the walk calls for each leaf: a function of parameters, or one of buffers; the other kind is passed by. `P` is
/// Parameter or Parameter const.
template <class P>
class LeafVisitor {
 public:
  using B = std::conditional_t<std::is_const_v<P>, Buffer const, Buffer>;

  template <class Visit>
    requires(!std::same_as<std::remove_cvref_t<Visit>, LeafVisitor> && std::invocable<Visit&, std::string const&, P&>)
  LeafVisitor(Visit&& visit) : parameter_(visit) {}
  static LeafVisitor of_buffers(FunctionRef<void(std::string const&, B&)> visit) {
    LeafVisitor visitor;
    visitor.buffer_ = visit;
    return visitor;
  }

  void operator()(std::string const& name, P& parameter) const {
    if (parameter_) parameter_(name, parameter);
  }
  void operator()(std::string const& name, B& buffer) const {
    if (buffer_) buffer_(name, buffer);
  }

 private:
  LeafVisitor() = default;

  FunctionRef<void(std::string const&, P&)> parameter_{};
  FunctionRef<void(std::string const&, B&)> buffer_{};
};

}  // namespace detail

/// What the walk calls for each parameter: any function of its name and itself.
using ParameterVisitor = detail::LeafVisitor<Parameter>;

/// Calls `visit(name, parameter)` for every parameter below `module`, in the order of declaration; names are joined
/// with dots, elements of a vector are named by their index. A variant or a pointer stands for its content, and a class
/// of your own may have `walk(visit, prefix)` instead of `members`.
/// Errors: `ArgumentError` when an aggregate's `members` names fewer or more members than it has: a parameter that the
/// walk misses would never be trained. Compile time: a member of a type that the walk cannot look into.
template <class M>
void walk(M& module, detail::LeafVisitor<detail::ParameterOf<M>> visit, std::string const& prefix = {}) {
  using Plain = std::remove_const_t<M>;
  if constexpr (std::same_as<Plain, Parameter> || std::same_as<Plain, Buffer>) {
    visit(prefix, module);
  } else if constexpr (Module<Plain>) {
    int named = 0;
    Plain::members(module, [&](std::string_view name, auto& member) {
      ++named;
      walk(member, visit, detail::join_name(prefix, name));
    });
    if constexpr (std::is_aggregate_v<Plain>) detail::check_members(named, detail::member_count<Plain>(), prefix);
  } else if constexpr (requires { module.walk(visit, prefix); }) {
    module.walk(visit, prefix);
  } else if constexpr (requires { std::visit([](auto&) {}, module); }) {
    std::visit([&](auto& content) { walk(content, visit, prefix); }, module);
  } else if constexpr (requires { *module.get(); }) {
    if (module) walk(*module, visit, prefix);
  } else if constexpr (detail::holds_no_parameter<Plain>) {
  } else {
    static_assert(requires { *module.begin(), module.end(); },
                  "walk: a member must be a Parameter, a module, or a vector or variant of them (give its type a static "
                  "`members(auto& self, auto&& visit)` that names every data member)");
    int index = 0;
    for (auto& element : module) walk(element, visit, detail::join_name(prefix, std::to_string(index++)));
  }
}

/// Calls `visit(name, buffer)` for every buffer below `module`, in the same order and under the same names.
template <class M>
void walk_buffers(M& module, BufferVisitor visit, std::string const& prefix = {}) {
  walk(module, ParameterVisitor::of_buffers(visit), prefix);
}

/// The parameters below a module, in the order of the walk.
template <class M>
std::vector<Parameter*> parameters_of(M& module) {
  std::vector<Parameter*> all;
  walk(module, [&](std::string const&, Parameter& parameter) { all.push_back(&parameter); });
  return all;
}

#if LIERNE_BODIES
namespace detail {

LIERNE_INLINE std::string join_name(std::string const& prefix, std::string_view name) {
  return prefix.empty() ? std::string(name) : prefix + "." + std::string(name);
}

LIERNE_INLINE void check_members(int named, int declared, std::string const& prefix) {
  check(named == declared, prefix.empty() ? "module" : prefix, ": members() names ", named, " of the ", declared,
        " data members (name every member, so that none goes untrained)");
}

}  // namespace detail
#endif

}  // namespace lierne
