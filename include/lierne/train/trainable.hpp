// SPDX-License-Identifier: Apache-2.0
// What a training loop needs of a model and of data: two interfaces, so that M models and R rules compile as M + R.
#pragma once

#include <memory>

#include "lierne/data/data.hpp"
#include "lierne/nn/nn.hpp"
#include "lierne/optim/model_groups.hpp"
#include "lierne/parallel/parallel.hpp"

namespace lierne {

/// A model behind one virtual call for each thing the loop asks.
class Trainable {
 public:
  virtual ~Trainable() = default;
  virtual Plan plan() const = 0;
  virtual std::string name() const = 0;
  virtual std::int64_t vocab() const = 0;
  /// What groups of a rule may depend on.
  virtual ModelFacts facts() const { return {}; }
  /// The dtype of its products.
  virtual Dtype compute() const = 0;
  virtual std::int64_t parameter_count() const = 0;
  /// Training FLOPs for one token at a sequence length.
  virtual double flops_per_token(std::int64_t length) const = 0;
  virtual void init(InitOptions const& options, Mesh const& mesh) = 0;
  virtual Tensor loss(Tensor const& tokens, Tensor const& labels, double count) = 0;
  /// The model's probes, or none; and the same loss in a step that they measure.
  virtual AnyProbes* probes() { return nullptr; }
  virtual Tensor probed_loss(Tensor const& tokens, Tensor const& labels, double count) {
    return loss(tokens, labels, count);
  }
  /// The same loss; `observer` sees every site.
  virtual Tensor observed_loss(Tensor const& tokens, Tensor const& labels, double count, Observer& observer) = 0;
  /// Ends the step of the layers of experts, see `AnyModel`; returns their loads.
  virtual std::vector<ExpertLoad> update_expert_bias() { return {}; }
  virtual Tensor logits(Tensor const& tokens) = 0;
  virtual std::vector<Parameter*> parameters() = 0;
  virtual void walk_buffers(BufferVisitor /*visit*/) {}
};

namespace detail {

template <class M>
class TrainableModel final : public Trainable {
 public:
  explicit TrainableModel(M model) : model_(std::move(model)) {}

  Plan plan() const override { return M::plan_record; }
  std::string name() const override { return lierne::name(M::record); }
  std::int64_t vocab() const override { return M::record.vocab; }
  ModelFacts facts() const override { return model_facts(M::record); }
  Dtype compute() const override { return M::compute; }
  std::int64_t parameter_count() const override { return lierne::parameters(M::record).total(); }
  double flops_per_token(std::int64_t length) const override {
    return lierne::flops_per_token(M::record, static_cast<double>(length));
  }
  void init(InitOptions const& options, Mesh const& mesh) override {
    parallelise(model_, mesh);
    model_.init(options, mesh);
  }
  Tensor loss(Tensor const& tokens, Tensor const& labels, double count) override {
    return model_.loss(tokens, labels, count);
  }
  AnyProbes* probes() override {
    if constexpr (has_probes) return &model_.probes();
    return nullptr;
  }
  Tensor probed_loss(Tensor const& tokens, Tensor const& labels, double count) override {
    if constexpr (has_probes) return model_.loss(tokens, labels, count, model_.probes());
    return loss(tokens, labels, count);
  }
  Tensor observed_loss(Tensor const& tokens, Tensor const& labels, double count, Observer& observer) override {
    return model_.loss(tokens, labels, count, observer);
  }
  std::vector<ExpertLoad> update_expert_bias() override { return model_.update_expert_bias(); }
  Tensor logits(Tensor const& tokens) override { return model_.forward(tokens); }
  std::vector<Parameter*> parameters() override { return model_.parameters(); }
  void walk_buffers(BufferVisitor visit) override { model_.walk_buffers(visit); }

 private:
  static constexpr bool has_probes = requires(M& model) { model.probes(); };
  M model_;
};

}  // namespace detail

/// A stream of batches with its held-out part.
class Batches {
 public:
  virtual ~Batches() = default;
  virtual Batch next() = 0;
  virtual void shard(Shard shard) = 0;
  /// Where the next batch starts, and going on from there: see `Batched`.
  virtual Position position() const = 0;
  virtual void seek(Position position) = 0;
  /// Held-out batches, and one of them.
  virtual std::int64_t validation_size() const = 0;
  virtual Batch validation(std::int64_t index) const = 0;
  virtual std::int64_t length() const = 0;
  virtual std::int64_t batch_size() const = 0;
  virtual Tokenizer const& tokenizer() const = 0;
};

namespace detail {

template <class Stream>
class StreamBatches final : public Batches {
 public:
  explicit StreamBatches(Stream& stream) : stream_(&stream), held_out_(stream.validation()) {}

  Batch next() override { return stream_->next(); }
  void shard(Shard shard) override {
    stream_->shard(shard);
    held_out_ = stream_->validation();
  }
  Position position() const override { return stream_->position(); }
  void seek(Position position) override { stream_->seek(position); }
  std::int64_t validation_size() const override { return held_out_.size(); }
  Batch validation(std::int64_t index) const override { return held_out_[index]; }
  std::int64_t length() const override { return stream_->length(); }
  std::int64_t batch_size() const override { return stream_->batch_size(); }
  Tokenizer const& tokenizer() const override { return stream_->text().tokenizer(); }

 private:
  Stream* stream_;
  decltype(std::declval<Stream const&>().validation()) held_out_;
};

}  // namespace detail

}  // namespace lierne
