# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/hf_{qwen2,qwen3,llama4}_attention.safetensors: tiny models of Hugging Face transformers that use the
options of attention, with their logits and gradients.

    python tests/nn/make_hf_golden.py        (a Python with torch 2.11 and transformers 4.57; takes seconds)

Keys: tokens, labels, logits0, losses, w0/NAME and g0/NAME with this library's names. Qwen turns halves of a head where the library
turns neighbours, so rows of its q and k (with their biases, and the elements of their norms) are permuted here. Weights are
drawn from N(0, 0.1²), those of norms from N(1, 0.1²), so that no option can be left out unnoticed. Llama 4 here has dense
feed-forwards, chunks of 8 tokens, temperature steps of 8 tokens, and a scaled rotation.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Llama4ForCausalLM, Llama4TextConfig, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
COMMON = {"vocab_size": 96, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "attn_implementation": "eager",
          "rope_theta": 10000.0, "tie_word_embeddings": False}
CASES = {
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {"intermediate_size": 80, "num_hidden_layers": 2, "rms_norm_eps": 1e-6}),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, {"intermediate_size": 80, "num_hidden_layers": 2, "rms_norm_eps": 1e-6, "head_dim": 24}),
    "llama4": (Llama4ForCausalLM, Llama4TextConfig,
               {"intermediate_size": 80, "intermediate_size_mlp": 80, "num_hidden_layers": 4, "rms_norm_eps": 1e-5, "head_dim": 16,
                "moe_layers": [], "attention_chunk_size": 8, "floor_scale": 8, "attn_scale": 0.1, "attn_temperature_tuning": True,
                "use_qk_norm": True, "pad_token_id": 0,
                "rope_scaling": {"rope_type": "llama3", "factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 1.0,
                                 "original_max_position_embeddings": 64}}),
}
NAMES = {"self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv",
         "self_attn.o_proj": "attention.wo", "self_attn.q_norm": "attention.q_norm", "self_attn.k_norm": "attention.k_norm",
         "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3", "mlp.down_proj": "feed_forward.w2",
         "feed_forward.gate_proj": "feed_forward.w1", "feed_forward.up_proj": "feed_forward.w3",
         "feed_forward.down_proj": "feed_forward.w2", "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
         "model.embed_tokens": "tok_embeddings", "lm_head": "output", "model.norm": "norm", "model.layers": "layers"}


def our_name(name: str) -> str:
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


def neighbours(name: str, t: torch.Tensor, size: int) -> torch.Tensor:
    """Rows of a head in the order (0, d/2, 1, d/2 + 1, ...), where they turn together."""
    if not any(part in name for part in ("q_proj", "k_proj", "q_norm", "k_norm")):
        return t
    heads = t.reshape(-1, 2, size // 2, *t.shape[1:])
    return heads.transpose(1, 2).reshape(t.shape)


def main() -> None:
    for name, (model_class, config_class, more) in CASES.items():
        torch.manual_seed(7)
        config = config_class(**COMMON, **more)
        model = model_class(config).float().eval()
        for parameter_name, p in model.named_parameters():
            torch.nn.init.normal_(p, 1.0 if "norm" in parameter_name else 0.0, 0.1)
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        tokens = torch.randint(0, 96, (2, 30))
        labels = torch.randint(0, 96, (2, 30))
        logits = model(input_ids=tokens).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        loss.backward()
        out = {"tokens": tokens, "labels": labels, "logits0": logits.detach(), "losses": loss.detach().double().reshape(1)}
        for parameter_name, p in model.named_parameters():
            keep = (lambda t: t) if name == "llama4" else (lambda t: neighbours(parameter_name, t, size))
            out["w0/" + our_name(parameter_name)] = keep(p.detach()).contiguous().clone()
            out["g0/" + our_name(parameter_name)] = keep(p.grad).contiguous().clone()
        save_file(out, GOLDEN / f"hf_{name}_attention.safetensors")
        print(name, sorted(our_name(n) for n, _ in model.named_parameters())[:12], logits.abs().max().item())


if __name__ == "__main__":
    main()
