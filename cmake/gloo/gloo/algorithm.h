// SPDX-License-Identifier: Apache-2.0
// Stands in for a header of Gloo that the wheel does not ship; ProcessGroupGloo.hpp uses nothing of it.
#pragma once
