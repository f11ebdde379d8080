// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/mask.hpp"

#include <algorithm>

#include "lierne/tensor/generator.hpp"
#include "nn/golden_model.hpp"

using namespace lierne;

namespace {

constexpr int end_token = 5;

// Each mask's definition for one pair of positions, from the tokens of its sequence.
bool allows(Causal, std::vector<std::int64_t> const&, std::int64_t q, std::int64_t k) { return q >= k; }
bool allows(FixedBlock mask, std::vector<std::int64_t> const&, std::int64_t q, std::int64_t k) {
  return q >= k && q / mask.size == k / mask.size;
}
bool allows(SlidingWindow mask, std::vector<std::int64_t> const&, std::int64_t q, std::int64_t k) {
  return q >= k && q - k < mask.size;
}
bool allows(Documents mask, std::vector<std::int64_t> const& tokens, std::int64_t q, std::int64_t k) {
  auto const document = [&](std::int64_t t) { return std::count(tokens.begin(), tokens.begin() + t, mask.end); };
  return q >= k && document(q) == document(k);
}
template <class First, class Second>
bool allows(Both<First, Second> mask, std::vector<std::int64_t> const& tokens, std::int64_t q, std::int64_t k) {
  return allows(mask.first, tokens, q, k) && allows(mask.second, tokens, q, k);
}

Tensor tokens_with_ends(std::int64_t batch, std::int64_t length) {
  auto tokens = at::empty({batch, length}, at::TensorOptions().dtype(int64));
  return tokens.random_(0, 9, make_generator(7));  // every ninth ends a document, some of them neighbours
}

template <class Mask>
void equals_its_definition(Mask const& mask, Tensor const& tokens) {
  auto const length = tokens.size(1);
  auto const visible = visible_keys(mask, tokens);
  kernel::check_visible(visible, tokens.size(0), length);
  auto const table = kernel::visible_table(visible, length, at::kCPU).expand({tokens.size(0), length, length}).contiguous();
  auto const found = table.template accessor<bool, 3>();
  std::int64_t wrong = 0;
  for (std::int64_t b = 0; b < tokens.size(0); ++b) {
    auto const* row = tokens.const_data_ptr<std::int64_t>() + b * length;
    std::vector<std::int64_t> const text(row, row + length);
    for (std::int64_t q = 0; q < length; ++q) {
      for (std::int64_t k = 0; k < length; ++k) wrong += found[b][q][k] != allows(mask, text, q, k);
    }
  }
  CHECK(wrong == 0);
}

// A mask of one's own: pairs of neighbours.
struct Pairs {
  static constexpr auto role = Role::mask;
  Tensor first_keys(Tensor const& tokens) const {
    auto const position = at::arange(tokens.size(1), tokens.options());
    return (position - position % 2).unsqueeze(0);
  }
};

// One that only its mixer understands.
struct Strided {
  static constexpr auto role = Role::mask;
  int stride = 4;
};

}  // namespace

static_assert(says_visible_keys<Both<FixedBlock, Documents>> && says_visible_keys<Both<Documents, Pairs>>);
static_assert(!says_visible_keys<Strided> && !says_visible_keys<Both<Strided, Documents>>);
static_assert(mask_maker<Strided{}>() == nullptr);
static_assert(mask_maker<Causal{}>() == nullptr);
static_assert(mask_maker<FixedBlock{.size = 4}>() != nullptr);

TEST_CASE("every mask and conjunction allows the pairs of its definition, and no other") {
  for (std::int64_t const length : {1, 2, 61, 64}) {
    CAPTURE(length);
    auto const tokens = tokens_with_ends(3, length);
    equals_its_definition(Causal{}, tokens);
    for (int const size : {1, 3, 16, 64, 1000}) {
      CAPTURE(size);
      equals_its_definition(FixedBlock{.size = size}, tokens);
      equals_its_definition(SlidingWindow{.size = size}, tokens);
      equals_its_definition(FixedBlock{.size = size} & Documents{.end = end_token}, tokens);
      equals_its_definition(Documents{.end = end_token} & SlidingWindow{.size = size}, tokens);
      equals_its_definition(SlidingWindow{.size = 7} & FixedBlock{.size = size} & Documents{.end = end_token}, tokens);
      equals_its_definition(SlidingWindow{.size = 7} & (Documents{.end = end_token} & FixedBlock{.size = size}), tokens);
    }
    equals_its_definition(Documents{.end = end_token}, tokens);
    equals_its_definition(Documents{.end = 100}, tokens);
  }
}

