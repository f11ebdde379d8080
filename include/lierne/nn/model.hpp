// SPDX-License-Identifier: Apache-2.0
// The decoder that a record and a plan describe.
#pragma once

#include <array>
#include <type_traits>
#include <utility>

#include "lierne/nn/block.hpp"
#include "lierne/nn/embedding.hpp"
#include "lierne/nn/init.hpp"
#include "lierne/nn/kinds.hpp"
#include "lierne/nn/loss.hpp"
#include "lierne/nn/unit.hpp"
#include "lierne/spec/fits.hpp"
#include "lierne/tensor/dtype.hpp"

namespace lierne {

/// A decoder-only Transformer. Building one allocates nothing; `init` gives it values on a device.
///
/// Shapes: tokens and labels [B, L] of int64; logits [B, L, V]. Under tensor parallelism L must be a multiple of t.
/// Errors (compile time): sizes or a plan that do not fit, each with its message. Run time: `ShapeError` naming the
/// tensor; `ArgumentError` when used before `init`.
/// Example: `Model<gpt> model; model.init({.seed = 1}); backward(model.loss(tokens, labels, count));`
template <auto spec, Plan plan = Plan{}>
class Model {
  static_assert(detail::CheckedSpec<spec, plan>::value);

  using Kinds = detail::BlockKinds<spec, plan.tensor>;
  using LastNorm = typename Kinds::First::Norm;

 public:
  static constexpr Dtype master = dtype(decltype(spec.precision)::master);
  static constexpr Dtype compute = dtype(decltype(spec.precision)::compute);
  static constexpr auto record = spec;
  static constexpr Plan plan_record = plan;

  Model();

  /// Draws the first values of this process's parts. The mesh must outlive the model.
  void init(InitOptions const& options = {}, Mesh const& mesh = alone());

  /// The logits of every position, whole on each rank.
  Tensor forward(Tensor const& tokens) { return forward(tokens, unobserved); }
  /// The same; `observe(name, output)` is called for the embedding, every layer and the last norm.
  template <class Observe>
  Tensor forward(Tensor const& tokens, Observe&& observe) {
    return run(tokens, observe, [this](Tensor const& normed) { return logits(normed); });
  }

  /// The sum of the batch's cross entropies over `count`, the number of valid labels of the whole step: gradients of
  /// micro-batches and ranks then add up to those of the mean. Units: nats.
  /// Numerics: of one process the logits never exist at once; see kernel::linear_cross_entropy.
  Tensor loss(Tensor const& tokens, Tensor const& labels, double count) {
    return run(tokens, unobserved, [&](Tensor const& normed) {
      if constexpr (plan.tensor == 1) {
        return kernel::linear_cross_entropy(normed, output_.weight(), labels, 1 / count, ignored_label);
      } else {
        return cross_entropy_sum(logits(normed), labels) / count;
      }
    });
  }

  /// Calls `visit(name, parameter)` for every parameter.
  template <class Visit>
  void walk(Visit&& visit) {
    lierne::walk(*this, visit);
  }
  std::vector<Parameter*> parameters() { return parameters_of(*this); }
  /// The units in the order in which forward runs them.
  std::vector<Unit> const& units();
  /// Replaces who materialises the units (parallel/ does).
  void materialise_by(std::unique_ptr<Materialiser> materialiser) {
    materialiser_ = std::move(materialiser);
    casts_alone_ = false;
  }
  Mesh const& mesh() const { return *mesh_; }
  Device device() const { return tok_embeddings_.weight.owned.device(); }

  static void members(auto& self, auto&& visit) {
    visit("tok_embeddings", self.tok_embeddings_);
    visit("layers", self.layers_);
    visit("norm", self.norm_);
    visit("output", self.output_);
  }

 private:
  static Mesh const& alone() {
    static Mesh const mesh;
    return mesh;
  }
  static constexpr auto unobserved = [](std::string const&, Tensor const&) {};

  Tensor const& rotary(std::size_t kind, std::int64_t length);
  /// The output product of the last norm's result.
  Tensor logits(Tensor const& normed) const;
  /// Runs all units on tokens; `finish` takes the last norm's result to what is returned.
  template <class Observe, class Finish>
  Tensor run(Tensor const& tokens, Observe const& observe, Finish const& finish);
  template <class Run>
  Tensor run_unit(std::size_t index, Run&& run);

  Embedding tok_embeddings_;
  std::vector<typename Kinds::Variant> layers_;
  LastNorm norm_{};
  Linear output_;

