# SPDX-License-Identifier: Apache-2.0
"""peers.py OUT: runs optimizers of torch.optim and pytorch-optimizer on recorded gradients, and records what they did.

Writes OUT/<case>.f64.safetensors in the form of tests/golden/optim: p0/i, grad/i, mask/i, traj/i (weights after each call),
lr/0, eval/i (weights to judge by after each call, in cases that have such), and in the metadata initial_lr and max_abs_param. tests/optim/peers.cpp replays each with our rule.
Cases of matrices are run in float32 too, and the metadata has how far that is from float64 (`float32_deviation`). Three tensors
(matrices for the rules of matrices), 60 calls; gradients over four decades, some elements zero, tensor 1 without gradient in some calls (in the cases
whose peer counts calls per parameter); a rate that warms up and falls.
"""
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
import pytorch_optimizer as po
from safetensors.torch import save_file

# pytorch-optimizer adds a constant 1e-15 to second moments under the root, which neither LaProp nor MARS has.
po.base.optimizer.BaseOptimizer.apply_ams_bound.__defaults__ = (0.0,)

# Its iterations in bf16 and its orthogonal factors in float32 run in the weights' own format here. SOAP names torch.float32 for
# those alone.
orthogonalise = po.optimizer.utils.matrix.zero_power_via_newton_schulz_5


def run_in(dtype):
    torch.set_default_dtype(dtype)  # NAdam keeps a product in the default format
    po.optimizer.soap.torch = SimpleNamespace(**{**vars(torch), "float32": dtype})


CALLS = 60
SHAPES = ((7, 5), (33,), (1, 1))
MATRICES = ((7, 5), (4, 9), (1, 1))
NOT_FINITE = {3: float("inf"), 4: float("nan"), 20: float("-inf"), 41: float("nan")}  # calls in which the last gradient is so
ABSENT = (0, 9, 10, 33)  # calls in which tensor 1 has no gradient

torch.set_num_threads(1)


def torch_case(make, rate, **settings):
    return (lambda p: make(p, lr=rate, foreach=False, **settings)), rate


class WithAverage:
    """An optimizer beside torch's AveragedModel of its weights; avg_fn replaces the plain average with `decay`."""

    def __init__(self, weights, make, decay, warmup=False):
        self.optimizer, self.param_groups = (made := make(weights)), made.param_groups
        self.model = torch.nn.ParameterList(weights)
        by = {"multi_avg_fn": torch.optim.swa_utils.get_ema_multi_avg_fn(decay)}
        if warmup:
            def average(old, new, calls):
                return new + min(decay, float((1 + calls) / (10 + calls))) * (old - new)
            by = {"avg_fn": average}
        self.average = torch.optim.swa_utils.AveragedModel(self.model, **by)

    def step(self):
        self.optimizer.step()
        self.average.update_parameters(self.model)

    def evaluation_weights(self):
        return [w.detach().clone() for w in self.average.module]


class ScheduleFree:
    """pytorch-optimizer's, with the weights that its eval() shows; what train() makes of them is not y to the last bit."""

    def __init__(self, optimizer):
        self.optimizer, self.param_groups = optimizer, optimizer.param_groups
        self.step = optimizer.step

    def evaluation_weights(self):
        weights = self.param_groups[0]["params"]
        trained = [w.detach().clone() for w in weights]
        self.optimizer.eval()
        judged = [w.detach().clone() for w in weights]
        self.optimizer.train()
        with torch.no_grad():
            for w, y in zip(weights, trained):
                w.copy_(y)
        return judged


def muon_case(make, rate, norm_factor=1.0, **settings):
    def constructor(p):
        orthogonalise.__defaults__ = (5, 1e-7, norm_factor, None, p[0].dtype)
        return make([{"params": p, "use_muon": True}], lr=rate, foreach=False, **settings)

    return constructor, rate, False, False, MATRICES


# The listing of arXiv 2505.16932: all but the last for arguments that are divided by 1.01, and so is the norm.
POLAR_EXPRESS = [(a / 1.01, b / 1.01**3, c / 1.01**5) for a, b, c in (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248))] + [(1.875, -1.25, 0.375)]

