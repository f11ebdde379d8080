# SPDX-License-Identifier: Apache-2.0
"""nanoGPT's character-level recipe for a CPU, re-stated in Python PyTorch: what `quality_chars.py` compares with.

A GPT-2 of 4 layers, 4 heads and width 128: learned positions, LayerNorm without bias, a GELU feed-forward of four widths, no
biases, the output tied to the embedding; N(0, 0.02) first values, 0.02 / sqrt(2 layers) for products that write to the stream.
2,000 steps of AdamW on 12 random windows of 64 characters: rate 1e-3 after 100 steps of warm-up, by a cosine to 1e-4; betas 0.9
and 0.99; decay 0.1 of matrices; gradients clipped to a norm of 1; no dropout.

    python nanogpt.py --ids FOLDER [--mode eager|compile] [--precision fp32|bf16] [--threads N] [--steps 2000] [--seed 1] [--time STEPS]

FOLDER holds train.u8 and held_out.u8, one byte an id, as `bench_quality_chars --ids FOLDER` writes them. It prints one JSON
line: `seconds` of the training loop, batches included, validation and compilation not; `step_seconds`, the median of a step;
`held_out_loss`, nats a character over all held-out windows of 64, laid one after the other. With --time it only takes so many
steps and prints their median.
"""

from __future__ import annotations

import argparse
import getpass
import json
import math
import os
import statistics
import tempfile
import time

import torch
import torch.nn.functional as F
from torch import nn

LAYERS, HEADS, WIDTH, LENGTH, ROWS = 4, 4, 128, 64, 12
RATE, LAST_RATE, WARMUP, DECAY, CLIP = 1e-3, 1e-4, 100, 0.1, 1.0


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1 = nn.LayerNorm(WIDTH, bias=False)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.attention_out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.ln_2 = nn.LayerNorm(WIDTH, bias=False)
        self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.down = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, length, _ = x.shape
        q, k, v = (part.view(rows, length, HEADS, -1).transpose(1, 2) for part in self.qkv(self.ln_1(x)).split(WIDTH, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attention_out(y.transpose(1, 2).reshape(rows, length, WIDTH))
        return x + self.down(F.gelu(self.up(self.ln_2(x))))


class Gpt(nn.Module):
    def __init__(self, vocab: int):
        super().__init__()
        self.characters = nn.Embedding(vocab, WIDTH)
        self.positions = nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                writes = name.endswith(("attention_out.weight", "down.weight"))
                nn.init.normal_(weight, 0.0, 0.02 / math.sqrt(2 * LAYERS) if writes else 0.02)

    def forward(self, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        x = self.characters(tokens) + self.positions.weight
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.characters.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=-100)


def rate_at(step: int, steps: int) -> float:
    """The rate of a step: a linear warm-up, then half a cosine."""
    if step < WARMUP:
        return RATE * (step + 1) / (WARMUP + 1)
    return LAST_RATE + (RATE - LAST_RATE) * (1 + math.cos(math.pi * (step - WARMUP) / (steps - WARMUP))) / 2


def read_ids(path: str) -> torch.Tensor:
    with open(path, "rb") as file:
        return torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).long()


def windows_of(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All windows one after the other: every character but the first is a label once, -100 fills the last window."""
    count = -(-(len(ids) - 1) // LENGTH)
    padded = torch.cat((ids, ids.new_zeros(count * LENGTH + 1 - len(ids))))
    labels = padded[1:].clone()
    labels[len(ids) - 1:] = -100
    return padded[:-1].view(count, LENGTH), labels.view(count, LENGTH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ids", required=True)
    parser.add_argument("--mode", choices=("eager", "compile"), default="eager")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--time", type=int, help="take so many steps of the run and print their median alone")
    options = parser.parse_args()

    # The compiler's cache hands out code for another number of threads too.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR",
                          os.path.join(tempfile.gettempdir(), f"torchinductor_{getpass.getuser()}_{options.threads}_threads"))
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    train, held_out = (read_ids(os.path.join(options.ids, name)) for name in ("train.u8", "held_out.u8"))
    model = Gpt(int(max(train.max(), held_out.max())) + 1)
    forward = torch.compile(model) if options.mode == "compile" else model

    def loss_of(tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
            return forward(tokens, labels)

    matrices = [weight for weight in model.parameters() if weight.dim() >= 2]
    vectors = [weight for weight in model.parameters() if weight.dim() < 2]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.99), fused=True)
    within = torch.arange(LENGTH)

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        places = torch.randint(len(train) - LENGTH, (ROWS, 1)) + within
        return train[places], train[places + 1]

    # Compilation and first allocations; no weight moves.
    for _ in range(3):
        loss_of(*batch()).backward()
        model.zero_grad(set_to_none=True)

    seconds = []
    begin = time.perf_counter()
    for step in range(options.time or options.steps):
        start = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, options.steps)
        loss_of(*batch()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - start)
    total = time.perf_counter() - begin

    result = {"mode": options.mode, "precision": options.precision, "threads": options.threads, "seed": options.seed,
              "parameters": sum(weight.numel() for weight in model.parameters()), "steps": len(seconds), "seconds": total,
              "step_seconds": statistics.median(seconds)}
    if not options.time:
        nats, count = 0.0, 0
        with torch.no_grad():
            for tokens, labels in zip(*(part.split(256) for part in windows_of(held_out))):
                valid = int((labels != -100).sum())
                nats += model(tokens, labels).item() * valid
                count += valid
        result |= {"held_out_loss": nats / count, "held_out_characters": count}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
