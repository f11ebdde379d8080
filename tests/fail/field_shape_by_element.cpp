// SPDX-License-Identifier: Apache-2.0
// expect: rule: a stage whose fields have shapes of their own works on whole tensors
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

struct LastRow {
  using pipe_role = ln::StageRole;
  using fields = ln::Fields<"last_row">;
#ifdef FIXED
  static constexpr bool whole_tensor = true;
#endif

  ln::FieldShape field_shape(int, ln::FieldShape const& weight) const { return {weight.back()}; }
  template <class V>
  static constexpr void element(auto const&, ln::Element<V>&, V&) {}
};
static_assert(ln::check_rule<decltype(ln::recipe("mine", 1e-3, LastRow{}))>());
