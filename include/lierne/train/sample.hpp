// SPDX-License-Identifier: Apache-2.0
// Text from a model: tokens drawn one by one.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/train/trainable.hpp"

#if LIERNE_BODIES
#include "lierne/core/random.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// Settings of `sample`.
struct SampleOptions {
  std::int64_t tokens = 120;
  double temperature = 0.8;  ///< 0 takes the most probable token
  std::uint64_t seed = 1;
  std::int64_t context = 256;  ///< tokens of the past that the model sees
};

/// Draws tokens after the tokenizer's begin of text (token 0 without one) and decodes them; ends early at its end of
/// text. The same seed gives the same text. The whole context runs again for each token.
std::string sample(Trainable& model, Tokenizer const& tokenizer, SampleOptions const& options = {});

#if LIERNE_BODIES
LIERNE_INLINE std::string sample(Trainable& model, Tokenizer const& tokenizer, SampleOptions const& options) {
  NoGrad guard;
  std::vector<std::int64_t> ids{tokenizer.bos().value_or(0)};
  Random const random{options.seed, hash("sample")};
  for (std::int64_t i = 0; i < options.tokens; ++i) {
    auto const seen = std::min<std::int64_t>(static_cast<std::int64_t>(ids.size()), options.context);
    auto const tokens = at::tensor(at::ArrayRef<std::int64_t>(ids).slice(ids.size() - static_cast<std::size_t>(seen)));
    auto const logits = model.logits(tokens.unsqueeze(0)).select(0, 0).select(0, seen - 1).to(float64);
    std::int64_t next = 0;
    if (options.temperature == 0) {
      next = logits.argmax().item<std::int64_t>();
    } else {
      auto const cumulative = at::softmax(logits / options.temperature, -1).cumsum(-1);
      double const draw = random.uniform(static_cast<std::uint64_t>(i)) * cumulative[-1].item<double>();
      next = std::min((cumulative <= draw).sum().item<std::int64_t>(), logits.numel() - 1);
    }
    if (next >= static_cast<std::int64_t>(tokenizer.size())) continue;  // a row of the table that no token uses
    ids.push_back(next);
    if (tokenizer.eos() == static_cast<TokenId>(next)) break;
  }
  std::vector<TokenId> const text(ids.begin(), ids.end());
  return tokenizer.decode(text, /*skip_special=*/true);
}
#endif

}  // namespace lierne
