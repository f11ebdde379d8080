// SPDX-License-Identifier: Apache-2.0
// What the precompiled header holds: the third-party headers that every unit of a user sees, and no more. GCC
// instantiates a header's pending templates again in each unit, so what only bodies need costs here, too.
#pragma once
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <numbers>
#include <numeric>
#include <optional>
#include <ranges>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>
