# SPDX-License-Identifier: Apache-2.0
"""Memory and time of the Python PyTorch peer: a training pass under torch.utils.checkpoint, or the loss or embedding alone.

    python memory.py --case none|selective|second|block|loss|embedding --precision fp32|bf16 --threads 2 --steps 5

    selective   create_selective_checkpoint_contexts: the results of products and of attention are saved, the rest recomputed
    second      every second block is checkpointed
    loss        F.cross_entropy of F.linear over 131,072 classes
    embedding   F.embedding in a table of 131,072 rows
One JSON line: step_seconds (median), best_step_seconds, peak_bytes (largest resident set over what was resident before the
first pass), value. bf16 is autocast.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch.utils import checkpoint

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import llama  # noqa: E402
from resident import peak_resident_bytes, resident_bytes  # noqa: E402

CONFIG = llama.Config(layers=8, width=512, heads=8, kv_heads=2, hidden=1536, vocab=8192, batch=4, length=512)
TOKENS, WIDTH, CLASSES = 1024, 512, 131072
SAVED = {torch.ops.aten.mm.default, torch.ops.aten.addmm.default, torch.ops.aten.bmm.default,
         torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default}


def save_products(_context, operator, *_arguments, **_keywords):
    policy = checkpoint.CheckpointPolicy
    return policy.MUST_SAVE if operator in SAVED else policy.PREFER_RECOMPUTE


class Recomputing(llama.Llama):
    """The decoder with some blocks checkpointed."""

    def __init__(self, config: llama.Config, case: str):
        super().__init__(config)
        self.case = case

    def hidden(self, tokens: torch.Tensor) -> torch.Tensor:
        h = self.tok_embeddings(tokens)
        table = self.table[: tokens.shape[1]]
        for index, block in enumerate(self.layers.values()):
            if self.case == "block" or (self.case == "second" and index % 2 == 1):
                h = checkpoint.checkpoint(block, h, table, self.rope, use_reentrant=False)
            elif self.case == "selective":
                contexts = functools.partial(checkpoint.create_selective_checkpoint_contexts, save_products)
                h = checkpoint.checkpoint(block, h, table, self.rope, use_reentrant=False, context_fn=contexts)
            else:
                h = block(h, table, self.rope)
        return self.norm(h)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=("none", "selective", "second", "block", "loss", "embedding"), default="none")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.case == "loss":
        hidden = torch.randn(TOKENS, WIDTH, requires_grad=True)
        weight = (torch.randn(CLASSES, WIDTH) * 0.02).requires_grad_()
        labels = torch.randint(CLASSES, (TOKENS,))
        leaves = [hidden, weight]

        def forward():
            return F.cross_entropy(F.linear(hidden, weight), labels)
    elif options.case == "embedding":
        table = torch.randn(CLASSES, WIDTH, requires_grad=True)
        places = torch.randint(CLASSES, (TOKENS,))
        upstream = torch.randn(TOKENS, WIDTH)
        leaves = [table]

        def forward():
            return F.embedding(places, table)
    else:
        model = Recomputing(CONFIG, options.case)
        model.initialise(1234)
        window = torch.randint(CONFIG.vocab, (CONFIG.batch, CONFIG.length + 1))
        leaves = list(model.parameters())

        def forward():
            with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
                return model.loss(window[:, :-1], window[:, 1:])

    def step() -> float:
        loss = forward()
        loss.backward(upstream if options.case == "embedding" else None)
        for leaf in leaves:
            leaf.grad = None
        return loss.sum().item()

    before = resident_bytes()
    value = step()
    seconds = []
    for _ in range(options.steps):
        begin = time.perf_counter()
        value = step()
        seconds.append(time.perf_counter() - begin)
    peak = peak_resident_bytes() - before
    print(json.dumps({"mode": "eager", "case": options.case, "precision": options.precision,
                      "step_seconds": statistics.median(seconds), "best_step_seconds": min(seconds), "peak_bytes": peak,
                      "value": value}), flush=True)


if __name__ == "__main__":
    main()
