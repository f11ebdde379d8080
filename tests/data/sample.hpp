// SPDX-License-Identifier: Apache-2.0
// Small tokenizers and texts that the tests of the data folder share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lierne/core/random.hpp"
#include "lierne/data/tokenizer.hpp"
#include "lierne/data/tokenizer_file.hpp"

namespace sample {

using namespace lierne;

/// A vocabulary of the 256 bytes, each its own id, and what `merges` join them to, from id 256 on.
inline Bpe bytes(std::vector<Bpe::Merge> const& merges = {}, bool whole_pieces = false) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (auto const [left, right] : merges)
    tokens.push_back(tokens[static_cast<std::size_t>(left)] + tokens[static_cast<std::size_t>(right)]);
  return {std::move(tokens), merges, whole_pieces};
}

/// Every byte is a token; 256 begins and 257 ends a text.
inline std::shared_ptr<Tokenizer const> byte_tokenizer() {
  TokenizerSettings settings;
  settings.bpe = bytes();
  settings.added = {{.id = 256, .content = "<s>", .special = true}, {.id = 257, .content = "</s>", .special = true}};
  settings.bos = 256;
  settings.eos = 257;
  return std::make_shared<Tokenizer const>(std::move(settings));
}

/// The tokenizer of the golden folder, read once.
inline std::shared_ptr<Tokenizer const> const& golden_tokenizer() {
  static auto const tokenizer =
      std::make_shared<Tokenizer const>(Tokenizer::load(std::filesystem::path{LIERNE_GOLDEN} / "tokenizer/tokenizer.json"));
  return tokenizer;
}

/// n lower-case letters and spaces.
inline std::string letters(std::size_t n, std::uint64_t seed = 1) {
  std::string text;
  for (std::size_t i = 0; i < n; ++i) text.push_back("abcdefghijklmnopqrstuvwxyz     "[Random{seed, 0}.below(i, 31)]);
  return text;
}

/// n bytes: ASCII, whole sequences, their parts, and bytes that never occur, in one heap.
inline std::string heap(std::size_t n, std::uint64_t seed) {
  static constexpr std::string_view parts[] = {"a", "B", "'s", "'Re", "'\u017f", " ", "  ", "\n", "\r\n", "\t", "1", "23", "\u00e9", "\u4e2d",
                                               "\U0001f642", "e\u0301", "\u00a0", "\u2028", "\u0663", "!", "\xff", "\xe4\xb8", "\xf0\x9f",
                                               "\x80", "\xed\xa0\x80", "\xc0", "<|end_of_text|>", "<|end_of", "\u200d", "the"};
  std::string bytes;
  Random const random{seed, 7};
  for (std::uint64_t i = 0; bytes.size() < n; ++i) {
    auto const which = random.below(2 * i, std::size(parts) + 3);
    if (which < std::size(parts)) {
      bytes += parts[which];
    } else {
      bytes.push_back(static_cast<char>(random.below(2 * i + 1, 256)));
    }
  }
  return bytes;
}

/// A folder that is gone when the test ends.
struct Folder {
  std::filesystem::path path;
  explicit Folder(std::string const& name)
      : path{std::filesystem::temp_directory_path() / ("lierne_data_" + name + "_" + std::to_string(Random{tick(), 0}.bits(0)))} {
    std::filesystem::create_directories(path);
  }
  Folder(Folder const&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }
  /// Writes a file and gives its path.
  std::filesystem::path write(std::string const& name, std::string_view bytes) const {
    std::ofstream{path / name, std::ios::binary} << bytes;
    return path / name;
  }

 private:
  static std::uint64_t tick() {
    int const here = 0;
    return reinterpret_cast<std::uintptr_t>(&here) ^
           static_cast<std::uint64_t>(std::filesystem::file_time_type::clock::now().time_since_epoch().count());
  }
};

}  // namespace sample
