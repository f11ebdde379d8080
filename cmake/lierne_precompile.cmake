# SPDX-License-Identifier: Apache-2.0
# lierne_precompile(TARGET): give TARGET the shared precompiled header of LibTorch.
#
# One precompiled header is built per build folder (some 20 s and 450 MB) and reused by every target, so each must be
# compiled with the same flags: those of the folder whose CMakeLists.txt calls this function first. A target with other
# flags falls back to parsing the headers and says so (-Winvalid-pch).

set(LIERNE_PRECOMPILED_HEADER "${CMAKE_CURRENT_LIST_DIR}/lierne_precompiled.hpp" CACHE INTERNAL "")

function(lierne_precompile target)
  if(NOT TARGET lierne_precompiled)
    set(_unit "${CMAKE_BINARY_DIR}/lierne_precompiled.cpp")
    file(CONFIGURE OUTPUT "${_unit}" CONTENT "// The translation unit that owns the precompiled header.\n" @ONLY)
    add_library(lierne_precompiled OBJECT "${_unit}")
    target_link_libraries(lierne_precompiled PRIVATE lierne::lierne)
    target_precompile_headers(lierne_precompiled PRIVATE "${LIERNE_PRECOMPILED_HEADER}")
  endif()
  target_precompile_headers(${target} REUSE_FROM lierne_precompiled)
endfunction()
