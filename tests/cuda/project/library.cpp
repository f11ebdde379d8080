// SPDX-License-Identifier: Apache-2.0
// A static library needs a unit.
#include "library_rules.hpp"

double library_rate() { return initial_rate(library_rule); }
