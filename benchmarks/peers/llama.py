# SPDX-License-Identifier: Apache-2.0
"""The Llama-3-style decoder of lierne in Python PyTorch, written for speed: what the benchmarks compare with.

Same mathematics and the same parameter names (torchtitan's FQNs): embedding, RMSNorm, interleaved RoPE, grouped-query
attention through SDPA, SwiGLU, float32 cross entropy as a sum over valid tokens divided by their number.

    python llama.py FIXTURE.safetensors      checks the model against a `llama3_*` fixture, or a `llama4_*` one in float32:
                                             logits, gradients, three steps
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
import sys

import moe
import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass
class Config:
    """The shape of a model and of its batch. `from_json` reads the same keys from a file or a JSON text."""

    layers: int = 6
    width: int = 256
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 768
    vocab: int = 4096
    batch: int = 8
    length: int = 256
    base: float = 500000.0
    eps: float = 1e-5
    rope_scaling: tuple[float, float, float, float] | None = None  # factor, low, high, original length
    rate: float = 2e-3
    decay: float = 0.1
    clip: float = 1.0
    experts: int = 0  # 0: a dense model; else every `interleave`-th layer is a mixture, see moe.py
    top_k: int = 1
    expert_hidden: int = 0
    interleave: int = 2
    way: str = "grouped"  # how experts are multiplied

    @classmethod
    def from_json(cls, text: str) -> "Config":
        if not text.lstrip().startswith("{"):
            with open(text, encoding="utf-8") as file:
                text = file.read()
        values = json.loads(text)
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise SystemExit(f"config: unknown keys {unknown}; known are {sorted(known)}")
        return cls(**values)

    @property
    def head_size(self) -> int:
        return self.width // self.heads

    def parameters(self) -> int:
        """The number of parameters, embedding and output included."""
        block = 2 * self.width * self.head_size * (self.heads + self.kv_heads) + 3 * self.width * self.hidden + 2 * self.width
        return self.layers * block + 2 * self.vocab * self.width + self.width

    def flops_per_token(self) -> int:
        """Products of a step, forward and backward, attention without the causal discount."""
        dense = self.parameters() - self.vocab * self.width
        return 6 * dense + 12 * self.layers * self.width * self.length

    def products(self) -> list[tuple[str, int, int, int]]:
        """The linear layers as (name, outputs, inputs, how many)."""
        kv = self.kv_heads * self.head_size
        return [
            ("wq", self.width, self.width, self.layers),
            ("wk,wv", kv, self.width, 2 * self.layers),
            ("wo", self.width, self.width, self.layers),
            ("w1,w3", self.hidden, self.width, 2 * self.layers),
            ("w2", self.width, self.hidden, self.layers),
            ("output", self.vocab, self.width, 1),
        ]


def rope_table(config: Config, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """cos + i sin of t / base^(2i/d), [length, head_size / 2], complex64 (complex128 for float64)."""
    size = config.head_size
    inverse = 1.0 / config.base ** (torch.arange(0, size, 2, dtype=dtype)[: size // 2] / size)
    if config.rope_scaling is not None:
        factor, low, high, original = config.rope_scaling
        wavelength = 2 * math.pi / inverse
        smooth = (original / wavelength - low) / (high - low)
        blended = (1 - smooth) * inverse / factor + smooth * inverse
        inverse = torch.where(wavelength > original / low, inverse / factor,
                              torch.where(wavelength < original / high, inverse, blended))
    angles = torch.outer(torch.arange(config.length, dtype=dtype), inverse)
    return torch.polar(torch.ones_like(angles), angles)


def rotate(x_BLNH: torch.Tensor, table_LP: torch.Tensor) -> torch.Tensor:
    """Rotates the pairs (x[2i], x[2i+1]) in float32 and rounds once."""
    wide = x_BLNH if x_BLNH.dtype == torch.float64 else x_BLNH.float()
    pairs = torch.view_as_complex(wide.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * table_LP[:, None, :]).flatten(-2).to(x_BLNH.dtype)


def rotate_real(x_BLNH: torch.Tensor, table_LP: torch.Tensor) -> torch.Tensor:
    """The same in real arithmetic, which torch.compile can fuse (it has no complex code generation)."""
    wide = x_BLNH if x_BLNH.dtype == torch.float64 else x_BLNH.float()
    even, odd = wide.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = table_LP.real[:, None, :], table_LP.imag[:, None, :]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).to(x_BLNH.dtype)


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


class Attention(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        kv = config.kv_heads * config.head_size
        self.wq = nn.Linear(config.width, config.width, bias=False)
        self.wk = nn.Linear(config.width, kv, bias=False)
        self.wv = nn.Linear(config.width, kv, bias=False)
        self.wo = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x: torch.Tensor, table, rope) -> torch.Tensor:
        batch, length, _ = x.shape
        size = self.config.head_size
        q = rope(self.wq(x).view(batch, length, -1, size), table).transpose(1, 2)
        k = rope(self.wk(x).view(batch, length, -1, size), table).transpose(1, 2)
        v = self.wv(x).view(batch, length, -1, size).transpose(1, 2)
        grouped = self.config.kv_heads != self.config.heads
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
        return self.wo(y.transpose(1, 2).reshape(batch, length, -1))


class FeedForward(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.w1 = nn.Linear(config.width, config.hidden, bias=False)
        self.w2 = nn.Linear(config.hidden, config.width, bias=False)
        self.w3 = nn.Linear(config.width, config.hidden, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Block(nn.Module):
    def __init__(self, config: Config, index: int = 0):
        super().__init__()
        self.attention = Attention(config)
        self.mixes = config.experts > 0 and (index + 1) % config.interleave == 0
        if self.mixes:
            self.moe = moe.MoE(config, config.way)
        else:
            self.feed_forward = FeedForward(config)
        self.attention_norm = RMSNorm(config.width, config.eps)
        self.ffn_norm = RMSNorm(config.width, config.eps)

    def forward(self, h: torch.Tensor, table, rope) -> torch.Tensor:
        h = h + self.attention(self.attention_norm(h), table, rope)
        return h + (self.moe if self.mixes else self.feed_forward)(self.ffn_norm(h))


class Llama(nn.Module):
    """The decoder. `rope` is `rotate` (fastest eager) or `rotate_real` (fastest compiled)."""

    def __init__(self, config: Config, rope=rotate, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.config = config
        self.rope = rope
        self.tok_embeddings = nn.Embedding(config.vocab, config.width)
        self.layers = nn.ModuleDict({str(index): Block(config, index) for index in range(config.layers)})
        self.norm = RMSNorm(config.width, config.eps)
        self.output = nn.Linear(config.width, config.vocab, bias=False)
        self.to(dtype)
        self.register_buffer("table", rope_table(config, dtype), persistent=False)

    def hidden(self, tokens: torch.Tensor) -> torch.Tensor:
        h = self.tok_embeddings(tokens)
        table = self.table[: tokens.shape[1]]
        for block in self.layers.values():
            h = block(h, table, self.rope)
        return self.norm(h)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.output(self.hidden(tokens))

    def loss(self, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Sum of the cross entropies of the valid tokens divided by their number; float32 at least."""
        logits = self.output(self.hidden(tokens)).flatten(0, 1)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        return F.cross_entropy(logits, labels.flatten())

    def update_bias(self) -> None:
        """Ends a step of the mixtures of experts."""
        for block in self.layers.values():
            if block.mixes:
                block.moe.update_bias()

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """The reference's initial weights, drawn in the reference's order."""
        torch.manual_seed(seed)
        nn.init.normal_(self.tok_embeddings.weight)
        for index, block in enumerate(self.layers.values()):
            depth = 0.02 / math.sqrt(2 * (index + 1))
            attention = block.attention
            for weight in (attention.wq.weight, attention.wk.weight, attention.wv.weight):
                nn.init.trunc_normal_(weight, 0.0, 0.02)
            nn.init.trunc_normal_(attention.wo.weight, 0.0, depth)
            if block.mixes:
                block.moe.initialise(depth)
                continue
            forward = block.feed_forward
            nn.init.trunc_normal_(forward.w1.weight, 0.0, 0.02)
            nn.init.trunc_normal_(forward.w2.weight, 0.0, depth)
            nn.init.trunc_normal_(forward.w3.weight, 0.0, depth)
        std = self.config.width ** -0.5
        nn.init.trunc_normal_(self.output.weight, 0.0, std, -3 * std, 3 * std)


