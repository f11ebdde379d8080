# SPDX-License-Identifier: Apache-2.0
# Imports LibTorch from the `torch` wheel as lierne::libtorch.
#
# The wheel's own find_package(Torch) wants nvcc, changes the caller's flags and fails under some combinations of
# CMAKE_CXX_STANDARD and CMake, so the few facts that matter are written down here. A project that has already found
# Torch itself keeps its target.
#
#   LIERNE_TORCH_ROOT   the folder that holds include/ and lib/ (default: the torch package of LIERNE_PYTHON, of the
#                       .venv beside this checkout, or of python3)
#   LIERNE_CUDA         link libtorch_cuda as well

set(LIERNE_TORCH_VERSION 2.11)

if(NOT TARGET lierne::libtorch AND TARGET torch)
  add_library(lierne::libtorch INTERFACE IMPORTED GLOBAL)
  target_link_libraries(lierne::libtorch INTERFACE torch)
  target_compile_definitions(lierne::libtorch INTERFACE USE_DISTRIBUTED USE_C10D_GLOO)
endif()

if(NOT TARGET lierne::libtorch)
  set(LIERNE_TORCH_ROOT "" CACHE PATH "folder with LibTorch's include/ and lib/")
  set(_lierne_root "${LIERNE_TORCH_ROOT}")
  if(NOT _lierne_root)
    set(_lierne_pythons "${LIERNE_PYTHON}" "${CMAKE_CURRENT_LIST_DIR}/../.venv/bin/python" python3)
    foreach(_lierne_python IN LISTS _lierne_pythons)
      if(_lierne_python AND NOT _lierne_root)
        execute_process(
          COMMAND "${_lierne_python}" -c
                  "import importlib.util as u, os; s = u.find_spec('torch'); print(os.path.dirname(s.origin) if s and s.origin else '', end='')"
          OUTPUT_VARIABLE _lierne_root ERROR_QUIET RESULT_VARIABLE _lierne_failed)
        if(_lierne_failed)
          set(_lierne_root "")
        endif()
      endif()
    endforeach()
  endif()
  if(NOT EXISTS "${_lierne_root}/include/ATen/core/Tensor.h")
    message(FATAL_ERROR "lierne: LibTorch not found (looked in '${_lierne_root}'). Install the wheel "
                        "(pip install torch==2.11.0) or set LIERNE_TORCH_ROOT to the folder that holds include/ and lib/.")
  endif()
  file(STRINGS "${_lierne_root}/include/torch/headeronly/version.h" _lierne_version_lines
       REGEX "define TORCH_VERSION_(MAJOR|MINOR) ")
  string(REGEX REPLACE ".*MAJOR ([0-9]+).*MINOR ([0-9]+).*" "\\1.\\2" _lierne_found_version "${_lierne_version_lines}")
  if(NOT _lierne_found_version VERSION_EQUAL LIERNE_TORCH_VERSION)
    message(WARNING "lierne: built and tested with LibTorch ${LIERNE_TORCH_VERSION}, found ${_lierne_found_version}.")
  endif()

  set(_lierne_libraries torch_cpu c10)
  if(LIERNE_CUDA)
    find_package(CUDAToolkit REQUIRED)
    list(APPEND _lierne_libraries torch_cuda c10_cuda)
  endif()
  add_library(lierne::libtorch INTERFACE IMPORTED GLOBAL)
  target_include_directories(lierne::libtorch SYSTEM INTERFACE
    "${_lierne_root}/include" "${_lierne_root}/include/torch/csrc/api/include"
    "${CMAKE_CURRENT_LIST_DIR}/gloo") # declarations of the Gloo headers that the wheel does not ship
  target_compile_definitions(lierne::libtorch INTERFACE USE_DISTRIBUTED USE_C10D_GLOO)
  set(_lierne_link "-Wl,--no-as-needed,-L${_lierne_root}/lib")
  foreach(_lierne_library IN LISTS _lierne_libraries)
    if(NOT EXISTS "${_lierne_root}/lib/lib${_lierne_library}.so")
      message(FATAL_ERROR "lierne: ${_lierne_root}/lib has no lib${_lierne_library}.so (is the torch wheel one for this platform?)")
    endif()
    string(APPEND _lierne_link ",-l${_lierne_library}")
  endforeach()
  # Kernels register themselves when their library loads: no symbol of libtorch_cuda needs to be named for it to matter.
  # By name, not by path: CMake would warn that LibTorch's own libgomp hides the compiler's, which is what is wanted, for
  # two OpenMP runtimes in one process would each start their threads.
  target_link_libraries(lierne::libtorch INTERFACE "${_lierne_link},--as-needed")
  # RPATH, not RUNPATH: the CUDA wheels that libtorch_cpu needs are found through this one, also from a build folder.
  target_link_options(lierne::libtorch INTERFACE "-Wl,-rpath,${_lierne_root}/lib" -Wl,--disable-new-dtags)
  if(LIERNE_CUDA)
    target_compile_definitions(lierne::libtorch INTERFACE LIERNE_CUDA USE_C10D_NCCL)
    target_link_libraries(lierne::libtorch INTERFACE CUDA::cudart)
    find_path(_lierne_nccl nccl.h PATHS "${_lierne_root}/../nvidia/nccl/include" REQUIRED)
    target_include_directories(lierne::libtorch SYSTEM INTERFACE "${_lierne_nccl}")
  endif()
endif()