  Mesh const* mesh_ = &alone();
  std::unique_ptr<Materialiser> materialiser_;
  bool casts_alone_ = true;  // nobody has taken the materialising over
  std::vector<Unit> units_;
  Model const* units_of_ = nullptr;  // units point into the model that built them; a moved one builds its own
  std::array<Tensor, Kinds::count> rotary_{};
};

template <auto spec, Plan plan>
Model<spec, plan>::Model() {
  tok_embeddings_.weight = {.shape = {spec.vocab, spec.width},
                            .initial = Initial::normal(spec.scaling.embedding_deviation),
                            .tensor_dim = 0,
                            .read_as = ReadAs::master};
  double const deviation = 1 / std::sqrt(static_cast<double>(spec.width));
  output_ = make_linear(spec.width, spec.vocab, Initial::truncated_normal(deviation, 3 * deviation), 0);
  layers_.reserve(spec.layers);
  for (int layer = 0; layer < spec.layers; ++layer) layers_.push_back(Kinds::make(layer, spec.layers));
}

template <auto spec, Plan plan>
void Model<spec, plan>::init(InitOptions const& options, Mesh const& mesh) {
  check<LaunchError>(mesh.plan().tensor == plan.tensor, "Model: built for tensor degree ", plan.tensor,
                     ", the mesh has ", mesh.plan().tensor);
  check<LaunchError>(mesh.plan().shard == 1 || !casts_alone_, "Model: a mesh with shard degree ", mesh.plan().shard,
                     " needs its parameters gathered (use parallelise(model, mesh) of parallel/ before init)");
  mesh_ = &mesh;
  if (!materialiser_) materialiser_ = std::make_unique<CastMaterialiser>(compute);
  lierne::init(*this, options, mesh, master);
  rotary_ = {};
}

template <auto spec, Plan plan>
std::vector<Unit> const& Model<spec, plan>::units() {
  if (units_of_ == this) return units_;
  units_ = {{.name = "tok_embeddings", .parameters = parameters_of(tok_embeddings_)}};
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    units_.push_back({.name = "layers." + std::to_string(l), .parameters = parameters_of(layers_[l])});
  }
  units_.push_back({.name = "output", .parameters = parameters_of(norm_), .last = true});
  units_.back().parameters.push_back(&output_.weight);
  units_of_ = this;
  return units_;
}

template <auto spec, Plan plan>
Tensor const& Model<spec, plan>::rotary(std::size_t kind, std::int64_t length) {
  auto& table = rotary_[kind];
  if (!table.defined() || table.size(0) < length) {
    NoGrad guard;
    table = Kinds::rotary_table(kind, length, master, device());
  }
  return table;
}

template <auto spec, Plan plan>
template <class Run>
Tensor Model<spec, plan>::run_unit(std::size_t index, Run&& run) {
  auto const& unit = units()[index];
  materialiser_->materialise(unit);
  return materialiser_->release(unit, run());
}

template <auto spec, Plan plan>
Tensor Model<spec, plan>::logits(Tensor const& normed) const {
  auto const& group = (*mesh_)[Axis::tensor];
  auto const whole = redistribute<Replicated>(Placed<Sharded<1>>{normed}, group).local;
  return redistribute<Invariant>(Placed<Sharded<2>>{output_(whole)}, group).local;
}

template <auto spec, Plan plan>
template <class Observe, class Finish>
Tensor Model<spec, plan>::run(Tensor const& tokens, Observe const& observe, Finish const& finish) {
  check(materialiser_ != nullptr, "Model: forward before init (call model.init(...) first)");
  check<ShapeError>(tokens.dim() == 2 && tokens.scalar_type() == int64, "Model: expected tokens [B, L] of int64, found ",
                    to_string(tokens.sizes()), " of ", at::toString(tokens.scalar_type()));
  auto const length = tokens.size(1);
  check<ShapeError>(length % plan.tensor == 0, "Model: expected a length that is a multiple of the tensor degree ",
                    plan.tensor, ", found ", length);
  auto const& group = (*mesh_)[Axis::tensor];

  Tensor h = run_unit(0, [&] {
    return redistribute<Sharded<1>>(Placed<Partial>{tok_embeddings_(tokens, group)}, group).local;
  });
  observe("tok_embeddings", h);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    Sequence sequence;
    auto const kind = layers_[l].index();
    if (Kinds::rotates(kind)) sequence.rotary = rotary(kind, length).narrow(0, 0, length);
    h = run_unit(l + 1, [&] {
      return std::visit([&](auto const& block) { return block(h, sequence, compute, group); }, layers_[l]);
    });
    observe("layers." + std::to_string(l), h);
  }
  return run_unit(layers_.size() + 1, [&] {
    auto const normed = norm_(h, compute);
    observe("norm", normed);
    return finish(normed);
  });
}

}  // namespace lierne
