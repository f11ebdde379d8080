# SPDX-License-Identifier: Apache-2.0
# lierne_precompile(TARGET [OPERATIONS]): let TARGET compile in seconds. It gets
# - the shared precompiled header of LibTorch's tensor and the standard library (lierne_precompiled), and
# - the bodies of the library's functions that are no templates, compiled once (lierne_compiled), so that their heavy
#   headers stay out of TARGET's units; see lierne/core/compiled.hpp.
#
# OPERATIONS: for a TARGET whose own code calls ATen's free functions, and so includes lierne/tensor/operations.hpp. The header
# then holds these too (lierne_precompiled_operations): each unit takes some 1.7 s more than without, instead of 7 for parsing them.
#
# All are built once in a build folder. Every target must be compiled with the same flags: those of the folder whose
# CMakeLists.txt calls this function first. A target with other flags falls back to parsing the headers and says so
# (-Winvalid-pch).

set(LIERNE_CMAKE_FOLDER "${CMAKE_CURRENT_LIST_DIR}" CACHE INTERNAL "")

function(lierne_precompiled_header name)
  if(NOT TARGET ${name})
    set(_unit "${CMAKE_BINARY_DIR}/${name}.cpp")
    file(CONFIGURE OUTPUT "${_unit}" CONTENT "// The translation unit that owns the precompiled header.\n" @ONLY)
    add_library(${name} OBJECT "${_unit}")
    target_link_libraries(${name} PRIVATE lierne::lierne)
    target_precompile_headers(${name} PRIVATE "${LIERNE_CMAKE_FOLDER}/${name}.hpp")
  endif()
endfunction()

function(lierne_precompile target)
  cmake_parse_arguments(PARSE_ARGV 1 _given "OPERATIONS" "" "")
  if(_given_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "lierne_precompile(${target}): expected no argument or OPERATIONS, found ${_given_UNPARSED_ARGUMENTS}")
  endif()
  lierne_precompiled_header(lierne_precompiled)
  if(NOT TARGET lierne_compiled)
    add_library(lierne_compiled STATIC "${LIERNE_CMAKE_FOLDER}/lierne_compiled.cpp")
    target_compile_definitions(lierne_compiled PUBLIC LIERNE_COMPILED)
    target_link_libraries(lierne_compiled PUBLIC lierne::lierne)
    target_precompile_headers(lierne_compiled REUSE_FROM lierne_precompiled)
  endif()
  set(_header lierne_precompiled)
  if(_given_OPERATIONS)
    set(_header lierne_precompiled_operations)
    lierne_precompiled_header(${_header})
  endif()
  target_precompile_headers(${target} REUSE_FROM ${_header})
  # As a property: the caller may link with either signature of target_link_libraries, and they do not mix.
  set_property(TARGET ${target} APPEND PROPERTY LINK_LIBRARIES lierne_compiled)
endfunction()
