# SPDX-License-Identifier: Apache-2.0
# lierne_cuda_rules(TARGET HEADER [CAPTURABLE] [RULES name...]): CUDA kernels for the update rules that a header of yours names.
#
# HEADER is free of LibTorch and holds `inline constexpr auto my_rule = adamw() | decay(0.1, times_rate);`, in no or one
# namespace; with several, name the rules: RULES mine::my_rule yours::my_rule. nvcc compiles one kernel for each rule's
# type and dtype into TARGET, where bind(rule) finds them by the type: numbers in a rule may differ at run time. Without
# LIERNE_CUDA the function does nothing, and the same program takes the passes of the CPU.
#
# CAPTURABLE compiles as well what bind_capturable needs: each stage's `coefficients` for the device, so they must be
# constexpr (or templates) like `element`.
#
#   LIERNE_CUDA_ARCHITECTURES   the GPUs to compile for (default: 80 and 90; later ones run the last one's PTX)

set(LIERNE_CUDA_ARCHITECTURES "80;90" CACHE STRING "the GPUs that rules are compiled for")
set(LIERNE_OLDEST_NVCC 12.1) # kernels with 32 kB of arguments

# The qualified names of the rules in a header.
function(_lierne_names_of_rules header result)
  file(READ "${header}" text)
  string(REGEX REPLACE "//[^\n]*" "" text "${text}")
  string(REGEX MATCHALL "inline[ \t]+constexpr[ \t]+auto[ \t]+[A-Za-z_0-9]+" names "${text}")
  list(TRANSFORM names REPLACE ".*[ \t]" "")
  if(NOT names)
    message(FATAL_ERROR "lierne_cuda_rules: ${header} names no rule (write: inline constexpr auto my_rule = ...;)")
  endif()
  string(REGEX MATCHALL "namespace[ \t]+[A-Za-z_0-9:]+[ \t\n]*{" namespaces "${text}")
  list(TRANSFORM namespaces REPLACE "namespace[ \t]+([A-Za-z_0-9:]+).*" "\\1")
  list(REMOVE_DUPLICATES namespaces)
  list(LENGTH namespaces count)
  if(count GREATER 1)
    message(FATAL_ERROR "lierne_cuda_rules: ${header} has several namespaces: ${namespaces} "
                        "(name its rules: lierne_cuda_rules(my_target my_rules.hpp RULES mine::my_rule))")
  elseif(count EQUAL 1)
    list(TRANSFORM names PREPEND "${namespaces}::")
  endif()
  set(${result} "${names}" PARENT_SCOPE)
endfunction()

