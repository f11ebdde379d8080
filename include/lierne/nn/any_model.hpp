// SPDX-License-Identifier: Apache-2.0
// What a decoder does whatever its record: its units, its forward pass and its loss.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/nn/any_block.hpp"
#include "lierne/nn/embedding.hpp"
#include "lierne/nn/fp8.hpp"
#include "lierne/nn/init.hpp"
#include "lierne/nn/loss.hpp"
#include "lierne/nn/unit.hpp"

#if LIERNE_BODIES
#include <algorithm>

#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// What a model makes of its logits and the labels.
struct LossRule {
  CrossEntropyOptions options{};
  /// A loss of the user's own in its place: the sum over the labels that are not ignored.
  Tensor (*own)(Tensor const& logits, Tensor const& labels) = nullptr;
};

/// The decoder behind `Model`: compiled once, whatever the record. Not made by itself.
///
/// Shapes: tokens and labels [B, L] of int64; logits [B, L, V]. Under tensor parallelism L must be a multiple of t.
/// Errors: `ShapeError` naming the tensor; `ArgumentError` when used before `init`.
class AnyModel {
 public:
  /// Called with each activation's name and value.
  using Observer = FunctionRef<void(std::string const& name, Tensor const& output)>;

  AnyModel(AnyModel&&) noexcept;
  AnyModel& operator=(AnyModel&&) noexcept;
  ~AnyModel();

  /// Draws the first values of this process's parts. The mesh must outlive the model.
  void init(InitOptions const& options = {}, Mesh const& mesh = alone());

  /// The logits of every position, whole on each rank.
  Tensor forward(Tensor const& tokens);
  /// The same; `observe` sees the embedding, every layer and the last norm.
  Tensor forward(Tensor const& tokens, Observer observe);

  /// The sum of the batch's cross entropies over `count`, the number of valid labels of the whole step: gradients of
  /// micro-batches and ranks then add up to those of the mean. Units: nats.
  /// Outside training, where no gradients are recorded, without the loss's z term.
  /// Numerics: of one process the logits never exist at once; see kernel::linear_cross_entropy.
  Tensor loss(Tensor const& tokens, Tensor const& labels, double count);
  /// The same, bit for bit; `observer` sees every site.
  Tensor loss(Tensor const& tokens, Tensor const& labels, double count, lierne::Observer& observer);

  /// Calls `visit(name, parameter)` for every parameter.
  void walk(ParameterVisitor visit, std::string const& prefix = {});
  std::vector<Parameter*> parameters() { return parameters_of(*this); }
  /// Calls `visit(name, buffer)` for every buffer; those that are persistent belong to a checkpoint.
  void walk_buffers(BufferVisitor visit) { walk(ParameterVisitor::of_buffers(visit)); }
  /// Moves the selection biases of all layers of experts by the tokens of the step, and counts anew. Call it once a
  /// step on all ranks, behind the last backward pass and before the optimizer. Returns the loads, layer by layer.
  std::vector<ExpertLoad> update_expert_bias();
  /// The units in the order in which forward runs them.
  std::vector<Unit> const& units();
  /// Replaces who materialises the units (parallel/ does).
  void materialise_by(std::unique_ptr<Materialiser> materialiser);
  Mesh const& mesh() const { return *mesh_; }
  Device device() const { return tok_embeddings_.weight.owned.device(); }

 protected:
  struct Sizes {
    std::int64_t width = 0;
    std::int64_t vocab = 0;
    Initial embedding{};  ///< first values of the table, and of the output
    Initial output{};
    double input_multiplier = 1;   ///< of the embedding, behind its norm
    double output_multiplier = 1;  ///< of the logits
    bool tied = false;             ///< the output's weight is the table
    int tensor = 1;                ///< the degree of the plan's tensor axis
    Dtype master = float32;
    Dtype compute = float32;
    LossRule loss{};
    ModuleNames const* not_in_fp8 = nullptr;  ///< of Fp8 alone: the layers that it leaves out
  };
  /// `embedding_norm` may be absent.
  AnyModel(Sizes const& sizes, Blocks blocks, std::unique_ptr<AnyNorm> embedding_norm, std::unique_ptr<AnyNorm> norm);

 private:
  using Finish = FunctionRef<Tensor(Tensor const& normed)>;

