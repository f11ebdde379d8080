# SPDX-License-Identifier: Apache-2.0
"""Attention under masks: lierne's tiles over the allowed area against Python PyTorch's SDPA with a dense mask.

    script/bench attention [--json FILE] [--lengths 2048 4096 8192 16384] [--threads 2] [--rounds 5] [--only REGEX]

Cases are mask/MASK/LENGTH: one sequence, 4 heads of 64, float32, forward and backward. Both programs stay and work in turn;
medians. A case ends early once it has taken --budget seconds. Under a mask PyTorch gets a boolean table of L x L, made
once outside of the timing; causal attention goes by is_causal. flex_attention is tried too, compiled; on CPUs it has no
backward pass, so it stands beside the forward pass alone (mask/MASK/LENGTH forward). Behind the cases of a mask stands the
slope of log(seconds) over log(length): 1 where work follows the tokens, 2 where it follows the table.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import statistics
import subprocess
import time

from shared.report import BUILD, Report

HEADS, SIZE, BLOCK, WINDOW = 4, 64, 256, 256
DOCUMENTS = (128, 300, 1000, 57, 640)
MASKS = ("fixed_block", "documents", "block_documents", "window", "causal")


class Ours:
    def __init__(self):
        self.process = subprocess.Popen([os.path.join(BUILD, "benchmarks", "bench_attention")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def seconds(self, mask: str, length: int, threads: int) -> tuple[float, float]:
        """Of a forward pass, and of both."""
        print(mask, length, threads, file=self.process.stdin, flush=True)
        forward, both = self.process.stdout.readline().split()
        return float(forward), float(both)


def document_of(length: int):
    import torch

    document = torch.empty(length, dtype=torch.int64)
    begin = number = 0
    while begin < length:
        end = min(begin + DOCUMENTS[number % len(DOCUMENTS)], length)
        document[begin:end] = number
        begin, number = end, number + 1
    return document


def rule(mask: str, document):
    """Whether query q may see key k, for flex_attention and for the table."""
    def allowed(b, h, q, k):
        seen = q >= k
        if mask in ("fixed_block", "block_documents"):
            seen = seen & (q // BLOCK == k // BLOCK)
        if mask in ("documents", "block_documents"):
            seen = seen & (document[q] == document[k])
        if mask == "window":
            seen = seen & (q - k < WINDOW)
        return seen

    return allowed


class Dense:
    def __init__(self, mask: str, length: int):
        import torch

        position = torch.arange(length)
        self.table = None
        if mask != "causal":
            self.table = rule(mask, document_of(length))(0, 0, position[:, None], position[None, :])
        self.inputs = [torch.randn(1, length, HEADS, SIZE, requires_grad=True) for _ in range(3)]
        self.upstream = torch.randn(1, HEADS, length, SIZE)

    def seconds(self) -> tuple[float, float]:
        import torch

        for x in self.inputs:
            x.grad = None
        start = time.perf_counter()
        out = torch.nn.functional.scaled_dot_product_attention(*(x.transpose(1, 2) for x in self.inputs), attn_mask=self.table,
                                                               is_causal=self.table is None)
        forward = time.perf_counter() - start
        (out * self.upstream).sum().backward()
        return forward, time.perf_counter() - start


class Flex:
    """Forward alone, and None where this PyTorch has no flex_attention for the CPU."""
    compiled = None

    def __init__(self, mask: str, length: int):
        import torch
        from torch.nn.attention import flex_attention as flex

        Flex.compiled = Flex.compiled or torch.compile(flex.flex_attention)
        self.block_mask = flex.create_block_mask(rule(mask, document_of(length)), None, None, length, length, device="cpu")
        self.inputs = [torch.randn(1, HEADS, length, SIZE) for _ in range(3)]
        self.seconds()

    def seconds(self) -> float:
        import torch

        with torch.no_grad():
            start = time.perf_counter()
            Flex.compiled(*self.inputs, block_mask=self.block_mask)
            return time.perf_counter() - start


def slope(lengths: list[int], seconds: list[float]) -> float:
    """Of the least-squares line through log(seconds) over log(length)."""
    x, y = [math.log(l) for l in lengths], [math.log(s) for s in seconds]
    mean_x, mean_y = statistics.mean(x), statistics.mean(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / sum((a - mean_x) ** 2 for a in x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--lengths", type=int, nargs="+", default=[2048, 4096, 8192, 16384])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds after which a case ends")
    parser.add_argument("--only", default="", help="a regular expression that a case's name must match")
    parser.add_argument("--no-flex", action="store_true", help="leave flex_attention out")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a program that waits must not hold the cores of the one that works
    import torch

    torch.set_num_threads(options.threads)
    ours, report = Ours(), Report()

    for mask in MASKS:
        kept: dict[str, list[float]] = {"ours": [], "dense": []}
        lengths = [length for length in options.lengths if re.search(options.only, f"mask/{mask}/{length}")]
        for length in lengths:
            dense = Dense(mask, length)
            flex = None
            if not options.no_flex and mask != "causal":
                try:
                    flex = Flex(mask, length)
                except Exception as error:  # no flex_attention for this CPU: say so, and go on
                    print(f"flex_attention: {type(error).__name__}: {str(error).splitlines()[0][:150]}", flush=True)
                    options.no_flex = True
            forward: dict[str, list[float]] = {"ours": [], "flex": []}
            both: dict[str, list[float]] = {"ours": [], "dense": []}
            start = time.perf_counter()
            ours.seconds(mask, length, options.threads)
            while len(both["ours"]) < options.rounds and (not both["ours"] or time.perf_counter() - start < options.budget):
                own_forward, own_both = ours.seconds(mask, length, options.threads)
                forward["ours"].append(own_forward)
                both["ours"].append(own_both)
                both["dense"].append(dense.seconds()[1])
                if flex:
                    forward["flex"].append(flex.seconds())
            own, other = statistics.median(both["ours"]), statistics.median(both["dense"])
            kept["ours"].append(own)
            kept["dense"].append(other)
            report.add(f"mask/{mask}/{length}", 1e3 * own, 1e3 * other, "SDPA is_causal" if mask == "causal" else "SDPA dense", "ms")
            if flex:
                report.add(f"mask/{mask}/{length} forward", 1e3 * statistics.median(forward["ours"]),
                           1e3 * statistics.median(forward["flex"]), "flex_attention", "ms")
            del dense, flex
        if len(lengths) > 1:
            report.add(f"mask/{mask} slope", slope(lengths, kept["ours"]), slope(lengths, kept["dense"]), "SDPA", "log-log")
    report.write(options.json)


if __name__ == "__main__":
    main()
