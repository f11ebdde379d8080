# SPDX-License-Identifier: Apache-2.0
"""Times the training step of the Python PyTorch peer and prints one JSON line.

    python step.py --mode eager|compile --precision fp32|bf16 --threads 2 --steps 20 --config CONFIG [--breakdown]

CONFIG is a JSON text or file with the fields of `llama.Config`. A step is forward, loss, backward, gradient clipping and
fused AdamW on float32 weights. bf16 comes in two forms, `--bf16 autocast` and `--bf16 cast` (weights copied to bfloat16
once a step); `--bf16 best` times both for a few steps and keeps the faster. The line holds

    mode, precision, form, threads, steps, step_seconds (median), best_step_seconds, tokens_per_s (of the median),
    peak_bytes (largest resident set), first_step_seconds (process start to the end of the first step), loss
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time

STARTED = time.monotonic()


def seconds_since_process_start() -> float:
    """Wall seconds since the kernel started this process, interpreter start included; from its /proc entry."""
    try:
        with open("/proc/self/stat", encoding="ascii") as file:
            ticks = int(file.read().rsplit(")", 1)[1].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return time.monotonic() - STARTED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=("eager", "compile"), default="eager")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--bf16", choices=("best", "autocast", "cast"), default="best")
    parser.add_argument("--rope", choices=("complex", "real", "auto"), default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--budget", type=float, default=600.0, help="seconds after which a warm-up or a timing ends early")
    parser.add_argument("--config", default="{}")
    parser.add_argument("--breakdown", action="store_true", help="profile three more steps and print the operators to stderr")
    options = parser.parse_args()

    import torch

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import llama
    from resident import peak_resident_bytes

    torch.set_num_threads(options.threads)
    config = llama.Config.from_json(options.config)
    compiled = options.mode == "compile"
    complex_rope = options.rope == "complex" or (options.rope == "auto" and not compiled)
    model = llama.Llama(config, llama.rotate if complex_rope else llama.rotate_real)
    model.initialise(1234)
    optimizer = llama.adamw(model, config)
    generator = torch.Generator().manual_seed(7)
    windows = torch.randint(config.vocab, (options.warmup + options.steps + 1, config.batch, config.length + 1), generator=generator)
    loss_of = torch.compile(model.loss) if compiled else model.loss

    class Cast:
        """float32 weights with bfloat16 copies that forward and backward see."""

        def __init__(self):
            self.model = llama.Llama(config, model.rope)
            for parameter in self.model.parameters():
                parameter.data = parameter.data.bfloat16()
            self.master, self.copy = list(model.parameters()), list(self.model.parameters())
            self.loss = torch.compile(self.model.loss) if compiled else self.model.loss

        def __call__(self, tokens, labels):
            with torch.no_grad():
                torch._foreach_copy_(self.copy, self.master)
            loss = self.loss(tokens, labels)
            loss.backward()
            for weight, copy in zip(self.master, self.copy):
                weight.grad, copy.grad = copy.grad.float(), None
            return loss

    def autocast(tokens, labels):
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(tokens, labels)
        loss.backward()
        return loss

    def plain(tokens, labels):
        loss = loss_of(tokens, labels)
        loss.backward()
        return loss

    def step(gradients, window) -> float:
        loss = gradients(window[:, :-1], window[:, 1:])
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip, foreach=True)
        model.update_bias()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    forms = {"autocast": autocast, "cast": Cast()} if options.precision == "bf16" else {"plain": plain}
    if options.precision == "bf16" and options.bf16 != "best":
        forms = {options.bf16: forms[options.bf16]}
    first = None
    probe = {}
    for form, gradients in forms.items():
        start = time.monotonic()
        for index in range(max(1, options.warmup)):
            begin = time.monotonic()
            step(gradients, windows[index])
            first = first if first is not None else seconds_since_process_start()
            probe[form] = time.monotonic() - begin
            if time.monotonic() - start > options.budget:
                break
    form = min(probe, key=probe.get)
    seconds = []
    loss = 0.0
    start = time.monotonic()
    for index in range(options.warmup, options.warmup + options.steps):
        begin = time.monotonic()
        loss = step(forms[form], windows[index])
        seconds.append(time.monotonic() - begin)
        if time.monotonic() - start > options.budget:
            break
    tokens = config.batch * config.length
    median = statistics.median(seconds)
    print(json.dumps({"mode": options.mode, "precision": options.precision, "form": form, "threads": options.threads,
                      "steps": len(seconds), "step_seconds": median, "best_step_seconds": min(seconds), "tokens_per_s": tokens / median,
                      "peak_bytes": peak_resident_bytes(),
                      "first_step_seconds": first, "loss": loss}), flush=True)
    if options.breakdown:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            for _ in range(3):
                step(forms[form], windows[-1])
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=40, max_name_column_width=60), file=sys.stderr)


if __name__ == "__main__":
    main()