SCALING = ("scaling_factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
DTYPES = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "I64": torch.int64}


def read_safetensors(path: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors of a safetensors file and its metadata."""
    with open(path, "rb") as file:
        raw = bytearray(file.read())
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(raw, dtype=torch.uint8, offset=8 + size + begin, count=end - begin)
        tensors[name] = flat.clone().view(DTYPES[entry["dtype"]]).view(entry["shape"])
    return tensors, metadata


def adamw(model: nn.Module, config: Config) -> torch.optim.AdamW:
    return torch.optim.AdamW(model.parameters(), lr=config.rate, betas=(0.9, 0.95), eps=1e-8, weight_decay=config.decay, fused=True)


def check_fixture(path: str) -> None:
    """Compares logits, gradients and weights after three steps with a fixture; raises outside of the bounds."""
    tensors, metadata = read_safetensors(path)
    fields = json.loads(metadata["config"])
    scaling = fields.get("rope_scaling")
    first = {name[3:]: value for name, value in tensors.items() if name.startswith("w0/")}
    dtype = first["norm.weight"].dtype
    config = Config(layers=fields["n_layers"], width=fields["dim"], heads=fields["n_heads"], kv_heads=fields["n_kv_heads"],
                    hidden=first["layers.0.feed_forward.w1.weight"].shape[0], vocab=fields["vocab_size"],
                    length=tensors["tokens"].shape[1], base=fields["rope_theta"], eps=fields["norm_eps"],
                    rope_scaling=tuple(scaling[key] for key in SCALING) if scaling else None, rate=1e-3)
    if "moe_args" in fields:
        config.experts, config.expert_hidden = first["layers.1.moe.experts.w1"].shape[:2]
        config.top_k, config.interleave = fields["moe_args"]["top_k"], fields["interleave_moe_layer_step"]
    double = dtype == torch.float64
    bounds = (1e-12, 1e-12, 1e-11) if double else (3e-6, 1e-5, 3e-5)
    for rope in (rotate, rotate_real):
        model = Llama(config, rope, dtype)
        model.load_state_dict(first)
        optimizer = adamw(model, config)
        worst = [0.0, 0.0, 0.0]
        for step in range(3):
            if step == 0:
                worst[0] = (model(tensors["tokens"]) - tensors["logits0"]).abs().max().item()
            model.loss(tensors["tokens"], tensors["labels"]).backward()
            if step == 0:
                for name, weight in model.named_parameters():
                    expected = tensors["g0/" + name]
                    worst[1] = max(worst[1], ((weight.grad - expected).norm() / expected.norm()).item())
            nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            model.update_bias()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        for name, weight in model.named_parameters():
            worst[2] = max(worst[2], (weight - tensors["w3/" + name]).abs().max().item())
        for what, value, bound in zip(("logits", "gradients", "weights after 3 steps"), worst, bounds):
            print(f"{path}: {rope.__name__}: {what} {value:.2e} (bound {bound:.0e})")
            if not value <= bound:
                raise SystemExit(f"{path}: {what} off by {value}, allowed {bound}")


if __name__ == "__main__":
    for fixture in sys.argv[1:]:
        check_fixture(fixture)
