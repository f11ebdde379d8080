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

from shared.report import PEERS, Report, run_ours, run_peer
from step import MODELS as DENSE

MODELS = {
    "moe/small": DENSE["small"] | {"experts": 8, "expert_hidden": 512, "top_k": 1, "interleave": 2},
    "moe/fine": DENSE["small"] | {"experts": 32, "expert_hidden": 256, "top_k": 2, "interleave": 1},
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

    report = Report()

    def time_peer(model: str, peer: str, common: list[str], way: str, form: str) -> dict:
        config = json.dumps(MODELS[model] | {"way": way})
        return run_peer("step", ["--mode", peer, *common, "--config", config, "--budget", str(options.budget), "--bf16", form]) | {"way": way}

    def time_ways(model: str, peer: str, common: list[str]) -> dict:
        """The faster way of those that run: torch.compile refuses some."""
        done = []
        for way in WAYS:
            try:
                done.append(time_peer(model, peer, common, way, "best"))
            except SystemExit as failure:
                print(f"{model} {peer} ({way}) does not run: {str(failure).strip().splitlines()[-1][:100]}", flush=True)
        if not done:
            raise SystemExit(f"{model} {peer}: neither of {', '.join(WAYS)} runs")
        return min(done, key=lambda result: result["step_seconds"])

    for model in options.model or list(MODELS):
        for precision in options.precision or ["fp32", "bf16"]:
            common = ["--precision", precision, "--threads", str(options.threads), "--steps", str(options.steps)]
            ours, theirs = [], {peer: [] for peer in options.peer or ["eager"]}
            for _ in range(options.rounds):
                ours.append(run_ours("step", ["--config", json.dumps(MODELS[model]), *common]))
                for peer, done in theirs.items():
                    if not done:
                        done.append(time_ways(model, peer, common))
                    elif done[0]["step_seconds"] <= options.budget / 2:
                        # A peer whose single step outlasts the budget is timed in one round.
                        form = done[0]["form"] if precision == "bf16" else "best"
                        done.append(time_peer(model, peer, common, done[0]["way"], form))
            for peer, done in theirs.items():
                label = f"{PEERS[peer]} ({done[0]['way']}" + (f", {done[0]['form']})" if precision == "bf16" else ")")
                for key, unit, scale, higher in (("tokens_per_s", "tokens/s", 1, True), ("peak_bytes", "MiB", 2**20, False)):
                    name = f"{model} {precision} {peer}" + (" memory" if key == "peak_bytes" else "")
                    report.add(name, statistics.median(r[key] for r in ours) / scale,
                               statistics.median(r[key] for r in done) / scale, label, unit, higher)
    report.write(options.json)


if __name__ == "__main__":
    main()
