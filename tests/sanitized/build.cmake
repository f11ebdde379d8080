# SPDX-License-Identifier: Apache-2.0
# cmake -DSOURCE=... -DNINJA=... -DTARGETS=... -P build.cmake: configure and build targets of the asan preset.
execute_process(COMMAND "${CMAKE_COMMAND}" --preset asan "-DCMAKE_MAKE_PROGRAM=${NINJA}" WORKING_DIRECTORY "${SOURCE}"
                OUTPUT_VARIABLE said ERROR_VARIABLE said RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "${said}")
endif()
execute_process(COMMAND "${NINJA}" -C "${SOURCE}/build/asan" --quiet ${TARGETS} RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "the asan preset does not build")
endif()
