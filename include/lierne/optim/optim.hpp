// SPDX-License-Identifier: Apache-2.0
// Update rules as pipes of stages, their schedules, and the optimizer that runs them. Read docs/optim.md first.
#pragma once

// The contract: what a stage is, how stages make a rule.
#include "lierne/optim/field.hpp"
#include "lierne/optim/field_shape.hpp"
#include "lierne/optim/pass.hpp"
#include "lierne/optim/recipe.hpp"
#include "lierne/optim/rule.hpp"
#include "lierne/optim/stage.hpp"
#include "lierne/optim/value.hpp"

// Stages.
#include "lierne/optim/accumulate.hpp"
#include "lierne/optim/cautious.hpp"
#include "lierne/optim/clip_elements.hpp"
#include "lierne/optim/clip_norm.hpp"
#include "lierne/optim/decay.hpp"
#include "lierne/optim/ema.hpp"
#include "lierne/optim/maximize.hpp"
#include "lierne/optim/momentum.hpp"
#include "lierne/optim/normalise.hpp"
#include "lierne/optim/orthogonalise.hpp"
#include "lierne/optim/unscale.hpp"

// Recipes.
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/ademamix.hpp"
#include "lierne/optim/adopt.hpp"
#include "lierne/optim/aggmo.hpp"
#include "lierne/optim/laprop.hpp"
#include "lierne/optim/lion.hpp"
#include "lierne/optim/mars.hpp"
#include "lierne/optim/muon.hpp"
#include "lierne/optim/nadam.hpp"
#include "lierne/optim/normuon.hpp"
#include "lierne/optim/qhadamw.hpp"
#include "lierne/optim/rmsprop.hpp"
#include "lierne/optim/schedule_free.hpp"
#include "lierne/optim/sgd.hpp"
#include "lierne/optim/soap.hpp"

// Running a rule.
#include "lierne/optim/backward_optimizer.hpp"
#include "lierne/optim/bind.hpp"
#include "lierne/optim/differentiable.hpp"
#include "lierne/optim/gradient_noise.hpp"
#include "lierne/optim/groups.hpp"
#include "lierne/optim/loss_scale.hpp"
#include "lierne/optim/model_groups.hpp"
#include "lierne/optim/monitor.hpp"
#include "lierne/optim/mup.hpp"
#include "lierne/optim/named.hpp"
#include "lierne/optim/optimizer.hpp"
#include "lierne/optim/schedule.hpp"
#include "lierne/optim/storage.hpp"
