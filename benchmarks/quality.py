# SPDX-License-Identifier: Apache-2.0
"""Whether lierne learns what Python PyTorch learns, by the same model, and how soon, by a recipe of its own.

    script/bench quality [--json FILE] [--recipe llama|nanogpt] [--threads N] [--data DIR]      without --recipe both, in turn
    script/bench quality [--steps 300] [--precision fp32|bf16] [--mode eager|compile] [--keep DIR] [--tokenizer FILE] ...
    script/bench quality --minutes 8 ...

The recipe `nanogpt` is the time to equal loss on characters, against nanoGPT's recipe for a CPU: see `quality_chars.py`.
The recipe `llama` has the same model, initial weights and batches in both. Options of the last two lines are its own, and mean
it alone.

`bench_quality` trains example 01's model and writes into a folder
    init.safetensors  the initial weights, float32, by torchtitan's names
    batches.i64       for each step tokens [B, L] and then labels [B, L]; int64, little-endian; label -100 counts for nothing
    held_out.i64      the held-out batches in the same form
    run.json          config (the fields of peers/llama.py), precision, steps, factors (on the rate, by step), losses (by step),
                      held_out_batches, held_out_tokens, held_out_bytes, held_out_loss (nats a token), seconds
and this program repeats the run with `peers/llama.py` and fused AdamW. Reported are the held-out loss of both, whose
difference the project holds below 0.02 nat, the bits per byte, and the seconds of training.

With --minutes each takes as many steps as it can in so long, by its seconds a step in `bench_step` and `peers/step.py`, run in
turn before; each has the whole schedule over its own steps. What torch.compile needs to compile is not counted.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

import quality_chars
from shared.report import BUILD, HERE, PEERS, Report, run_ours, run_peer
from step import MODELS


def schedule(run: dict, steps: int) -> list[float]:
    """Factors on the rate: bench_quality's where the steps are as many, or its schedule over other steps."""
    if steps == run["steps"]:
        return run["factors"]
    warmup, last = run["warmup"], run["last_factor"]
    wave = [(1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2 for step in range(steps)]
    return [(step + 1) / warmup if step < warmup else last + (1 - last) * wave[step] for step in range(steps)]


def steps_in(minutes: float, threads: int, mode: str, precision: str) -> tuple[int, int]:
    """How many steps lierne and the peer do in the minutes: medians of three rounds in turn."""
    both = ["--precision", precision, "--threads", str(threads), "--steps", "10", "--config", json.dumps(MODELS["small"])]
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(3):
        seconds[0].append(run_ours("step", both)["step_seconds"])
        seconds[1].append(run_peer("step", ["--mode", mode, *both])["step_seconds"])
    ours, peer = (int(60 * minutes / statistics.median(times)) for times in seconds)
    return ours, peer


def repeat(folder: str, threads: int, mode: str, steps: int) -> dict:
    """Trains the peer for so many steps on what bench_quality left in the folder."""
    import torch

    sys.path.insert(0, os.path.join(HERE, "peers"))
    import llama

    torch.set_num_threads(threads)
    with open(os.path.join(folder, "run.json"), encoding="utf-8") as file:
        run = json.load(file)
    config = llama.Config.from_json(json.dumps(run["config"]))
    weights, _ = llama.read_safetensors(os.path.join(folder, "init.safetensors"))

    def batches(name: str, count: int) -> torch.Tensor:
        flat = torch.from_file(os.path.join(folder, name), dtype=torch.int64, size=count * 2 * config.batch * config.length)
        return flat.view(count, 2, config.batch, config.length)

    model = llama.Llama(config, llama.rotate_real if mode == "compile" else llama.rotate)
    loss_function = torch.compile(model.loss) if mode == "compile" else model.loss

    def loss_of(tokens, labels):
        with torch.autocast("cpu", torch.bfloat16, enabled=run["precision"] == "bf16"):
            return loss_function(tokens, labels)

    if steps > run["steps"]:
        raise SystemExit(f"the peer can do {steps} steps, but has batches for {run['steps']} only")
    train = list(zip(batches("batches.i64", steps), schedule(run, steps)))
    if mode == "compile":
        loss_of(*train[0][0]).backward()
        model.zero_grad(set_to_none=True)
    model.load_state_dict(weights)
    optimizer = llama.adamw(model, config)
    losses = []
    start = time.perf_counter()
    for (tokens, labels), factor in train:
        for group in optimizer.param_groups:
            group["lr"] = config.rate * factor
        loss = loss_of(tokens, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    seconds = time.perf_counter() - start
    nats, valid = 0.0, 0
    with torch.no_grad():
        for tokens, labels in batches("held_out.i64", run["held_out_batches"]):
            count = int((labels != -100).sum())
            nats += loss_of(tokens, labels).item() * count
            valid += count
    if valid != run["held_out_tokens"]:
        raise SystemExit(f"held_out.i64: expected {run['held_out_tokens']} labels, found {valid}")
    return {"losses": losses, "held_out_loss": nats / valid, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="also write the cases to this file")
    parser.add_argument("--recipe", action="append", choices=("llama", "nanogpt"))
    parser.add_argument("--rounds", type=int, default=3, help="of the recipe nanogpt")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--minutes", type=float, help="of training in both, instead of steps")
    parser.add_argument("--mode", choices=("eager", "compile"), help="how the peer runs (default: eager)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="default: fp32")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--keep", help="folder for the files of the run (default: a temporary one)")
    parser.add_argument("--data")
    parser.add_argument("--tokenizer")
    options = parser.parse_args()
    only_llama = any((options.steps, options.minutes, options.mode, options.precision, options.keep, options.tokenizer))
    recipes = options.recipe or (["llama"] if only_llama else ["llama", "nanogpt"])
    if only_llama and "nanogpt" in recipes:
        raise SystemExit("quality: --steps, --minutes, --mode, --precision, --keep and --tokenizer are of the recipe llama alone, "
                         "found --recipe nanogpt beside them (script/bench quality_chars has its own --steps)")

    report = Report()
    reached = True
    if "llama" in recipes:
        reached = same_model(report, options) and reached
    if "nanogpt" in recipes:
        data = [options.data] if options.data else []
        reached = quality_chars.compare(report, options.rounds, options.threads, *data) and reached
    report.write(options.json)
    raise SystemExit(not reached)


def same_model(report: Report, options: argparse.Namespace) -> bool:
    """The recipe llama; whether the held-out losses are as they should be."""
    options.steps, options.mode, options.precision = options.steps or 300, options.mode or "eager", options.precision or "fp32"
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or temporary
        steps = peer_steps = options.steps
        if options.minutes:
            steps, peer_steps = steps_in(options.minutes, options.threads, options.mode, options.precision)
        command = [os.path.join(BUILD, "benchmarks", "bench_quality"), "--out", folder, "--steps", str(steps),
                   "--threads", str(options.threads), "--precision", options.precision]
        for name in ("data", "tokenizer"):
            if getattr(options, name):
                command += ["--" + name, getattr(options, name)]
        subprocess.run(command, check=True)
        with open(os.path.join(folder, "run.json"), encoding="utf-8") as file:
            ours = json.load(file)
        peer = repeat(folder, options.threads, options.mode, peer_steps)

    to_bits = ours["held_out_tokens"] / ours["held_out_bytes"] / math.log(2)
    against = PEERS[options.mode]
    label = f"{options.minutes:g} minutes" if options.minutes else f"{options.steps} steps"
    for what, unit, a, b in (
            ("held-out loss", "nats/token", ours["held_out_loss"], peer["held_out_loss"]),
            ("held-out bits per byte", "bits/byte", ours["held_out_loss"] * to_bits, peer["held_out_loss"] * to_bits),
            ("steps", "steps", len(ours["losses"]), len(peer["losses"])),
            ("training time", "s", ours["seconds"], peer["seconds"])):
        report.add(f"quality {options.precision} {label} {what}", a, b, against, unit, higher=what == "steps")
    difference = ours["held_out_loss"] - peer["held_out_loss"]
    if options.minutes:
        print(f"difference of the held-out losses {difference:+.5f} nat (ours at most the peer's: {'yes' if difference <= 0 else 'NO'})")
        return difference <= 0
    furthest = max(abs(a - b) for a, b in zip(ours["losses"], peer["losses"]))
    print(f"difference of the held-out losses {difference:+.5f} nat (within 0.02: {'yes' if abs(difference) <= 0.02 else 'NO'}), "
          f"largest difference of a step's loss {furthest:.5f}, first step {abs(ours['losses'][0] - peer['losses'][0]):.2e}")
    return abs(difference) <= 0.02


if __name__ == "__main__":
    main()
