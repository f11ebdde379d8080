# SPDX-License-Identifier: Apache-2.0
"""Training steps of model variants against Python PyTorch: the same sizes, batch and threads, in turn, in one run.

    script/bench model [--json FILE] [--rounds 3] [--steps 12] [--threads N] [--precision fp32 --precision bf16]
                       [--peer eager --peer compile] [--model moe/small] [--budget 20]

A round runs lierne, then each peer, each in a process of its own. Reported are the medians over rounds of tokens a second and
of the largest resident memory. The peer is `peers/llama.py` with the mixtures of `peers/moe.py`; of its two ways to multiply
experts (`torch._grouped_mm`, a loop of products) the faster, in bf16 besides the faster of autocast and weights cast once a
step.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys

from step import BUILD, HERE, PEERS, run

SHAPE = {"layers": 6, "width": 256, "heads": 4, "kv_heads": 2, "hidden": 768, "vocab": 4096, "batch": 8, "length": 256}
MODELS = {
    "moe/small": SHAPE | {"experts": 8, "expert_hidden": 512, "top_k": 1, "interleave": 2},
    "moe/fine": SHAPE | {"experts": 32, "expert_hidden": 256, "top_k": 2, "interleave": 1},
}
WAYS = ("grouped", "loop")


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

    cases = []

    def report(name: str, ours: float, peer: float, peer_name: str, unit: str, higher: bool = True) -> None:
        ratio = ours / peer if higher else peer / ours
        cases.append({"name": name, "ours": ours, "peer": peer, "peer_name": peer_name, "ratio": ratio, "unit": unit})
        print(f"{name:<44} {ours:12.4g} {peer:12.4g} {ratio:8.3f}  {unit}, against {peer_name}", flush=True)

    def run_peer(model: str, peer: str, common: list[str], way: str, form: str) -> dict:
        command = [sys.executable, os.path.join(HERE, "peers", "step.py"), "--mode", peer, *common, "--config",
                   json.dumps(MODELS[model] | {"way": way}), "--budget", str(options.budget), "--bf16", form]
        return run(command) | {"way": way}

    for model in options.model or list(MODELS):
        for precision in options.precision or ["fp32", "bf16"]:
            common = ["--precision", precision, "--threads", str(options.threads), "--steps", str(options.steps)]
            ours, theirs = [], {peer: [] for peer in options.peer or ["eager"]}
            for _ in range(options.rounds):
                ours.append(run([os.path.join(BUILD, "benchmarks", "bench_model"), "--model", model, *common]))
                for peer, done in theirs.items():
                    if not done:
                        both = [run_peer(model, peer, common, way, "best") for way in WAYS]
                        done.append(min(both, key=lambda result: result["step_seconds"]))
                    elif done[0]["step_seconds"] <= options.budget / 2:
                        # A peer whose single step outlasts the budget is timed in one round.
                        form = done[0]["form"] if precision == "bf16" else "best"
                        done.append(run_peer(model, peer, common, done[0]["way"], form))
            for peer, done in theirs.items():
                label = f"{PEERS[peer]} ({done[0]['way']}" + (f", {done[0]['form']})" if precision == "bf16" else ")")
                for key, unit, scale, higher in (("tokens_per_s", "tokens/s", 1, True), ("peak_bytes", "MiB", 2**20, False)):
                    name = f"{model} {precision} {peer}" + (" memory" if key == "peak_bytes" else "")
                    report(name, statistics.median(r[key] for r in ours) / scale,
                           statistics.median(r[key] for r in done) / scale, label, unit, higher)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(cases, file, indent=1)


if __name__ == "__main__":
    main()