TEST_CASE("the end of a document belongs to the document that it ends") {
  auto const tokens = at::tensor({1, 5, 2, 3, 5, 5, 4}, at::TensorOptions().dtype(int64)).unsqueeze(0);
  auto const starts = visible_keys(Documents{.end = 5}, tokens).first;
  CHECK(at::equal(starts, at::tensor({0, 0, 2, 2, 2, 5, 6}, at::TensorOptions().dtype(int64)).unsqueeze(0)));
}

TEST_CASE("documents in a block are those at the true positions, not those at positions inside the first block") {
  // Upstream looks documents up at index mod block. Here the first block is one document and the second is two.
  auto const tokens = at::tensor({1, 2, 3, 4, 1, 5, 3, 4}, at::TensorOptions().dtype(int64)).unsqueeze(0);
  auto const table = kernel::visible_table(visible_keys(FixedBlock{.size = 4} & Documents{.end = 5}, tokens), 8, at::kCPU)[0];
  CHECK(table[3][0].item<bool>());
  CHECK(table[5][4].item<bool>());
  CHECK_FALSE(table[6][5].item<bool>());
  CHECK_FALSE(table[7][4].item<bool>());
}

TEST_CASE("masks that no token decides cost one row or none") {
  auto const tokens = tokens_with_ends(4, 32);
  CHECK(visible_keys(Causal{}, tokens).all());
  CHECK_FALSE(visible_keys(FixedBlock{.size = 8}, tokens).first.defined());
  CHECK(visible_keys(SlidingWindow{.size = 8}, tokens).first.sizes() == Shape{1, 32});
  CHECK(visible_keys(Documents{.end = 5} & SlidingWindow{.size = 8}, tokens).first.sizes() == Shape{4, 32});
}

TEST_CASE("a mask of one's own says its first keys, and joins the library's") {
  auto const tokens = tokens_with_ends(2, 10);
  CHECK(at::equal(kernel::visible_table(visible_keys(Pairs{}, tokens), 10, at::kCPU),
                  kernel::visible_table({.block = 2}, 10, at::kCPU)));
  CHECK(at::equal(kernel::visible_table(visible_keys(Pairs{} & Documents{.end = 5}, tokens), 10, at::kCPU),
                  kernel::visible_table(visible_keys(FixedBlock{.size = 2} & Documents{.end = 5}, tokens), 10, at::kCPU)));
}

TEST_CASE("a maker's address tells masks apart") {
  CHECK((mask_maker<FixedBlock{.size = 4}>() == mask_maker<FixedBlock{.size = 4}>()));
  CHECK((mask_maker<FixedBlock{.size = 4}>() != mask_maker<FixedBlock{.size = 5}>()));
  auto const tokens = tokens_with_ends(1, 8);
  CHECK(mask_maker<FixedBlock{.size = 4}>()(tokens).block == 4);
}

namespace {

// llama4_irope: full attention without positions on layers 0, 4, ..., blocks of 16 with rotations on the others, and
// documents that token 5 ends on all of them.
constexpr Decoder irope{.layers = 4,
                        .width = 64,
                        .vocab = 128,
                        .mixer = Attention{.heads = 4, .kv_heads = 2},
                        .position = every_from_first<4>(NoPosition{}, Rope{.base = 5e5}),
                        .mask = every_from_first<4>(Documents{.end = 5}, FixedBlock{.size = 16} & Documents{.end = 5}),
                        .channel = SwiGlu{.multiple_of = 16}};

/// How far layer l of a record, given the fixture's activations before it, is from those behind it.
template <auto spec, int layer>
double layer_error(Tensor const& tokens_that_mask) {
  using Layer = Block<block_at<layer>(spec)>;
  auto const file = SafeTensors::open(golden::path("llama4_irope"));
  auto block = Layer::make(layer, spec.layers);
  auto const name = "layers." + std::to_string(layer);
  walk(block, [&](std::string const& parameter, Parameter& p) { p.materialised = file.tensor("w0/" + name + "." + parameter); });
  auto const before = file.tensor(layer == 0 ? "act0/tok_embeddings" : "act0/layers." + std::to_string(layer - 1));
  Sequence sequence{.visible = visible_keys(block_at<layer>(spec).mask, tokens_that_mask)};
  if constexpr (Layer::Mixer::rotates) {
    sequence.rotary = rotary_table(Layer::Mixer::rope, Layer::Mixer::head_size, before.size(1), float32, at::kCPU);
  }
  NoGrad guard;
  return golden::max_abs(block(before, sequence, float32, Group{}), file.tensor("act0/" + name));
}

}  // namespace

