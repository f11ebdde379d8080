# SPDX-License-Identifier: Apache-2.0
"""The training step of lierne against Python PyTorch: the same model, batch and threads, in turn, in one run.

    script/bench step [--json FILE] [--rounds 3] [--steps 12] [--threads N] [--precision fp32 --precision bf16]
                      [--peer eager --peer compile] [--model small] [--budget 20]

A round runs lierne, then each peer, each in a process of its own; what disturbs one round disturbs all three. Reported are
the medians over rounds of: tokens a second, the largest resident memory, the seconds from process start to the end of the
first step, and the share of the step that its matrix products would take at the rate of such products alone ("share of GEMM").
The peer is `peers/llama.py`; in bf16 the faster of autocast and weights cast once a step.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time

from shared.report import PEERS, Report, run_ours, run_peer

MODELS = {
    "small": {"layers": 6, "width": 256, "heads": 4, "kv_heads": 2, "hidden": 768, "vocab": 4096, "batch": 8, "length": 256},
    "medium": {"layers": 8, "width": 512, "heads": 8, "kv_heads": 2, "hidden": 1536, "vocab": 8192, "batch": 4, "length": 512},
}


def products(config: dict) -> list[tuple[int, int, int]]:
    """The linear layers as (outputs, inputs, how many)."""
    width, hidden, layers = config["width"], config["hidden"], config["layers"]
    keys = width // config["heads"] * config["kv_heads"]
    return [(width, width, 2 * layers), (keys, width, 2 * layers), (hidden, width, 2 * layers), (width, hidden, layers),
            (config["vocab"], width, 1)]


def seconds_of_products(config: dict, precision: str, threads: int) -> float:
    """Seconds of a step's products alone: forward and both backward ones, into kept tensors; the best of ten each.

    In bf16 the faster of bf16 and float32 arithmetic counts: processors without bf16 instructions have no other good rate."""
    import torch

    torch.set_num_threads(threads)
    tokens = config["batch"] * config["length"]

    def best(function) -> float:
        function()
        begin = time.perf_counter()
        times = []
        while len(times) < 10 and (len(times) < 2 or time.perf_counter() - begin < 1.0):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
        return min(times)

    def total(dtype) -> float:
        seconds = 0.0
        for outputs, inputs, count in products(config):
            x, g = torch.randn(tokens, inputs).to(dtype), torch.randn(tokens, outputs).to(dtype)
            w = torch.randn(outputs, inputs).to(dtype)
            y, dx, dw = torch.empty_like(g), torch.empty_like(x), torch.empty_like(w)
            seconds += count * (best(lambda: torch.mm(x, w.t(), out=y)) + best(lambda: torch.mm(g, w, out=dx))
                                + best(lambda: torch.mm(g.t(), x, out=dw)))
        return seconds

    wide = total(torch.float32)
    if precision == "fp32":
        return wide
    # One product tells whether the bf16 rate is worth measuring: without the instructions it is a tenth and less.
    x, w = torch.randn(256, 256).bfloat16(), torch.randn(256, 256).bfloat16()
    narrow = best(lambda: torch.mm(x.t(), w))
    x, w = x.float(), w.float()
    return wide if narrow > 2 * best(lambda: torch.mm(x.t(), w)) else min(wide, total(torch.bfloat16))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="also write the cases to this file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--precision", action="append", choices=("fp32", "bf16"))
    parser.add_argument("--peer", action="append", choices=tuple(PEERS))
    parser.add_argument("--model", action="append", choices=tuple(MODELS))
    parser.add_argument("--budget", type=float, default=20.0, help="seconds after which a warm-up or timing of a slow peer ends")
    options = parser.parse_args()

    report = Report()

    for model in options.model or ["small"]:
        config = json.dumps(MODELS[model])
        tokens = MODELS[model]["batch"] * MODELS[model]["length"]
        for precision in options.precision or ["fp32", "bf16"]:
            common = ["--precision", precision, "--threads", str(options.threads), "--steps", str(options.steps), "--config", config]
            runs: dict[str, list[dict]] = {}
            for _ in range(options.rounds):
                runs.setdefault("lierne", []).append(run_ours("step", common))
                for peer in options.peer or list(PEERS):
                    done = runs.setdefault(peer, [])
                    # A peer whose single step outlasts the budget is timed in one round.
                    if done and done[0]["step_seconds"] > options.budget / 2:
                        continue
                    form = ["--bf16", done[0]["form"]] if done and precision == "bf16" else []
                    done.append(run_peer("step", ["--mode", peer, *common, *form, "--budget", str(options.budget)]))
            alone = seconds_of_products(MODELS[model], precision, options.threads)

            def middle(who: str, key: str) -> float:
                return statistics.median(result[key] for result in runs[who])

            for peer in [who for who in runs if who != "lierne"]:
                label = f"{PEERS[peer]}" + (f" ({runs[peer][0]['form']})" if precision == "bf16" else "")
                name = f"step {model} {precision} {peer}"
                report.add(name, middle("lierne", "tokens_per_s"), middle(peer, "tokens_per_s"), label, "tokens/s", higher=True)
                report.add(f"{name} best step", tokens / min(r["best_step_seconds"] for r in runs["lierne"]),
                       tokens / min(r["best_step_seconds"] for r in runs[peer]), label, "tokens/s", higher=True)
                report.add(f"{name} memory", middle("lierne", "peak_bytes") / 2**20, middle(peer, "peak_bytes") / 2**20, label, "MiB")
                report.add(f"{name} first step", middle("lierne", "first_step_seconds"), middle(peer, "first_step_seconds"), label, "s")
                report.add(f"{name} share of GEMM", alone / middle("lierne", "step_seconds"), alone / middle(peer, "step_seconds"), label,
                           "of the step", higher=True)
    report.write(options.json)


if __name__ == "__main__":
    main()