function(lierne_cuda_rules target header)
  cmake_parse_arguments(PARSE_ARGV 2 arg "CAPTURABLE" "" "RULES")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "lierne_cuda_rules: expected TARGET HEADER [CAPTURABLE] [RULES name...], found also '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  if(NOT TARGET ${target})
    message(FATAL_ERROR "lierne_cuda_rules: there is no target '${target}' (call it behind add_executable or add_library)")
  endif()
  cmake_path(ABSOLUTE_PATH header BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" NORMALIZE)
  if(NOT EXISTS "${header}")
    message(FATAL_ERROR "lierne_cuda_rules: there is no header ${header}")
  endif()
  if(NOT LIERNE_CUDA)
    message(STATUS "lierne_cuda_rules: no CUDA kernels for ${target} (LIERNE_CUDA is off)")
    return()
  endif()
  find_package(CUDAToolkit ${LIERNE_OLDEST_NVCC} REQUIRED)
  if(NOT CUDAToolkit_NVCC_EXECUTABLE)
    message(FATAL_ERROR "lierne_cuda_rules: nvcc not found (install the CUDA toolkit or set CUDAToolkit_ROOT)")
  endif()

  set(names "${arg_RULES}")
  if(NOT names)
    _lierne_names_of_rules("${header}" names)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${header}")
  endif()

  # nvcc cannot spell every rule's type, so each rule has a type with a plain name that leads to it.
  cmake_path(GET header STEM stem)
  string(SHA256 hash "${target} ${header}")
  string(SUBSTRING "${hash}" 0 8 hash)
  string(MAKE_C_IDENTIFIER "lierne_cuda_rules_${target}_${stem}_${hash}" id)
  set(capturable false)
  if(arg_CAPTURABLE)
    set(capturable true)
  endif()
  set(tags "")
  set(qualified "")
  set(calls "")
  foreach(name IN LISTS names)
    string(MAKE_C_IDENTIFIER "${name}" tag)
    string(APPEND tags "struct ${tag} {\n  using Rule = std::remove_cvref_t<decltype(::${name})>;\n  static constexpr bool capturable = ${capturable};\n};\n")
    list(APPEND qualified "${id}::${tag}")
    list(APPEND calls "lierne::register_cuda_kernels<${id}::${tag}>()")
  endforeach()
  list(JOIN calls ",\n    " calls)
  list(JOIN qualified ", " qualified)
  set(unit "${CMAKE_CURRENT_BINARY_DIR}/${id}.cu")
  file(CONFIGURE OUTPUT "${unit}" @ONLY CONTENT "// Made by lierne_cuda_rules from @header@.
#include \"@header@\"

#include \"lierne/optim/kernel/cuda_kernel.cuh\"

namespace @id@ {
@tags@}  // namespace @id@

static_assert(lierne::any_cuda_rule<@qualified@>,
              \"lierne_cuda_rules: the header names no rule, a pipe of stages with one recipe\");
[[maybe_unused]] static bool const @id@_registered[] = {
    @calls@};
")

  set(architectures "")
  foreach(architecture IN LISTS LIERNE_CUDA_ARCHITECTURES)
    list(APPEND architectures "-gencode=arch=compute_${architecture},code=sm_${architecture}")
  endforeach()
  list(GET LIERNE_CUDA_ARCHITECTURES -1 latest)
  list(APPEND architectures "-gencode=arch=compute_${latest},code=compute_${latest}")
  set(includes "$<TARGET_PROPERTY:${target},INCLUDE_DIRECTORIES>")
  set(definitions "$<TARGET_PROPERTY:${target},COMPILE_DEFINITIONS>")
  set(object "${CMAKE_CURRENT_BINARY_DIR}/${id}.o")
  # --fmad=false: the same bits as on the CPU. A host function in a kernel is a warning by default, and undefined; that a
  # loop over no numbers compares with 0 (186) is none of the user's business.
  add_custom_command(
    OUTPUT "${object}"
    COMMAND "${CUDAToolkit_NVCC_EXECUTABLE}" -ccbin "${CMAKE_CXX_COMPILER}" -std=c++20 -O3 --expt-relaxed-constexpr --fmad=false
            --Werror cross-execution-space-call --diag-suppress 186 -Xcompiler=-fPIC,-ffp-contract=off ${architectures}
            "$<$<BOOL:${includes}>:-I$<JOIN:${includes},;-I>>" "$<$<BOOL:${definitions}>:-D$<JOIN:${definitions},;-D>>"
            -MD -MF "${object}.d" -c "${unit}" -o "${object}"
    DEPENDS "${unit}" "${header}"
    DEPFILE "${object}.d"
    COMMENT "Compiling the CUDA kernels of ${target}: ${stem}"
    COMMAND_EXPAND_LISTS VERBATIM)
  add_custom_target(${id} DEPENDS "${object}")
  add_dependencies(${target} ${id})
  # The object itself, not through an archive: nothing names its symbols, it registers its rules when the program starts.
  # As properties: the caller may link with either signature of target_link_libraries, and they do not mix.
  set_property(TARGET ${target} APPEND PROPERTY LINK_LIBRARIES "${object}" "${CUDA_cudart_LIBRARY}")
  get_target_property(type ${target} TYPE)
  if(NOT type MATCHES "^(EXECUTABLE|SHARED_LIBRARY|MODULE_LIBRARY)$")
    set_property(TARGET ${target} APPEND PROPERTY INTERFACE_LINK_LIBRARIES "${object}" "${CUDA_cudart_LIBRARY}")
  endif()
endfunction()