TEST_CASE("layers of llama4_irope equal the original's with true documents") {
  auto const tokens = SafeTensors::open(golden::path("llama4_irope")).tensor("tokens");
  CHECK(layer_error<irope, 0>(tokens) <= 5e-6);
  CHECK(layer_error<irope, 2>(tokens) <= 5e-6);
}

TEST_CASE("llama4_irope notices every wrong mask") {
  auto const tokens = SafeTensors::open(golden::path("llama4_irope")).tensor("tokens");
  CHECK(layer_error<with(irope, Causal{}), 0>(tokens) > 1e-4);
  CHECK(layer_error<with(irope, irope.mask.others), 0>(tokens) > 1e-4);
  CHECK(layer_error<with(irope, Documents{.end = 5}), 2>(tokens) > 1e-4);
  CHECK(layer_error<with(irope, FixedBlock{.size = 16}), 2>(tokens) > 1e-4);
  CHECK(layer_error<with(irope, every<4>(NoPosition{}, Rope{.base = 5e5})), 0>(tokens) > 1e-4);
  // Upstream's fault: documents looked up at index mod block, so that the first block's cut all others.
  auto const first_block = tokens.narrow(1, 0, 16);
  CHECK(layer_error<irope, 2>(at::cat({first_block, first_block}, 1)) > 1e-4);
}

TEST_CASE("a model makes each mask once for all its layers, and every layer uses its own") {
  constexpr auto dense = with(irope, Float64{});
  Model<dense> model;
  model.init({.seed = 3});
  auto const tokens = tokens_with_ends(2, 40);
  struct Seen : Observer {
    std::vector<VisibleKeys> masks;
    void activation(std::string const&, Tensor const&) override {}
    void attention(std::string const&, Tensor const&, Tensor const&, VisibleKeys const& visible, double) override {
      masks.push_back(visible);
    }
  } seen;
  model.loss(tokens, tokens, 80, seen);
  REQUIRE(seen.masks.size() == 4);
  CHECK(seen.masks[0].block == 0);
  for (int l : {1, 2, 3}) {
    CHECK(seen.masks[static_cast<std::size_t>(l)].block == 16);
    CHECK(seen.masks[static_cast<std::size_t>(l)].first.is_same(seen.masks[1].first));
  }
  CHECK(at::equal(seen.masks[0].first, seen.masks[1].first));
  // Another batch, other documents: nothing of the last one is kept.
  auto const others = (tokens + 1).remainder(9);
  CHECK_FALSE(at::equal(model.forward(others), model.forward(tokens)));
  auto const again = visible_keys(Documents{.end = 5}, others).first;
  seen.masks.clear();
  model.loss(others, others, 80, seen);
  CHECK(at::equal(seen.masks[0].first, again));
}

TEST_CASE("documents packed into a sequence have the logits that they have alone, and change no bit of each other's") {
  constexpr auto spec = with(irope, NoPosition{}, Documents{.end = 5});
  Model<spec> model;
  model.init({.seed = 3});
  NoGrad guard;
  auto tokens = (at::arange(70, at::TensorOptions().dtype(int64)) * 7).remainder(120) + 6;  // none of them ends a document
  tokens[24] = 5;
  tokens[51] = 5;
  auto const packed = model.forward(tokens.unsqueeze(0));
  for (auto const& [begin, size] : {std::pair{0, 25}, {25, 27}, {52, 18}}) {
    auto const alone = model.forward(tokens.narrow(0, begin, size).unsqueeze(0));
    CHECK(at::allclose(packed.narrow(1, begin, size), alone, 1e-5, 1e-5));
    auto changed = (tokens + 1).clamp(6, 127);
    changed[24] = changed[51] = 5;
    changed.narrow(0, begin, size).copy_(tokens.narrow(0, begin, size));
    CHECK(at::equal(model.forward(changed.unsqueeze(0)).narrow(1, begin, size), packed.narrow(1, begin, size)));
  }
}
