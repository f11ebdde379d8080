// SPDX-License-Identifier: Apache-2.0
// Declares what ProcessGroupGloo.hpp names of Gloo's contexts; the wheel ships the library without its headers.
#pragma once
#include <chrono>
#include <memory>
namespace gloo {
class Context {
 public:
  void setTimeout(std::chrono::milliseconds);
};
namespace transport {
class UnboundBuffer;
}
}  // namespace gloo