  static Mesh const& alone();
  /// The output's weight, in the dtype of its input.
  Tensor output_weight() const;
  /// The output product of the last norm's result, capped where the loss caps.
  Tensor logits(Tensor const& normed) const;
  Tensor product_logits(Tensor const& normed) const;
  /// Runs all units on tokens, each of which weighs `token_weight` in the loss, if there is one; `finish` takes the last
  /// norm's result to what is returned.
  template <class Watch>
  Tensor run(Tensor const& tokens, Watch const& watch, double token_weight, Finish finish);
  template <class Watch>
  Tensor loss_of(Tensor const& tokens, Tensor const& labels, double count, Watch const& watch);
  Tensor run_unit(std::size_t index, FunctionRef<Tensor()> run);
  /// The stream that enters the first block; the watch sees the table's rows.
  template <class Watch>
  Tensor embed(Tensor const& tokens, Watch const& watch) const;
  /// The table of a rotation for `length` positions, made when first asked for.
  Tensor rotary(Rotation const& rotation, std::int64_t length);

  Sizes sizes_;
  Embedding tok_embeddings_;
  std::unique_ptr<AnyNorm> embedding_norm_;
  Blocks layers_;
  std::unique_ptr<AnyNorm> norm_;
  Linear output_;  // unused where tied

  Mesh const* mesh_ = &alone();
  std::unique_ptr<Materialiser> materialiser_;
  bool casts_alone_ = true;  // nobody has taken the materialising over
  std::vector<Unit> units_;
  AnyModel const* units_of_ = nullptr;  // units point into the model that built them; a moved one builds its own
  std::vector<std::pair<Rotation, Tensor>> rotary_;
};

#if LIERNE_BODIES
LIERNE_INLINE AnyModel::AnyModel(Sizes const& sizes, Blocks blocks, std::unique_ptr<AnyNorm> embedding_norm,
                                 std::unique_ptr<AnyNorm> norm)
    : sizes_(sizes),
      embedding_norm_(std::move(embedding_norm)),
      layers_(std::move(blocks)),
      norm_(std::move(norm)) {
  tok_embeddings_.weight = {.shape = {sizes.vocab, sizes.width},
                            .initial = sizes.embedding,
                            .tensor_dim = 0,
                            .read_as = ReadAs::master,
                            .kind = Kind::embedding};
  output_ = make_linear(sizes.width, sizes.vocab, sizes.output, 0);
  output_.weight.kind = Kind::output;
}

LIERNE_INLINE AnyModel::AnyModel(AnyModel&&) noexcept = default;
LIERNE_INLINE AnyModel& AnyModel::operator=(AnyModel&&) noexcept = default;
LIERNE_INLINE AnyModel::~AnyModel() = default;

LIERNE_INLINE Mesh const& AnyModel::alone() {
  static Mesh const mesh;
  return mesh;
}

LIERNE_INLINE void AnyModel::walk(ParameterVisitor visit, std::string const& prefix) {
  using lierne::detail::join_name;
  lierne::walk(tok_embeddings_, visit, join_name(prefix, "tok_embeddings"));
  lierne::walk(embedding_norm_, visit, join_name(prefix, "embedding_norm"));
  lierne::walk(layers_, visit, join_name(prefix, "layers"));
  lierne::walk(norm_, visit, join_name(prefix, "norm"));
  if (!sizes_.tied) lierne::walk(output_, visit, join_name(prefix, "output"));
}

LIERNE_INLINE void AnyModel::init(InitOptions const& options, Mesh const& mesh) {
  check<LaunchError>(mesh.plan().tensor == sizes_.tensor, "Model: built for tensor degree ", sizes_.tensor,
                     ", the mesh has ", mesh.plan().tensor);
  check<LaunchError>(mesh.plan().shard == 1 || !casts_alone_, "Model: a mesh with shard degree ", mesh.plan().shard,
                     " needs its parameters gathered (use parallelise(model, mesh) of parallel/ before init)");
  mesh_ = &mesh;
  if (!materialiser_) materialiser_ = std::make_unique<CastMaterialiser>(sizes_.compute);
  if (sizes_.not_in_fp8) {
    std::vector<std::pair<std::string, Parameter*>> parameters;
    walk([&](std::string const& name, Parameter& parameter) { parameters.emplace_back(name, &parameter); });
    if (sizes_.tied) parameters.emplace_back("output.weight", &output_.weight);  // the product has the table's sizes
    lierne::detail::use_fp8(parameters, *sizes_.not_in_fp8, sizes_.tensor);
  }
  lierne::init(*this, options, mesh, sizes_.master);
  walk_buffers([&](std::string const& name, Buffer& buffer) {
    auto const dtype = buffer.dtype == at::ScalarType::Undefined ? sizes_.master : buffer.dtype;
    buffer.name = name;
    buffer.value = at::zeros(buffer.shape, at::TensorOptions().dtype(dtype).device(options.device));
  });
  rotary_.clear();
}

