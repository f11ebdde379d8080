# SPDX-License-Identifier: Apache-2.0
# `cmake --install`: the headers, the exported target, and the CMake files that a consumer's find_package(lierne) runs.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(LIERNE_INSTALL_CMAKE_DIR "${CMAKE_INSTALL_DATADIR}/cmake/lierne" CACHE STRING "where the package's CMake files go")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/lierne" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.hpp" PATTERN "*.cuh")
install(TARGETS lierne EXPORT lierne_targets)
install(EXPORT lierne_targets NAMESPACE lierne:: FILE lierne_targets.cmake DESTINATION "${LIERNE_INSTALL_CMAKE_DIR}")

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/lierne-config.cmake.in"
                              "${PROJECT_BINARY_DIR}/lierne-config.cmake"
                              INSTALL_DESTINATION "${LIERNE_INSTALL_CMAKE_DIR}")
# Before 1.0 a minor version may break its users.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/lierne-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/lierne-config.cmake" "${PROJECT_BINARY_DIR}/lierne-config-version.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/lierne_libtorch.cmake" "${PROJECT_SOURCE_DIR}/cmake/lierne_dependencies.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/lierne_precompile.cmake" "${PROJECT_SOURCE_DIR}/cmake/lierne_precompiled.hpp"
              "${PROJECT_SOURCE_DIR}/cmake/lierne_precompiled_operations.hpp"
              "${PROJECT_SOURCE_DIR}/cmake/lierne_cuda_rules.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/lierne_compiled.cpp"
        DESTINATION "${LIERNE_INSTALL_CMAKE_DIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/cmake/gloo" DESTINATION "${LIERNE_INSTALL_CMAKE_DIR}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
