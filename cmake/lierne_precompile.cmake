# SPDX-License-Identifier: Apache-2.0
# lierne_precompile(TARGET): let TARGET compile in seconds. It gets
# - the shared precompiled header of LibTorch and the standard library (lierne_precompiled), and
# - the bodies of the library's functions that are no templates, compiled once (lierne_compiled), so that their heavy
#   headers stay out of TARGET's units; see lierne/core/compiled.hpp.
#
# Both are built once in a build folder. Every target must be compiled with the same flags: those of the folder whose
# CMakeLists.txt calls this function first. A target with other flags falls back to parsing the headers and says so
# (-Winvalid-pch).

set(LIERNE_CMAKE_FOLDER "${CMAKE_CURRENT_LIST_DIR}" CACHE INTERNAL "")

function(lierne_precompile target)
  if(NOT TARGET lierne_precompiled)
    set(_unit "${CMAKE_BINARY_DIR}/lierne_precompiled.cpp")
    file(CONFIGURE OUTPUT "${_unit}" CONTENT "// The translation unit that owns the precompiled header.\n" @ONLY)
    add_library(lierne_precompiled OBJECT "${_unit}")
    target_link_libraries(lierne_precompiled PRIVATE lierne::lierne)
    target_precompile_headers(lierne_precompiled PRIVATE "${LIERNE_CMAKE_FOLDER}/lierne_precompiled.hpp")
    add_library(lierne_compiled STATIC "${LIERNE_CMAKE_FOLDER}/lierne_compiled.cpp")
    target_compile_definitions(lierne_compiled PUBLIC LIERNE_COMPILED)
    target_link_libraries(lierne_compiled PUBLIC lierne::lierne)
    target_precompile_headers(lierne_compiled REUSE_FROM lierne_precompiled)
  endif()
  target_precompile_headers(${target} REUSE_FROM lierne_precompiled)
  # As a property: the caller may link with either signature of target_link_libraries, and they do not mix.
  set_property(TARGET ${target} APPEND PROPERTY LINK_LIBRARIES lierne_compiled)
endfunction()
