// SPDX-License-Identifier: Apache-2.0
// What a call writes to the standard error.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <string>

namespace lierne::test {

template <class Call>
std::string said_on_stderr(Call&& call) {
  std::fflush(stderr);
  std::FILE* file = std::tmpfile();
  int const kept = ::dup(STDERR_FILENO);
  ::dup2(::fileno(file), STDERR_FILENO);
  call();
  std::fflush(stderr);
  ::dup2(kept, STDERR_FILENO);
  ::close(kept);
  std::rewind(file);
  std::string text;
  for (int c; (c = std::fgetc(file)) != EOF;) text += static_cast<char>(c);
  std::fclose(file);
  return text;
}

}  // namespace lierne::test