LIERNE_INLINE void AnyModel::materialise_by(std::unique_ptr<Materialiser> materialiser) {
  materialiser_ = std::move(materialiser);
  casts_alone_ = false;
}

LIERNE_INLINE std::vector<ExpertLoad> AnyModel::update_expert_bias() {
  std::vector<RoutedLayer> layers;
  for (auto const& layer : layers_) {
    if (auto const routed = layer->routed(); routed.tokens_per_expert) layers.push_back(routed);
  }
  return lierne::update_expert_bias(layers, *mesh_);
}

LIERNE_INLINE std::vector<Unit> const& AnyModel::units() {
  if (units_of_ == this) return units_;
  // A tied table is read first and last: nobody frees it in between.
  units_ = {{.name = "tok_embeddings", .parameters = parameters_of(tok_embeddings_), .last = sizes_.tied}};
  lierne::walk(embedding_norm_, [&](std::string const&, Parameter& p) { units_.front().parameters.push_back(&p); });
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    units_.push_back({.name = "layers." + std::to_string(l), .parameters = parameters_of(*layers_[l])});
  }
  units_.push_back({.name = "output", .parameters = parameters_of(*norm_), .last = true});
  if (!sizes_.tied) units_.back().parameters.push_back(&output_.weight);
  units_of_ = this;
  return units_;
}

LIERNE_INLINE Tensor AnyModel::rotary(Rotation const& rotation, std::int64_t length) {
  auto const fits = [&](auto const& entry) { return entry.first == rotation && entry.second.size(0) >= length; };
  auto table = std::ranges::find_if(rotary_, fits);
  if (table == rotary_.end()) {
    NoGrad guard;
    // A shorter one stays: steps in a CUDA graph read it where it is. Twice as long, so that few are made.
    auto positions = length;
    for (auto const& [other, made] : rotary_) {
      if (other == rotation) positions = std::max(positions, 2 * made.size(0));
    }
    auto made = rotary_table(rotation.rope, rotation.head_size, positions, sizes_.master, device());
    table = rotary_.insert(rotary_.end(), {rotation, std::move(made)});
  }
  return table->second.narrow(0, 0, length);
}

LIERNE_INLINE Tensor AnyModel::run_unit(std::size_t index, FunctionRef<Tensor()> run) {
  auto const& unit = units()[index];
  materialiser_->materialise(unit);
  return materialiser_->release(unit, run());
}

template <class Watch>
Tensor AnyModel::embed(Tensor const& tokens, Watch const& watch) const {
  auto const& group = (*mesh_)[Axis::tensor];
  auto h = redistribute<Sharded<1>>(Placed<Partial>{tok_embeddings_(tokens, group)}, group).local;
  watch.see(h);
  if (embedding_norm_) h = (*embedding_norm_)(h, sizes_.master);
  return sizes_.input_multiplier == 1 ? h : h * sizes_.input_multiplier;
}

LIERNE_INLINE Tensor AnyModel::output_weight() const {
  return sizes_.tied ? tok_embeddings_.weight().to(sizes_.compute) : output_.weight();
}

LIERNE_INLINE Tensor AnyModel::product_logits(Tensor const& normed) const {
  auto const& group = (*mesh_)[Axis::tensor];
  auto const whole = redistribute<Replicated>(Placed<Sharded<1>>{normed}, group).local;
  auto const product = output_.weight.product == Product::fp8 ? kernel::fp8_linear(whole, output_weight())
                                                              : kernel::linear(whole, output_weight());
  return redistribute<Invariant>(Placed<Sharded<2>>{product}, group).local;
}

LIERNE_INLINE Tensor AnyModel::logits(Tensor const& normed) const {
  return capped(product_logits(normed), sizes_.loss.options.soft_cap);
}

