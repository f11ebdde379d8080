# SPDX-License-Identifier: Apache-2.0
"""Optimizer steps: every rule as one fused pass against all that Python PyTorch has for it.

    script/bench optim [--json FILE] [--rounds 7] [--threads 1 --threads 2] [--only REGEX]

Cases are RULE/SIZE/threads, clip/RULE/SIZE/threads (gradient norm, clipping, step) and phase/RULE/SIZE/threads (the same,
measured by the monitor in every step); peers are the forms of `peers/optim.py`, torch.compile on large tensors only (it would compile for many minutes on hundreds of tensors). Both programs
stay and step in turn, a tenth of a second each turn, of which the median counts: a processor that has just been idle, or has the
other's threads still waiting awake, takes half as long again for a step or two. Medians of the turns. A line also says the bytes that a step moves for each parameter (weight and gradient read,
weight written, each field read and written) and their rate as a share of the rate at which this machine copies in place
(x *= 1, read and written; a copy elsewhere also reads what it overwrites, and is slower).
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time

from shared.report import BUILD, HERE, Report

SIZES = {"large": (16, (1024, 1024)), "200x64x64": (200, (64, 64)), "1000x64": (1000, (64,))}


class Ours:
    def __init__(self):
        self.process = subprocess.Popen([os.path.join(BUILD, "benchmarks", "bench_optim")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def step(self, rule: str, size: str, threads: int) -> tuple[float, float]:
        count, shape = SIZES[size]
        print(rule, count, "x".join(map(str, shape)), threads, file=self.process.stdin, flush=True)
        seconds, state = self.process.stdout.readline().split()
        return float(seconds), float(state)


def median_step(step) -> float:
    times = []
    step()
    while len(times) < 2 or sum(times) < 0.1:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median_high(times)


def copy_rate(threads: int) -> float:
    """Bytes a second of a large copy in place, read and write counted."""
    import torch

    torch.set_num_threads(threads)
    a = torch.ones(1 << 26)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        a.mul_(1.0)
        times.append(time.perf_counter() - start)
    return 2 * a.nbytes / statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, action="append")
    parser.add_argument("--only", default="", metavar="REGEX")
    options = parser.parse_args()
    import torch

    sys.path.insert(0, os.path.join(HERE, "peers"))
    import optim as peers

    ours = Ours()
    report = Report()
    for threads in options.threads or (1, 2):
        copied = copy_rate(threads)
        for around, rule in ((a, r) for a in ("", "clip", "phase") for r in peers.RULES):
            name = f"{around}/{rule}" if around else rule
            for size, (count, shape) in SIZES.items():
                case = f"{name}/{size}/{threads}"
                if not re.search(options.only, case) or (around and size != "large"):
                    continue
                torch.set_num_threads(threads)
                steps = {}
                for form in peers.FORMS:
                    if form == "compile" and size != "large":
                        continue
                    torch._dynamo.reset()
                    step = peers.make(rule, form, peers.State(count, shape), around)
                    if step:
                        step(), step(), step()
                        steps[form] = step
                our_times, times = [], {form: [] for form in steps}
                state = 0.0
                for _ in range(options.rounds):
                    seconds, state = ours.step(name, size, threads)
                    our_times.append(seconds)
                    for form, step in steps.items():
                        times[form].append(median_step(step))
                mine = statistics.median(our_times)
                parameters = count
                for extent in shape:
                    parameters *= extent
                moved = 12 + 2 * round(state)
                print(f"{case:<36} {1e3 * mine:9.3f} ms   {moved} B/parameter, {parameters * moved / mine / copied:.2f} of copying")
                for form, each in times.items():
                    peer = statistics.median(each)
                    report.add(case, 1e3 * mine, 1e3 * peer, form, "ms")
    report.write(options.json)


if __name__ == "__main__":
    main()
