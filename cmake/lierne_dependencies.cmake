# SPDX-License-Identifier: Apache-2.0
# The header-only libraries that lierne's headers include, as lierne::dependencies. They are looked for by header, for
# Debian's packages of some carry no CMake config; another place is given by CMAKE_PREFIX_PATH.

if(NOT TARGET lierne::dependencies)
  # header that proves the library | variable | Debian package
  set(_lierne_wanted
    "nlohmann/json.hpp|LIERNE_JSON_INCLUDE_DIR|nlohmann-json3-dev"
    "CLI/CLI.hpp|LIERNE_CLI_INCLUDE_DIR|libcli11-dev"
    "xxhash.h|LIERNE_XXHASH_INCLUDE_DIR|libxxhash-dev"
    "toml++/toml.h|LIERNE_TOML_INCLUDE_DIR|libtomlplusplus-dev")
  add_library(lierne::dependencies INTERFACE IMPORTED GLOBAL)
  set(_lierne_missing "")
  set(_lierne_packages "")
  foreach(_lierne_row IN LISTS _lierne_wanted)
    string(REPLACE "|" ";" _lierne_row "${_lierne_row}")
    list(GET _lierne_row 0 _lierne_header)
    list(GET _lierne_row 1 _lierne_variable)
    list(GET _lierne_row 2 _lierne_package)
    find_path(${_lierne_variable} "${_lierne_header}")
    mark_as_advanced(${_lierne_variable})
    if(${_lierne_variable})
      target_include_directories(lierne::dependencies SYSTEM INTERFACE "${${_lierne_variable}}")
    else()
      string(APPEND _lierne_missing "\n  <${_lierne_header}>  Debian package ${_lierne_package}, or set ${_lierne_variable}")
      string(APPEND _lierne_packages " ${_lierne_package}")
    endif()
  endforeach()
  if(_lierne_missing)
    message(FATAL_ERROR "lierne: these headers were not found:${_lierne_missing}\n"
                        "On Debian: apt-get install --no-install-recommends${_lierne_packages}")
  endif()
endif()