# name: (constructor, rate, every tensor has a gradient in every call, the rate is constant[, shapes])
CASES = {
    # torch.optim: state and step count of each parameter are its own.
    "adam_coupled": (*torch_case(torch.optim.Adam, 3e-3, weight_decay=0.02), False, False),
    "adamw_amsgrad_maximize": (*torch_case(torch.optim.AdamW, 3e-3, weight_decay=0.02, amsgrad=True, maximize=True), False, False),
    "sgd": (*torch_case(torch.optim.SGD, 1e-2), False, False),
    "sgd_momentum_dampening": (*torch_case(torch.optim.SGD, 1e-2, momentum=0.9, dampening=0.3, weight_decay=0.02), False, False),
    "sgd_nesterov": (*torch_case(torch.optim.SGD, 1e-2, momentum=0.9, nesterov=True, weight_decay=0.02), False, False),
    "rmsprop": (*torch_case(torch.optim.RMSprop, 1e-3), False, False),
    "rmsprop_centred_momentum": (*torch_case(torch.optim.RMSprop, 1e-3, momentum=0.9, centered=True), False, False),
    "nadam": (*torch_case(torch.optim.NAdam, 3e-3), False, False),
    "nadam_decoupled": (*torch_case(torch.optim.NAdam, 3e-3, weight_decay=0.02, decoupled_weight_decay=True, momentum_decay=0.3), False, False),
    # pytorch-optimizer: one count for a group, so every tensor takes part in every call. LaProp and MARS add ε before the
    # bias correction of the root: so small a one that its place does not matter.
    "laprop": (lambda p: po.LaProp(p, lr=3e-3, eps=1e-30, weight_decay=0.0, foreach=False), 3e-3, True, True),
    "aggmo": (lambda p: po.AggMo(p, lr=1e-3, betas=(0.0, 0.9, 0.99), foreach=False), 1e-3, True, False),
    "qhm": (lambda p: po.QHM(p, lr=1e-2, momentum=0.99, nu=0.7, foreach=False), 1e-2, True, False),
    "adopt_coupled": (lambda p: po.ADOPT(p, lr=3e-3, betas=(0.9, 0.9999), weight_decay=0.02, weight_decouple=False, eps=1e-6,
                                         clip_lambda=lambda step: (step - 1) ** 0.25, foreach=False), 3e-3, True, False),
    "cautious_adopt": (lambda p: po.ADOPT(p, lr=3e-3, betas=(0.9, 0.9999), eps=1e-6, cautious=True,
                                          clip_lambda=lambda step: (step - 1) ** 0.25, foreach=False), 3e-3, True, False),
    "mars": (lambda p: po.MARS(p, lr=3e-3, betas=(0.95, 0.99), gamma=0.025, eps=1e-30, optimize_1d=True, foreach=False,
                               weight_decay=0.02, weight_decouple=True), 3e-3, True, False),
    "muon_polar_express": muon_case(po.Muon, 0.02, 1.01, ns_coeffs=POLAR_EXPRESS, weight_decay=0.1),
    "muon_polar_express_9": muon_case(po.Muon, 0.02, 1.01, ns_coeffs=POLAR_EXPRESS, ns_steps=9, use_adjusted_lr=True),
    "normuon": muon_case(po.NorMuon, 0.02, weight_decay=0.1),
    "normuon_match_rms": muon_case(po.NorMuon, 0.02, update_scale="match_rms", beta2=0.9, eps=1e-30),
    # SOAP's first call, too, is counted for a group.
    "soap": (lambda p: po.SOAP(p, lr=3e-3, weight_decay=0.02, precondition_frequency=3), 3e-3, True, False),
    "soap_one_side": (lambda p: po.SOAP(p, lr=3e-3, betas=(0.9, 0.99), shampoo_beta=0.8, weight_decay=0.0, correct_bias=False,
                                        max_precondition_dim=5, precondition_frequency=1), 3e-3, True, False),
    # An average goes on where a gradient is absent, which ours does not: it counts the calls of a parameter.
    "ema": (lambda p: WithAverage(p, lambda w: torch.optim.AdamW(w, lr=3e-3, weight_decay=0.02, foreach=False), 0.9), 3e-3, True, False),
    "ema_warmup": (lambda p: WithAverage(p, lambda w: torch.optim.SGD(w, lr=1e-2, foreach=False), 0.8, True), 1e-2, True, False),
    # Equal to the authors' program 1.4.1. Not to be copied: one count and one sum of weights for a group (a tensor that joins late
    # gets them from the others), 1e-15 under the root, a step that is taken in evaluation form without a word.
    "schedule_free_adamw": (lambda p: ScheduleFree(po.ScheduleFreeAdamW(p, lr=3e-3, weight_decay=0.02, foreach=False)), 3e-3, True, False),
    "schedule_free_weighted": (lambda p: ScheduleFree(po.ScheduleFreeAdamW(p, lr=3e-3, betas=(0.95, 0.99), r=1.5, weight_lr_power=1.0,
                                                                           foreach=False)), 3e-3, True, False),
    "schedule_free_sgd": (lambda p: ScheduleFree(po.ScheduleFreeSGD(p, lr=5e-2, momentum=0.8, weight_decay=0.02, foreach=False)), 5e-2, True, False),
    "loss_scale": (lambda p: OnLossScale(p, init_scale=128.0, growth_factor=4.0, backoff_factor=0.25, growth_interval=4), 1e-2, False, False),
}


