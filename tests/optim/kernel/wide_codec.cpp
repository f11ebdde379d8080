// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/kernel/wide_codec.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/kernel/wide_pack.hpp"

using namespace lierne;

TEST_CASE("codecs run in wide vectors where the passes do") {
#ifdef LIERNE_WIDE_PACK
  CHECK(wide_codecs_run() == wide_packs_run());
#endif
  CHECK(wide_codecs_run() == wide_codecs_run());
#ifndef LIERNE_WIDE_CODEC
  CHECK_FALSE(wide_codecs_run());
#endif
}
