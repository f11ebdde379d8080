# SPDX-License-Identifier: Apache-2.0
# What only this project's own targets want: warnings as errors, ccache, compile_commands.json.

# -Wpedantic brings -Wvla, which takes a predefined macro away from GCC; a precompiled header made with it is then refused.
add_library(lierne_warnings INTERFACE)
target_compile_options(lierne_warnings INTERFACE -Wall -Wextra -Wpedantic -Werror -Winvalid-pch -Wno-error=invalid-pch
                                                 -Wno-missing-field-initializers -Wno-vla)

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  find_program(LIERNE_CCACHE ccache)
  mark_as_advanced(LIERNE_CCACHE)
  if(LIERNE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    # A precompiled header carries time stamps and macros that ccache cannot see into; GCC needs -fpch-preprocess so
    # that the preprocessed unit still names it.
    set(CMAKE_CXX_COMPILER_LAUNCHER
        "${CMAKE_COMMAND}" -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
        "${LIERNE_CCACHE}")
    if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
      add_compile_options(-fpch-preprocess)
    endif()
  endif()
endif()