namespace detail {

// Shows what passes from unit to unit, and nothing inside them.
struct StreamWatch {
  static constexpr bool looks = true;
  AnyModel::Observer const* observe;
  std::string site{};

  void see(Tensor const& x) const { (*observe)(site, x); }
  StreamWatch below(std::string_view name) const { return {observe, std::string(name)}; }
};

}  // namespace detail

template <class Watch>
Tensor AnyModel::run(Tensor const& tokens, Watch const& watch, double token_weight, Finish finish) {
  check(materialiser_ != nullptr, "Model: forward before init (call model.init(...) first)");
  check<ShapeError>(tokens.dim() == 2 && tokens.scalar_type() == int64, "Model: expected tokens [B, L] of int64, found ",
                    to_string(tokens.sizes()), " of ", at::toString(tokens.scalar_type()));
  auto const length = tokens.size(1);
  check<ShapeError>(length % sizes_.tensor == 0, "Model: expected a length that is a multiple of the tensor degree ",
                    sizes_.tensor, ", found ", length);
  auto const& group = (*mesh_)[Axis::tensor];

  auto const watch_embedding = watch.below("tok_embeddings");
  auto const& table = units().front();
  materialiser_->materialise(table);
  Tensor h = embed(tokens, watch_embedding);
  if (!sizes_.tied) h = materialiser_->release(table, h);
  std::vector<std::pair<MaskMaker, VisibleKeys>> masks;  // made once for all layers of a mask
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    auto const& block = *layers_[l];
    Sequence sequence{.counts = records_gradients(), .token_weight = token_weight};
    if (auto const rotation = block.rotation()) sequence.rotary = rotary(*rotation, length);
    if (auto const make = block.mask()) {
      auto mask = std::ranges::find(masks, make, [](auto const& made) { return made.first; });
      if (mask == masks.end()) mask = masks.insert(mask, {make, make(tokens)});
      sequence.visible = mask->second;
    }
    auto const watch_layer = watch.below(Watch::looks ? "layers." + std::to_string(l) : std::string());
    h = run_unit(l + 1, [&] {
      if constexpr (std::same_as<Watch, Observed>) {
        return block(h, sequence, sizes_.compute, group, watch_layer);
      } else {
        return block(h, sequence, sizes_.compute, group);
      }
    });
    watch_layer.see(h);
  }
  auto result = run_unit(layers_.size() + 1, [&] {
    auto const normed = (*norm_)(h, sizes_.compute);
    watch.below("norm").see(normed);
    return finish(sizes_.output_multiplier == 1 ? normed : normed * sizes_.output_multiplier);
  });
  return sizes_.tied ? materialiser_->release(table, result) : result;
}

LIERNE_INLINE Tensor AnyModel::forward(Tensor const& tokens) {
  return run(tokens, Unobserved{}, 0, [this](Tensor const& normed) { return logits(normed); });
}

LIERNE_INLINE Tensor AnyModel::forward(Tensor const& tokens, Observer observe) {
  return run(tokens, detail::StreamWatch{&observe}, 0, [this](Tensor const& normed) { return logits(normed); });
}

template <class Watch>
Tensor AnyModel::loss_of(Tensor const& tokens, Tensor const& labels, double count, Watch const& watch) {
  return run(tokens, watch, 1 / count, [&](Tensor const& normed) {
    auto options = sizes_.loss.options;
    if (!records_gradients()) options.z = 0;  // a regulariser: what judges a model is the cross entropy
    if (sizes_.loss.own != nullptr) return sizes_.loss.own(product_logits(normed), labels) / count;
    bool const chunked = sizes_.tensor == 1 && output_.weight.product != Product::fp8;
    if (!chunked) return cross_entropy_sum(product_logits(normed), labels, options) / count;
    return kernel::linear_cross_entropy(normed, output_weight(), labels, 1 / count, options);
  });
}

LIERNE_INLINE Tensor AnyModel::loss(Tensor const& tokens, Tensor const& labels, double count) {
  return loss_of(tokens, labels, count, Unobserved{});
}

LIERNE_INLINE Tensor AnyModel::loss(Tensor const& tokens, Tensor const& labels, double count,
                                    lierne::Observer& observer) {
  return loss_of(tokens, labels, count, Observed{&observer});
}
#endif

}  // namespace lierne
