# SPDX-License-Identifier: Apache-2.0
"""Optimizer steps of Python PyTorch in every form it has: what benchmarks/optim.py compares with.

A form is `loop`, `foreach` or `fused` of torch.optim; `pytorch_optimizer` (4.1.0, its foreach path where it has one);
`foreach` written here for rules that torch.optim lacks; `compile`, torch.compile of the written rule with its numbers as
tensors, so that a new rate does not compile anew. `clip/RULE` is the gradient norm, the clipping and the step; `phase/RULE`
also measures the step: for each tensor and over all the norms of gradient, moments, weight and update, the extremes of the
second moment, and the cosine of update and gradient.
All forms of a rule compute the same mathematics; `check` compares them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

RATE, DECAY, EPS, ADOPT_EPS, NU, ADOPT_NU = 1e-3, 0.005, 1e-8, 1e-6, 0.7, 0.9
BETAS = {"adamw": (0.9, 0.999), "decoupled_adamw": (0.9, 0.95), "qhadamw": (0.9, 0.95), "adopt": (0.9, 0.9999), "qhadopt": (0.999, 0.9999)}
RULES = tuple(BETAS)


def numbers(rule: str, call: int) -> dict[str, float]:
    """The uniform numbers of a call, counted from 0."""
    beta1, beta2 = BETAS[rule]
    keep = 1 - RATE * DECAY if rule in ("adamw", "adopt") else 1 - DECAY
    found = {"keep": keep, "beta2": beta2, "first": 1 - beta1, "second": 1 - beta2, "rate": RATE}
    if rule.endswith("adamw"):
        found |= {"correct1": 1 / (1 - beta1 ** (call + 1)), "correct2": 1 / math.sqrt(1 - beta2 ** (call + 1))}
    else:
        found |= {"bound": call**0.25}
    return found


def one(rule: str, w, g, m, v, n) -> None:
    """The rule on one tensor, in place."""
    if rule.endswith("adamw"):
        m.lerp_(g, n["first"])
        v.mul_(n["beta2"]).add_(g * g * n["second"])
        mean = m * n["correct1"]
        if rule == "qhadamw":
            mean = g + NU * (mean - g)
        w.mul_(n["keep"]).sub_(n["rate"] * mean / (v.sqrt() * n["correct2"] + EPS))
        return
    u = g / v.sqrt().clamp(min=ADOPT_EPS)
    u = torch.minimum(torch.maximum(u, -n["bound"]), n["bound"]) if isinstance(n["bound"], torch.Tensor) else u.clamp(-n["bound"], n["bound"])
    m.lerp_(u, n["first"])
    if rule == "qhadopt":
        u = u + ADOPT_NU * (m - u)
    else:
        u = m
    w.mul_(n["keep"]).sub_(n["rate"] * u)
    v.mul_(n["beta2"]).add_(g * g * n["second"])


def many(rule: str, w, g, m, v, n) -> None:
    """The rule by foreach operators, in place."""
    if rule.endswith("adamw"):
        torch._foreach_lerp_(m, g, n["first"])
        torch._foreach_mul_(v, n["beta2"])
        torch._foreach_addcmul_(v, g, g, n["second"])
        root = torch._foreach_sqrt(v)
        torch._foreach_mul_(root, n["correct2"])
        torch._foreach_add_(root, EPS)
        top, size = m, -n["rate"] * n["correct1"]
        if rule == "qhadamw":
            top, size = torch._foreach_mul(m, NU * n["correct1"]), -n["rate"]
            torch._foreach_add_(top, g, alpha=1 - NU)
        torch._foreach_mul_(w, n["keep"])
        torch._foreach_addcdiv_(w, top, root, size)
        return
    u = torch._foreach_sqrt(v)
    torch._foreach_clamp_min_(u, ADOPT_EPS)
    u = torch._foreach_div(g, u)
    torch._foreach_clamp_min_(u, -n["bound"])
    torch._foreach_clamp_max_(u, n["bound"])
    torch._foreach_lerp_(m, u, n["first"])
    torch._foreach_mul_(w, n["keep"])
    if rule == "qhadopt":
        torch._foreach_add_(w, u, alpha=-n["rate"] * (1 - ADOPT_NU))
        torch._foreach_add_(w, m, alpha=-n["rate"] * ADOPT_NU)
    else:
        torch._foreach_add_(w, m, alpha=-n["rate"])
    torch._foreach_mul_(v, n["beta2"])
    torch._foreach_addcmul_(v, g, g, n["second"])


def measured(weights, before, gradients, first, second) -> torch.Tensor:
    """What lierne's monitor measures of a step: [tensors + 1, 8], the last row over all tensors."""
    rows = []
    for w, old, g, m, v in zip(weights, before, gradients, first, second):
        u = old - w
        rows.append(torch.stack([(g * g).sum(), (m * m).sum(), (v * v).sum(), (w * w).sum(), (u * u).sum(), (u * g).sum(), v.min(), v.max()]))
    each = torch.stack(rows)
    sums = each[:, :6]
    sums = torch.cat([sums, sums.sum(0, keepdim=True)])
    low, high = each[:, 6:7], each[:, 7:8]
    low, high = torch.cat([low, low.min(0, keepdim=True).values]), torch.cat([high, high.max(0, keepdim=True).values])
    norms = sums[:, :5].sqrt()
    return torch.cat([norms, sums[:, 5:6] / (norms[:, 4:5] * norms[:, 0:1]), low, high], 1)


