# SPDX-License-Identifier: Apache-2.0
"""A mixture of experts in Python PyTorch, as torchtitan builds Llama 4's: what lierne's is timed against.

Router in float32 with a selection bias, tokens sorted by expert, scores before the experts, one shared network. The experts
run through `torch._grouped_mm` or as a loop of products, whichever is faster for the caller (`way`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class SwiGlu(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.w1 = nn.Linear(width, hidden, bias=False)
        self.w2 = nn.Linear(hidden, width, bias=False)
        self.w3 = nn.Linear(width, hidden, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Experts(nn.Module):
    def __init__(self, experts: int, width: int, hidden: int, way: str):
        super().__init__()
        self.way = way
        self.w1 = nn.Parameter(torch.empty(experts, hidden, width))
        self.w2 = nn.Parameter(torch.empty(experts, width, hidden))
        self.w3 = nn.Parameter(torch.empty(experts, hidden, width))

    def forward(self, rows: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        w1, w2, w3 = (w.to(rows.dtype) for w in (self.w1, self.w2, self.w3))
        if self.way == "grouped":
            ends = counts.cumsum(0).to(torch.int32)
            hidden = F.silu(torch._grouped_mm(rows, w1.transpose(-2, -1), offs=ends))
            hidden = hidden * torch._grouped_mm(rows, w3.transpose(-2, -1), offs=ends)
            return torch._grouped_mm(hidden, w2.transpose(-2, -1), offs=ends)
        parts = []
        for x, a, b, c in zip(rows.split(counts.tolist()), w1.unbind(), w2.unbind(), w3.unbind()):
            parts.append(F.silu(x @ a.t()) * (x @ c.t()) @ b.t())
        return torch.cat(parts)


class MoE(nn.Module):
    def __init__(self, config, way: str = "grouped"):
        super().__init__()
        self.top_k = config.top_k
        self.router = nn.ModuleDict({"gate": nn.Linear(config.width, config.experts, bias=False)})
        self.experts = Experts(config.experts, config.width, config.expert_hidden, way)
        self.shared_experts = SwiGlu(config.width, config.expert_hidden)
        self.register_buffer("expert_bias", torch.zeros(config.experts))
        self.register_buffer("tokens_per_expert", torch.zeros(config.experts), persistent=False)

    def forward(self, x_BLD: torch.Tensor) -> torch.Tensor:
        x = x_BLD.flatten(0, 1)
        scores = torch.sigmoid(self.router["gate"](x).float())
        _, chosen = torch.topk(scores + self.expert_bias, self.top_k, dim=1)
        weights = scores.gather(1, chosen).view(-1)
        counts = torch.bincount(chosen.view(-1), minlength=scores.shape[1])
        with torch.no_grad():
            self.tokens_per_expert.add_(counts)
        order = torch.argsort(chosen.view(-1), stable=True)
        token = (order // self.top_k).unsqueeze(-1).expand(-1, x.shape[-1])
        rows = torch.gather(x, 0, token)
        rows = (rows.float() * weights[order].unsqueeze(-1)).to(x.dtype)
        shared = self.shared_experts(x)
        return shared.scatter_add(0, token, self.experts(rows, counts).to(shared.dtype)).view_as(x_BLD)

    @torch.no_grad()
    def update_bias(self) -> None:
        n = self.tokens_per_expert
        delta = 1e-3 * torch.sign(n.mean() - n)
        self.expert_bias.add_(delta - delta.mean())
        n.zero_()

    @torch.no_grad()
    def initialise(self, deviation: float) -> None:
        """In the reference's order; `deviation` is that of products into the residual stream."""
        shared, experts = self.shared_experts, self.experts
        for weight, std in ((experts.w1, 0.02), (experts.w2, deviation), (experts.w3, deviation),
                            (self.router["gate"].weight, deviation), (shared.w1.weight, 0.02),
                            (shared.w2.weight, deviation), (shared.w3.weight, deviation)):
            nn.init.trunc_normal_(weight, 0.0, std)
