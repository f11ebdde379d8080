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
import os
import statistics

from shared.report import Report, run_ours, run_peer

CASES = {"none": "eager", "selective": "selective checkpoint", "second": "checkpoint, every second block",
         "block": "checkpoint", "loss": "F.linear and F.cross_entropy", "embedding": "F.embedding"}
NAMES = {"loss": "loss/chunked 128k", "embedding": "loss/embedding gradient 128k"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="also write the cases to this file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--precision", action="append", choices=("fp32", "bf16"))
    parser.add_argument("--case", action="append", choices=tuple(CASES))
    options = parser.parse_args()

    report = Report()

    for precision in options.precision or ["fp32"]:
        for case in options.case or list(CASES):
            if case in NAMES and precision != "fp32":
                continue
            common = ["--case", case, "--precision", precision, "--threads", str(options.threads), "--steps", str(options.steps)]
            ours, peers = [], []
            for _ in range(options.rounds):
                ours.append(run_ours("memory", common))
                peers.append(run_peer("memory", common))

            def middle(runs: list[dict], key: str) -> float:
                return statistics.median(result[key] for result in runs)

            name = NAMES.get(case, f"memory/{case}")
            label = f"PyTorch {CASES[case]}" + (" (autocast)" if precision == "bf16" else "")
            report.add(f"{name} {precision} peak", middle(ours, "peak_bytes") / 2**20, middle(peers, "peak_bytes") / 2**20, label, "MiB")
            report.add(f"{name} {precision} pass", min(r["best_step_seconds"] for r in ours), min(r["best_step_seconds"] for r in peers),
                   label, "s")
            print(f"{'':44} {middle(ours, 'counted_bytes') / 2**20:12.4g} MiB of tensors at once, counted", flush=True)
    report.write(options.json)


if __name__ == "__main__":
    main()