class State:
    """Weights and gradients of a size, and the state of a written rule; ADOPT's first call is behind it."""

    def __init__(self, count: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float32):
        generator = torch.Generator().manual_seed(5)
        self.weights = [torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype)) for _ in range(count)]
        self.gradients = [torch.randn(shape, generator=generator, dtype=dtype) for _ in range(count)]
        self.calls = 1

    def allocate(self, rule: str) -> None:
        self.first = [torch.zeros_like(g) for g in self.gradients]
        self.second = [g * g if rule.endswith("adopt") else torch.zeros_like(g) for g in self.gradients]


def written(rule: str, form: str, state: State, around: str) -> Callable[[], None]:
    state.allocate(rule)
    data = [w.data for w in state.weights]

    def body(w, g, m, v, n):
        before = [x.clone() for x in w] if around == "phase" else []
        if around:
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(g)))
            factor = torch.clamp(1 / (norm + 1e-6), max=1.0)
            g = torch._foreach_mul(g, factor) if form == "foreach" else [x * factor for x in g]
        if form == "foreach":
            many(rule, w, g, m, v, n)
        else:
            for each in zip(w, g, m, v):
                one(rule, *each, n)
        return measured(w, before, g, m, v) if around == "phase" else None

    compiled = torch.compile(body, dynamic=False) if form == "compile" else body

    def step():
        n = numbers(rule, state.calls)
        if form == "compile":
            n = {key: torch.tensor(value, dtype=data[0].dtype) for key, value in n.items()}
        found = compiled(data, state.gradients, state.first, state.second, n)
        state.metrics = None if found is None else found.tolist()
        state.calls += 1

    return step


def packaged(rule: str, form: str, state: State, around: str) -> Callable[[], None] | None:
    """The step of an optimizer class; None where no package has this rule in this form."""
    beta = BETAS[rule]
    if rule == "adamw" and form in ("loop", "foreach", "fused"):
        how = {"foreach": form == "foreach", "fused": form == "fused"}
        optimizer = torch.optim.AdamW(state.weights, lr=RATE, betas=beta, eps=EPS, weight_decay=DECAY, **how)
    elif form == "pytorch_optimizer" and rule in ("adopt", "qhadamw"):
        import pytorch_optimizer as po

        if rule == "adopt":
            optimizer = po.ADOPT(state.weights, lr=RATE, betas=beta, eps=ADOPT_EPS, weight_decay=DECAY, weight_decouple=True)
        else:
            optimizer = po.QHAdam(state.weights, lr=RATE, betas=beta, nus=(NU, 1.0), eps=EPS, weight_decay=DECAY, weight_decouple=True)
    else:
        return None

    def step():
        for weight, gradient in zip(state.weights, state.gradients):
            weight.grad = gradient
        before = [w.detach().clone() for w in state.weights] if around == "phase" else []
        if around:
            torch.nn.utils.clip_grad_norm_(state.weights, 1.0, foreach=True)
        optimizer.step()
        if around == "phase":
            fields = [optimizer.state[w] for w in state.weights]
            gradients, first = [w.grad for w in state.weights], [each["exp_avg"] for each in fields]
            second = [each["exp_avg_sq"] for each in fields]
            state.metrics = measured([w.detach() for w in state.weights], before, gradients, first, second).tolist()

    return step


FORMS = ("loop", "foreach", "fused", "pytorch_optimizer", "compile")


def make(rule: str, form: str, state: State, around: str = "") -> Callable[[], None] | None:
    """One step of a rule in a form, or None where there is no such form. `around`: "", "clip" or "phase"."""
    if step := packaged(rule, form, state, around):
        return step
    if form == "compile" or (form in ("loop", "foreach") and rule != "adamw"):
        return written(rule, form, state, around)
    return None


def check() -> None:
    """Every written form against the written loop, in float64; adamw against torch.optim."""
    for rule in RULES:
        results = {}
        for form in ("loop", "foreach", "compile"):
            state = State(3, (7, 5), torch.float64)
            step = written(rule, form, state, "phase")
            for _ in range(4):
                step()
            results[form] = torch.cat([torch.stack([w.data for w in state.weights]).flatten(), torch.tensor(state.metrics).flatten()])
        for form, found in results.items():
            worst = (found - results["loop"]).abs().max().item()
            if not worst <= 1e-12:
                raise SystemExit(f"peers/optim.py: {rule} as {form} differs from the loop by {worst}")
        print(f"peers/optim.py: {rule}: loop = foreach = compile")


if __name__ == "__main__":
    check()
