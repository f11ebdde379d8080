// SPDX-License-Identifier: Apache-2.0
// expect: static assertion failed: walk: a member must be a Parameter, a module, or a vector or variant of them \(give its type a static `members\(auto& self, auto&& visit\)` that names every data member\)
#include "lierne/tensor/members.hpp"

using namespace lierne;

struct Gate {
  Parameter weight;
#ifdef FIXED
  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
#endif
};
struct Layer {
  Gate gate;
  static void members(auto& self, auto&& visit) { visit("gate", self.gate); }
};

std::vector<Parameter*> all(Layer& layer) { return parameters_of(layer); }
