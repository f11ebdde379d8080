# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/fp8_error.json: how far Python PyTorch with products in fp8 is from float64.

    python tests/nn/make_fp8_golden.py        (a Python with torch 2.11; takes seconds)

For each fixture the weights are rounded to bfloat16 once. The same model then runs from these weights in float64 (the truth), and in
bfloat16 with every linear layer but the output in eight bits, by torchao's tensorwise recipe with dynamic scales: inputs and
weights in e4m3, gradients in e5m2, scale = largest / max(amax, 1e-12), products by torch._scaled_mm. The rest is bfloat16 in
two of PyTorch's ways: autocast over float32 parameters, or the whole model in bfloat16.
Recorded per way: the root mean square and the largest error of all logits, and each parameter's gradient error
|g - g64| / |g64| in the 2-norm. Which way single values round is luck, so eight batches are run, token and label t of
the fixture's moved to (t + 13 k) mod vocab in batch k, and the errors' root mean square (of the largest error: the mean) is
recorded. tests/nn/fp8.cpp does the same and holds lierne to 1.25 times the better way.
"""

import json
import math
import sys
from pathlib import Path

import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks" / "peers"))
import llama  # noqa: E402

FIXTURES = ("llama3_gqa", "llama3_gqa_scaled")
BATCHES = range(8)


def quantise(x: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """The eight-bit codes of x and the inverse of their scale."""
    largest = torch.finfo(dtype).max
    scale = (largest / x.abs().max().double().clamp(min=1e-12)).float()
    return (x.float() * scale).clamp(-largest, largest).to(dtype), scale.reciprocal()


def product(a: tuple, b: tuple) -> torch.Tensor:
    """a bᵀ in bfloat16, of the codes and inverse scales of both."""
    return torch._scaled_mm(a[0].contiguous(), b[0].contiguous().t(), scale_a=a[1], scale_b=b[1], out_dtype=torch.bfloat16)


class Fp8Product(torch.autograd.Function):
    @staticmethod
    def forward(context, x, weight):
        context.save_for_backward(x, weight)
        return product(quantise(x, torch.float8_e4m3fn), quantise(weight, torch.float8_e4m3fn))

    @staticmethod
    def backward(context, upstream):
        x, weight = (quantise(t, torch.float8_e4m3fn) for t in context.saved_tensors)
        dy = quantise(upstream, torch.float8_e5m2)
        return product(dy, (weight[0].t(), weight[1])), product((dy[0].t(), dy[1]), (x[0].t(), x[1]))


class Fp8Linear(nn.Linear):
    def forward(self, x):
        return Fp8Product.apply(x.bfloat16().flatten(0, -2), self.weight.bfloat16()).unflatten(0, x.shape[:-1])


def run(config: llama.Config, weights: dict, tokens, labels, dtype: torch.dtype, autocast: bool):
    """Logits and gradients in float64 numbers."""
    narrow = dtype == torch.bfloat16
    model = llama.Llama(config, dtype=torch.float32 if narrow else dtype)
    model.load_state_dict(weights)
    if narrow:
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear) and name != "output":
                module.__class__ = Fp8Linear
    if narrow and not autocast:
        model.table = None  # angles stay in float32, as rotate() wants them
        model.to(dtype)
        model.table = llama.rope_table(config)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = model(tokens)
        loss = model.loss(tokens, labels)
    loss.backward()
    return logits.detach().double(), {name: p.grad.double() for name, p in model.named_parameters()}


def record(fixture: str) -> dict:
    tensors, metadata = llama.read_safetensors(str(ROOT / "tests" / "golden" / f"{fixture}.safetensors"))
    fields = json.loads(metadata["config"])
    scaling = fields.get("rope_scaling")
    rounded = {name[3:]: value.bfloat16().float() for name, value in tensors.items() if name.startswith("w0/")}
    config = llama.Config(layers=fields["n_layers"], width=fields["dim"], heads=fields["n_heads"], kv_heads=fields["n_kv_heads"],
                          hidden=rounded["layers.0.feed_forward.w1.weight"].shape[0], vocab=fields["vocab_size"],
                          length=tensors["tokens"].shape[1], base=fields["rope_theta"], eps=fields["norm_eps"],
                          rope_scaling=tuple(scaling[key] for key in llama.SCALING) if scaling else None)
    moved = [tuple(torch.where(t < 0, t, (t + 13 * k) % config.vocab) for t in (tensors["tokens"], tensors["labels"]))
             for k in BATCHES]
    truth = [run(config, rounded, *batch, torch.float64, False) for batch in moved]
    ways = {}
    for way in ("autocast", "weights"):
        squares = dict.fromkeys(truth[0][1], 0.0)
        logits_square, logits_max = 0.0, 0.0
        for batch, (exact_logits, exact) in zip(moved, truth):
            logits, gradients = run(config, rounded, *batch, torch.bfloat16, way == "autocast")
            error = logits - exact_logits
            logits_square += error.square().mean().item() / len(BATCHES)
            logits_max += error.abs().max().item() / len(BATCHES)
            for name, g in exact.items():
                squares[name] += ((gradients[name] - g).norm() / g.norm()).item() ** 2 / len(BATCHES)
        ways[way] = {"logits_rms": math.sqrt(logits_square), "logits_max": logits_max,
                     "gradients": {name: math.sqrt(square) for name, square in squares.items()}}
        relative = torch.tensor(list(ways[way]["gradients"].values()))
        print(f"{fixture:18} {way:9} logits rms {ways[way]['logits_rms']:.3e} max {ways[way]['logits_max']:.3e}"
              f"  gradients rms {relative.square().mean().sqrt():.3e} from {relative.min():.3e} to {relative.max():.3e}")
    return ways


def main() -> None:
    torch.set_num_threads(1)
    golden = {"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability()}
    golden |= {fixture: record(fixture) for fixture in FIXTURES}
    path = ROOT / "tests" / "golden" / "fp8_error.json"
    path.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
