# SPDX-License-Identifier: Apache-2.0
# What only this project's own build wants: warnings as errors, ccache, compile_commands.json.

set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(lierne_warnings INTERFACE)
target_compile_options(lierne_warnings INTERFACE -Wall -Wextra -Werror -Winvalid-pch
                                                 -Wno-error=invalid-pch -Wno-missing-field-initializers)

find_program(LIERNE_CCACHE ccache)
if(LIERNE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # A precompiled header carries time stamps and macros that ccache cannot see into.
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
                                  "${LIERNE_CCACHE}")
  add_compile_options(-fpch-preprocess)
endif()
