# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/bf16_error.json: how far Python PyTorch in bfloat16 is from float64.

    python tests/nn/make_bf16_golden.py        (a Python with torch 2.11; takes seconds)

For each fixture the weights are rounded to bfloat16 once. The same model then runs from these weights in float64 (the truth), and in
two of PyTorch's ways to train in bfloat16 on the fixture's batch:
    autocast   float32 parameters under torch.autocast("cpu", torch.bfloat16)
    weights    the whole model in bfloat16: parameters, residual stream, norms
Recorded per way: the root mean square and the largest error of all logits, and each parameter's gradient error
|g - g64| / |g64| in the 2-norm. Which way single products round is luck: multiplying the loss by 1.1 moves the error of a
norm's 64 gradients by up to a half. So gradients are taken at the eight scales 2^(k/8) of the loss, and the errors' root
mean square is recorded. tests/nn/bf16.cpp does the same and holds lierne to 1.25 times the better way.
"""

import json
import math
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks" / "peers"))
import llama  # noqa: E402

FIXTURES = ("llama3_gqa", "llama3_gqa_scaled")
SCALES = [2 ** (k / 8) for k in range(8)]


def run(config: llama.Config, weights: dict, tokens, labels, dtype: torch.dtype, autocast: bool, scale: float = 1.0):
    """Logits, and the gradients of the scaled loss divided by the scale, in float64 numbers."""
    model = llama.Llama(config, dtype=torch.float32 if dtype == torch.bfloat16 else dtype)
    model.load_state_dict(weights)
    if dtype == torch.bfloat16 and not autocast:
        model.table = None  # angles stay in float32, as rotate() wants them
        model.to(dtype)
        model.table = llama.rope_table(config)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = model(tokens)
        loss = model.loss(tokens, labels) * scale
    loss.backward()
    return logits.detach().double(), {name: p.grad.double() / scale for name, p in model.named_parameters()}


def record(fixture: str) -> dict:
    tensors, metadata = llama.read_safetensors(str(ROOT / "tests" / "golden" / f"{fixture}.safetensors"))
    fields = json.loads(metadata["config"])
    scaling = fields.get("rope_scaling")
    rounded = {name[3:]: value.bfloat16().float() for name, value in tensors.items() if name.startswith("w0/")}
    config = llama.Config(layers=fields["n_layers"], width=fields["dim"], heads=fields["n_heads"], kv_heads=fields["n_kv_heads"],
                          hidden=rounded["layers.0.feed_forward.w1.weight"].shape[0], vocab=fields["vocab_size"],
                          length=tensors["tokens"].shape[1], base=fields["rope_theta"], eps=fields["norm_eps"],
                          rope_scaling=tuple(scaling[key] for key in llama.SCALING) if scaling else None)
    batch = tensors["tokens"], tensors["labels"]
    exact_logits, exact = run(config, rounded, *batch, torch.float64, False)
    ways = {}
    for way in ("autocast", "weights"):
        squares = dict.fromkeys(exact, 0.0)
        for scale in SCALES:
            logits, gradients = run(config, rounded, *batch, torch.bfloat16, way == "autocast", scale)
            for name, g in exact.items():
                squares[name] += ((gradients[name] - g).norm() / g.norm()).item() ** 2 / len(SCALES)
        error = logits - exact_logits
        ways[way] = {"logits_rms": error.square().mean().sqrt().item(), "logits_max": error.abs().max().item(),
                     "gradients": {name: math.sqrt(square) for name, square in squares.items()}}
        relative = torch.tensor(list(ways[way]["gradients"].values()))
        print(f"{fixture:18} {way:9} logits rms {ways[way]['logits_rms']:.3e} max {ways[way]['logits_max']:.3e}"
              f"  gradients rms {relative.square().mean().sqrt():.3e} from {relative.min():.3e} to {relative.max():.3e}")
    return ways


def main() -> None:
    torch.set_num_threads(1)
    golden = {"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability()}
    golden |= {fixture: record(fixture) for fixture in FIXTURES}
    path = ROOT / "tests" / "golden" / "bf16_error.json"
    path.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
