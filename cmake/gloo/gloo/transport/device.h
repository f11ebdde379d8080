// SPDX-License-Identifier: Apache-2.0
// Declares what ProcessGroupGloo.hpp names of Gloo's devices; the wheel ships the library without its headers.
#pragma once
namespace gloo::transport {
class Device;
}
