// SPDX-License-Identifier: Apache-2.0
// The version of the library, the same as CMake's.
#pragma once

namespace lierne {

/// Semantic version; before 1.0 a minor version may break its users. Example: `static_assert(version.minor >= 1);`
struct Version {
  int major;
  int minor;
  int patch;
  char const* text;
};

inline constexpr Version version{0, 1, 0, "0.1.0"};

}  // namespace lierne
