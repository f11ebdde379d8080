// SPDX-License-Identifier: Apache-2.0
// Blocks and norms behind virtual calls: what runs them is compiled once, whatever they are made of.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "lierne/nn/block.hpp"
#include "lierne/nn/mask.hpp"
#include "lierne/nn/recompute.hpp"

namespace lierne {

/// The rotations that a block applies to queries and keys.
struct Rotation {
  Rope rope{};
  std::int64_t head_size = 0;
  friend bool operator==(Rotation const&, Rotation const&) = default;
};

/// A block of unknown type.
class AnyBlock {
 public:
  virtual ~AnyBlock() = default;
  /// See `Block`.
  virtual Tensor operator()(Tensor const& h, Sequence const& sequence, Dtype compute, Group const& group) const = 0;
  /// The same, observed.
  virtual Tensor operator()(Tensor const& h, Sequence const& sequence, Dtype compute, Group const& group,
                            Observed const& watch) const = 0;
  virtual std::optional<Rotation> rotation() const = 0;
  /// What makes the keys that its queries may see; null where these are all before.
  virtual MaskMaker mask() const = 0;
  /// Its layer of experts; without one, the pointers are null.
  virtual RoutedLayer routed() { return {}; }
  virtual void walk(ParameterVisitor visit, std::string const& prefix) = 0;
};

/// A norm of unknown type: the one behind the last block, or behind the embedding.
class AnyNorm {
 public:
  virtual ~AnyNorm() = default;
  /// See `RmsNormLayer`.
  virtual Tensor operator()(Tensor const& x, Dtype compute) const = 0;
  virtual void walk(ParameterVisitor visit, std::string const& prefix) = 0;
};

/// The blocks of a decoder, from the first layer to the last.
using Blocks = std::vector<std::unique_ptr<AnyBlock>>;

namespace detail {

template <auto block>
class BlockOf final : public AnyBlock {
 public:
  BlockOf(int layer, int layers) : block_(Block<block>::make(layer, layers)) {}

  Tensor operator()(Tensor const& h, Sequence const& sequence, Dtype compute, Group const& group) const override {
    return run(h, sequence, compute, group, Unobserved{});
  }
  Tensor operator()(Tensor const& h, Sequence const& sequence, Dtype compute, Group const& group,
                    Observed const& watch) const override {
    return run(h, sequence, compute, group, watch);
  }
  std::optional<Rotation> rotation() const override {
    using Mixer = typename Block<block>::Mixer;
    if constexpr (requires { requires Mixer::rotates; }) return Rotation{Mixer::rope, Mixer::head_size};
    return {};
  }
  MaskMaker mask() const override { return mask_maker<block.mask>(); }
  RoutedLayer routed() override {
    if constexpr (requires { block_.channel.routed(); }) return block_.channel.routed();
    return {};
  }
  void walk(ParameterVisitor visit, std::string const& prefix) override { lierne::walk(block_, visit, prefix); }

 private:
  template <class Watch>
  Tensor run(Tensor const& h, Sequence const& sequence, Dtype compute, Group const& group, Watch const& watch) const {
    auto const first = [&] { return block_(h, sequence, compute, group, watch); };
    if constexpr (block.recompute.block) {
      static_assert(std::copy_constructible<Block<block>>,
                    "RecomputeBlock: the layers of the block must be copyable (its second run works on a copy)");
      if (records_gradients()) {
        // On a copy, whose weights are those that the backward pass finds, and which may outlive the model.
        auto again = std::make_shared<Block<block>>(block_);
        auto const parameters = parameters_of(*again);
        TensorList weights;
        for (auto* p : parameters) {
          weights.push_back(std::exchange(p->materialised, Tensor()));
          p->owned = Tensor();
        }
        auto second = sequence;
        second.counts = false;  // the tokens of this pass are counted
        return run_and_recompute(h, weights, first,
                                 [again, parameters, second, compute, &group](Tensor const& x, TensorList const& read) {
          for (std::size_t i = 0; i < read.size(); ++i) parameters[i]->materialised = read[i];
          auto output = (*again)(x, second, compute, group);
          for (auto* p : parameters) p->materialised = Tensor();
          return output;
        });
      }
    }
    return first();
  }

  Block<block> block_;
};

template <class Layer>
class NormOf final : public AnyNorm {
 public:
  Tensor operator()(Tensor const& x, Dtype compute) const override { return norm_(x, compute); }
  void walk(ParameterVisitor visit, std::string const& prefix) override { lierne::walk(norm_, visit, prefix); }

 private:
  Layer norm_{};
};

template <auto block>
std::unique_ptr<AnyBlock> make_block(int layer, int layers) {
  return std::make_unique<BlockOf<block>>(layer, layers);
}

/// Makes the block of layer `layer` among `layers`.
using BlockMaker = std::unique_ptr<AnyBlock> (*)(int layer, int layers);

Blocks make_blocks(BlockMaker const* makers, int period, int layers);

}  // namespace detail

/// The blocks of a record under a tensor degree. Layers with equal records have the same type.
template <auto spec, int tensor>
Blocks make_blocks() {
  // Later places of a period that is longer than the model never occur.
  constexpr int period = std::min(block_period(spec), spec.layers);
  constexpr auto makers = []<int... layer>(std::integer_sequence<int, layer...>) {
    return std::array<detail::BlockMaker, period>{detail::make_block<block_at<layer>(spec, tensor)>...};
  }(std::make_integer_sequence<int, period>{});
  return detail::make_blocks(makers.data(), period, spec.layers);
}

/// A norm of the stream outside the blocks: that of the first layer.
template <auto spec, int tensor>
std::unique_ptr<AnyNorm> make_stream_norm() {
  return std::make_unique<detail::NormOf<typename Block<block_at<0>(spec, tensor)>::Norm>>();
}

#if LIERNE_BODIES
namespace detail {

LIERNE_INLINE Blocks make_blocks(BlockMaker const* makers, int period, int layers) {
  Blocks blocks;
  for (int layer = 0; layer < layers; ++layer) blocks.push_back(makers[layer % period](layer, layers));
  return blocks;
}

}  // namespace detail
#endif

}  // namespace lierne