def gradients(generator, shape):
    """Values over four decades, a twentieth of them exactly zero, and one element that is always zero."""
    size = (CALLS, *shape)
    values = torch.randn(size, generator=generator, dtype=torch.float64)
    values *= 10 ** (4 * torch.rand(size, generator=generator, dtype=torch.float64) - 3)
    values[torch.rand(size, generator=generator) < 0.05] = 0
    if len(shape) == 1:
        values[:, 0] = 0
    return values


def rate_of(call, rate, constant):
    if constant:
        return rate
    return rate * ((call + 1) / 5 if call < 5 else 1 - (call - 5) / (CALLS - 5))


def float32_deviation(make, tensors, rates, largest):
    """The largest distance of a run in float32 from the recorded one, as a share of the largest weight."""
    run_in(torch.float32)
    shapes = range(len(SHAPES))
    weights = [torch.nn.Parameter(tensors[f"p0/{i}"].float()) for i in shapes]
    optimizer, away = make(weights), 0.0
    for call in range(CALLS):
        optimizer.param_groups[0]["lr"] = rates[call]
        for i, weight in enumerate(weights):
            weight.grad = tensors[f"grad/{i}"][call].float() if tensors[f"mask/{i}"][call] else None
        optimizer.step()
        away = max([away] + [(w.detach().double() - tensors[f"traj/{i}"][call]).abs().max().item() for i, w in enumerate(weights)])
    return away / max(1.0, largest)


def record(name, out):
    run_in(torch.float64)
    make, rate, all_present, constant, *shapes = CASES[name]
    shapes = shapes[0] if shapes else SHAPES
    generator = torch.Generator().manual_seed(20)
    weights = [torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in shapes]
    tensors = {f"p0/{i}": w.detach().clone() for i, w in enumerate(weights)}
    grads = [gradients(generator, shape) for shape in shapes]
    optimizer = make(weights)
    rates = [rate_of(call, rate, constant) for call in range(CALLS)]
    steps, judged = [[] for _ in shapes], [[] for _ in shapes]
    for call in range(CALLS):
        optimizer.param_groups[0]["lr"] = rates[call]
        for i, weight in enumerate(weights):
            absent = i == 1 and call in ABSENT and not all_present
            weight.grad = None if absent else grads[i][call].clone()
        optimizer.step()
        for i, weight in enumerate(weights):
            steps[i].append(weight.detach().clone())
        if hasattr(optimizer, "evaluation_weights"):
            for i, weight in enumerate(optimizer.evaluation_weights()):
                judged[i].append(weight)
    for i in range(len(shapes)):
        tensors[f"grad/{i}"] = grads[i]
        tensors[f"mask/{i}"] = torch.tensor([int(all_present or i != 1 or call not in ABSENT) for call in range(CALLS)])
        tensors[f"traj/{i}"] = torch.stack(steps[i])
        if judged[i]:
            tensors[f"eval/{i}"] = torch.stack(judged[i])
    tensors["lr/0"] = torch.tensor(rates, dtype=torch.float64)
    if hasattr(optimizer, "scales"):
        tensors["scales"] = torch.tensor(optimizer.scales, dtype=torch.float64)
        for call, value in NOT_FINITE.items():
            tensors["grad/2"][call] = value
    largest = max(t.abs().max().item() for i in range(len(shapes)) for t in steps[i])
    metadata = {"initial_lr": json.dumps([rate]), "max_abs_param": repr(largest)}
    if shapes is MATRICES or name.startswith("soap"):
        metadata["float32_deviation"] = repr(float32_deviation(make, tensors, rates, largest))
    save_file(tensors, out / f"{name}.f64.safetensors", metadata=metadata)


class OnLossScale:
    """torch.optim.SGD behind torch.amp.GradScaler: gradients arrive scaled, some of them not finite.

    Scales are powers of two: GradScaler multiplies by 1/scale in float32, which is exact for them alone.
    """

    def __init__(self, weights, **settings):
        self.optimizer = torch.optim.SGD(weights, lr=1e-2, momentum=0.9, foreach=False)
        self.param_groups = self.optimizer.param_groups
        self.scaler = torch.amp.GradScaler("cpu", **settings)
        self.scaler.scale(torch.zeros(()))  # it makes its scale when it is first used
        self.calls, self.scales = 0, []

    def step(self):
        scale = self.scaler.get_scale()
        for weight in self.param_groups[0]["params"]:
            if weight.grad is not None:
                weight.grad *= scale
        if self.calls in NOT_FINITE:
            self.param_groups[0]["params"][2].grad.fill_(NOT_FINITE[self.calls])
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.calls += 1
        self.scales.append(self.scaler.get_scale())


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name in CASES:
        record(name, out)


if __name__ == "__main__":
    main()
