// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/buffer.hpp"

#include <doctest/doctest.h>

#include "lierne/tensor/members.hpp"

using namespace lierne;

namespace {

struct Counting {
  Parameter weight{.shape = {2}};
  Buffer seen{.shape = {3}, .dtype = int64, .persistent = false};
  Buffer bias{.shape = {3}};
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("seen", self.seen);
    visit("bias", self.bias);
  }
};

struct Outer {
  std::vector<Counting> rows{2};
  Parameter last{.shape = {1}};
  static void members(auto& self, auto&& visit) {
    visit("rows", self.rows);
    visit("last", self.last);
  }
};

/// A class that walks by itself, as a model does.
class Own {
 public:
  void walk(ParameterVisitor visit, std::string const& prefix = {}) { lierne::walk(inner_, visit, prefix + ".inner"); }

 private:
  Counting inner_;
};

template <class M>
std::vector<std::string> parameters(M& module) {
  std::vector<std::string> names;
  walk(module, [&](std::string const& name, auto& p) {
    static_assert(std::is_same_v<std::remove_cvref_t<decltype(p)>, Parameter>);
    names.push_back(name);
  });
  return names;
}
template <class M>
std::vector<std::string> buffers(M& module) {
  std::vector<std::string> names;
  walk_buffers(module, [&](std::string const& name, Buffer&) { names.push_back(name); });
  return names;
}

}  // namespace

TEST_CASE("declaring a buffer allocates nothing") {
  Buffer const huge{.shape = {1'000'000, 1'000'000}};
  CHECK_FALSE(huge.value.defined());
  CHECK(huge.persistent);
  CHECK((huge.dtype == at::ScalarType::Undefined));
}

TEST_CASE("buffers and parameters are walked apart, under their names") {
  Outer module;
  CHECK(parameters(module) == std::vector<std::string>{"rows.0.weight", "rows.1.weight", "last"});
  CHECK(buffers(module) == std::vector<std::string>{"rows.0.seen", "rows.0.bias", "rows.1.seen", "rows.1.bias"});
  CHECK(parameters_of(module).size() == 3);
}

TEST_CASE("a class that walks by itself passes both on") {
  Own own;
  CHECK(parameters(own) == std::vector<std::string>{".inner.weight"});
  CHECK(buffers(own) == std::vector<std::string>{".inner.seen", ".inner.bias"});
}
