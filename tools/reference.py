#!/usr/bin/env python3
"""Makes the goldens of model/testdata with PyTorch and Hugging Face's transformers.

  python3 -m venv VENV && VENV/bin/pip install torch transformers
  VENV/bin/python tools/reference.py --update

For each model family a tiny random model is made: two layers, a few thousand weights. Its folder
holds what a Hugging Face directory holds (config.json, model.safetensors), a PEFT adapter whose B
is not zero (adapter/), and what PyTorch computes from them in f32:

  golden.json          token ids; losses of ten AdamW steps, of the adapter and of all weights
  golden.safetensors   logits of every position of prompt + response; log-probs of the response
                       tokens; gradients of the response's mean NLL by the adapter ("lora.NAME");
                       gradients of the whole text's mean NLL by all weights, without the adapter
                       ("full.NAME")

Tests need neither this script nor PyTorch.
"""

import argparse
import json
import math
import pathlib

import torch
import transformers
from safetensors.torch import save_file
from torch.nn import functional

TESTDATA = pathlib.Path(__file__).resolve().parent.parent / "model" / "testdata"

VOCAB = 40
PROMPT_LENGTH = 37  # More than one block of 32 keys.
RESPONSE_LENGTH = 7
STEPS = 10
RANK = 3
ALPHA = 6.0
LORA_OPTIMIZER = dict(lr=2e-2, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
FULL_OPTIMIZER = dict(lr=3e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)

COMMON = dict(vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
              num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
              bos_token_id=1, eos_token_id=2, tie_word_embeddings=False,
              attn_implementation="eager")

# Each family differs from the others in more than its own peculiarity, so that together they reach
# every branch: rope scalings, tied heads, one K/V head, head_dim * heads != hidden.
FAMILIES = {
    "llama": lambda: transformers.LlamaConfig(
        **COMMON, head_dim=8, rms_norm_eps=1e-5,
        rope_parameters=dict(rope_type="llama3", rope_theta=1000.0, factor=4.0,
                             low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=64)),
    "mistral": lambda: transformers.MistralConfig(
        **{**COMMON, "num_key_value_heads": 1}, head_dim=16, sliding_window=None,
        rope_parameters=dict(rope_type="linear", rope_theta=1000.0, factor=2.0)),
    "qwen2": lambda: transformers.Qwen2Config(
        **{**COMMON, "num_attention_heads": 2, "num_key_value_heads": 1,
           "tie_word_embeddings": True}, use_sliding_window=False,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
    "qwen3": lambda: transformers.Qwen3Config(
        **COMMON, head_dim=8, use_sliding_window=False,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
}

TARGETS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
           "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]


class LoraLinear(torch.nn.Module):
    """y = base(x) + scale * (x A^T) B^T."""

    def __init__(self, base, generator):
        super().__init__()
        self.base = base
        self.A = torch.nn.Parameter(
            torch.randn(RANK, base.in_features, generator=generator) / math.sqrt(RANK))
        self.B = torch.nn.Parameter(
            torch.randn(base.out_features, RANK, generator=generator) * 0.05)

    def forward(self, x):
        return self.base(x) + (ALPHA / RANK) * ((x @ self.A.T) @ self.B.T)


def make_model(family, generator):
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(FAMILIES[family]()).float().train()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if name.endswith("norm.weight"):
                weight.copy_(1.0 + 0.2 * noise)
            elif name.endswith("bias"):
                weight.copy_(0.3 * noise)
            elif "embed" in name or "lm_head" in name:
                weight.copy_(0.5 * noise)
            else:
                weight.copy_(noise / math.sqrt(weight.shape[1]))
    return model


def add_adapter(model, generator):
    """Wraps every target linear; returns the adapter's parameters by their PEFT names."""
    parameters = {}
    for index, layer in enumerate(model.model.layers):
        for target in TARGETS:
            block, linear = target.split(".")
            wrapped = LoraLinear(getattr(getattr(layer, block), linear), generator)
            setattr(getattr(layer, block), linear, wrapped)
            name = f"base_model.model.model.layers.{index}.{target}"
            parameters[f"{name}.lora_A.weight"] = wrapped.A
            parameters[f"{name}.lora_B.weight"] = wrapped.B
    return parameters


def save_adapter(directory, parameters):
    directory.mkdir(exist_ok=True)
    config = dict(peft_type="LORA", task_type="CAUSAL_LM", base_model_name_or_path="tiny",
                  r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, bias="none", fan_in_fan_out=False,
                  target_modules=[target.split(".")[1] for target in TARGETS])
    (directory / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file(tensors(parameters), directory / "adapter_model.safetensors",
              metadata={"format": "pt"})


def tensors(named):
    return {name: t.detach().clone().contiguous() for name, t in named.items()}


def log_probs(model, ids, first):
    """log pi(ids[t] | ids[:t]) for t >= first."""
    logits = model(ids[None]).logits[0]
    return functional.log_softmax(logits[first - 1:-1], dim=-1).gather(
        1, ids[first:, None]).squeeze(1), logits


def train(model, parameters, ids, first, options):
    """Ten AdamW steps on the mean NLL of ids[first:]: the loss before each."""
    optimizer = torch.optim.AdamW(parameters, **options)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = -log_probs(model, ids, first)[0].mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def update(family, seed):
    generator = torch.Generator().manual_seed(seed)
    model = make_model(family, generator)
    directory = TESTDATA / family
    directory.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)
    base = {name: t.detach().clone() for name, t in model.named_parameters()}
    ids = torch.randint(3, VOCAB, (PROMPT_LENGTH + RESPONSE_LENGTH,), generator=generator)

    (-log_probs(model, ids, 1)[0].mean()).backward()
    golden = {f"full.{name}": weight.grad for name, weight in model.named_parameters()}
    golden = tensors(golden)
    full_losses = train(model, model.parameters(), ids, 1, FULL_OPTIMIZER)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(base[name])

    adapter = add_adapter(model, generator)
    save_adapter(directory / "adapter", adapter)
    model.zero_grad()
    response, logits = log_probs(model, ids, PROMPT_LENGTH)
    (-response.mean()).backward()
    golden.update(tensors({f"lora.{name}": weight.grad for name, weight in adapter.items()}))
    golden.update(tensors({"logits": logits, "log_probs": response[None]}))
    save_file(golden, directory / "golden.safetensors")
    lora_losses = train(model, adapter.values(), ids, PROMPT_LENGTH, LORA_OPTIMIZER)
    (directory / "golden.json").write_text(json.dumps(dict(
        made_by=f"torch {torch.__version__}, transformers {transformers.__version__}",
        ids=ids.tolist(), prompt_length=PROMPT_LENGTH,
        lora_optimizer=LORA_OPTIMIZER, lora_losses=lora_losses,
        full_optimizer=FULL_OPTIMIZER, full_losses=full_losses), indent=1) + "\n")
    print(f"{family}: adapter loss {lora_losses[0]:.4f} -> {lora_losses[-1]:.4f}, "
          f"all weights {full_losses[0]:.4f} -> {full_losses[-1]:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", required=True,
                        help="write model/testdata anew")
    parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for seed, family in enumerate(FAMILIES):
        update(family, seed + 1)


if __name__ == "__main__":
    main()
