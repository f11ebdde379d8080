# SPDX-License-Identifier: Apache-2.0
"""Memory and time under each policy of recomputation, and of loss and embedding over 131,072 classes, against Python PyTorch.

    script/bench memory [--json FILE] [--rounds 3] [--steps 5] [--threads N] [--precision fp32 --precision bf16]
                        [--case none --case selective --case second --case block --case loss
                        --case embedding]

A case is one forward and backward pass. A round runs lierne, then the peer, each in a process of its own. Reported are the
seconds of the quickest pass, and the median over rounds of the largest resident memory over what was resident before the
first pass: weights are not in it, gradients are. The peer is eager PyTorch: `peers/memory.py`, with torch.utils.checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("LIERNE_BUILD", os.path.join(os.path.dirname(HERE), "build", "release"))

CASES = {"none": "eager", "selective": "selective checkpoint", "second": "checkpoint, every second block",
         "block": "checkpoint", "loss": "F.linear and F.cross_entropy", "embedding": "F.embedding"}
NAMES = {"loss": "loss/chunked 128k", "embedding": "loss/embedding gradient 128k"}


def run(command: list[str]) -> dict:
    """The JSON line that a program prints last."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="also write the cases to this file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--precision", action="append", choices=("fp32", "bf16"))
    parser.add_argument("--case", action="append", choices=tuple(CASES))
    options = parser.parse_args()

    cases = []

    def report(name: str, ours: float, peer: float, peer_name: str, unit: str) -> None:
        cases.append({"name": name, "ours": ours, "peer": peer, "peer_name": peer_name, "ratio": peer / ours, "unit": unit})
        print(f"{name:<44} {ours:12.4g} {peer:12.4g} {peer / ours:8.3f}  {unit}, against {peer_name}", flush=True)

    for precision in options.precision or ["fp32"]:
        for case in options.case or list(CASES):
            if case in NAMES and precision != "fp32":
                continue
            common = ["--case", case, "--precision", precision, "--threads", str(options.threads), "--steps", str(options.steps)]
            ours, peers = [], []
            for _ in range(options.rounds):
                ours.append(run([os.path.join(BUILD, "benchmarks", "bench_memory"), *common]))
                peers.append(run([sys.executable, os.path.join(HERE, "peers", "memory.py"), *common]))

            def middle(runs: list[dict], key: str) -> float:
                return statistics.median(result[key] for result in runs)

            name = NAMES.get(case, f"memory/{case}")
            label = f"PyTorch {CASES[case]}" + (" (autocast)" if precision == "bf16" else "")
            report(f"{name} {precision} peak", middle(ours, "peak_bytes") / 2**20, middle(peers, "peak_bytes") / 2**20, label, "MiB")
            report(f"{name} {precision} pass", min(r["best_step_seconds"] for r in ours), min(r["best_step_seconds"] for r in peers),
                   label, "s")
            print(f"{'':44} {middle(ours, 'counted_bytes') / 2**20:12.4g} MiB of tensors at once, counted", flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(cases, file, indent=1)


if __name__ == "__main__":
    main()
