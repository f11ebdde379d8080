# SPDX-License-Identifier: Apache-2.0
# The header-only target lierne::lierne and the packages its headers include.

find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX) # at::parallel_for runs on one thread without it

add_library(lierne INTERFACE)
add_library(lierne::lierne ALIAS lierne)
target_compile_features(lierne INTERFACE cxx_std_20)
target_include_directories(lierne INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
# What is found on this machine stays out of the exported file: an installed lierne finds its own.
target_link_libraries(lierne INTERFACE $<BUILD_INTERFACE:lierne::libtorch> $<BUILD_INTERFACE:lierne::dependencies>
                                       OpenMP::OpenMP_CXX Threads::Threads ${CMAKE_DL_LIBS})
# A fused multiply-add that the compiler chooses differs between a loop's body and its tail.
target_compile_options(lierne INTERFACE -ffp-contract=off)
