"""Write a diffusers pipeline as one file with the published SDXL checkpoints' names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

UNET = "model.diffusion_model."
VAE = "first_stage_model."
CLIP = "conditioner.embedders.0.transformer.text_model."
OPEN_CLIP = "conditioner.embedders.1.model."

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
UNET_LAYERS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
VAE_PARTS = {
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
}
OPEN_CLIP_LAYERS = {
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}
OPEN_CLIP_PARTS = {
    "encoder.layers.": "transformer.resblocks.",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def save_single_file(pipeline: Any, path: Path) -> None:
    """Write all weights of `pipeline` to `path`."""
    tensors = {UNET + unet_name(name, pipeline.unet): t for name, t in _weights(pipeline.unet)}
    tensors |= {VAE + _vae(name, pipeline.vae): t for name, t in _weights(pipeline.vae)}
    for name, tensor in _weights(pipeline.text_encoder):
        tensors[CLIP + name.removeprefix("text_model.")] = tensor
    tensors |= _open_clip(dict(_weights(pipeline.text_encoder_2)))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def _weights(part: torch.nn.Module) -> Iterable[tuple[str, torch.Tensor]]:
    return [(name, t) for name, t in part.state_dict().items() if "position_ids" not in name]


def unet_name(name: str, unet: Any) -> str:
    """Return the published name of one of the UNet's weights."""
    each = unet.config.layers_per_block + 1
    for ours, theirs in UNET_LAYERS.items():
        if name.startswith(ours + "."):
            return name.replace(ours, theirs)
    if match := re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", name):
        kind, number, rest = match.groups()
        place = 1 if kind == "attentions" else 2 * int(number)
        return f"middle_block.{place}.{_resnet(rest)}"
    match = re.match(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.*)", name)
    assert match, name
    way, block, kind, number, rest = match.groups()
    if kind == "downsamplers":
        return f"input_blocks.{each * (int(block) + 1)}.0.{rest.replace('conv', 'op')}"
    if kind == "upsamplers":
        attentive = hasattr(unet.up_blocks[int(block)], "attentions")
        return f"output_blocks.{each * (int(block) + 1) - 1}.{1 + attentive}.{rest}"
    place = each * int(block) + int(number) + (way == "down")
    inner = _resnet(rest) if kind == "resnets" else rest
    blocks = "input_blocks" if way == "down" else "output_blocks"
    return f"{blocks}.{place}.{int(kind == 'attentions')}.{inner}"


def _resnet(rest: str) -> str:
    layer, _, parameter = rest.partition(".")
    return f"{RESNET[layer]}.{parameter}" if layer in RESNET else rest


def _vae(name: str, vae: Any) -> str:
    last = len(vae.config.block_out_channels) - 1
    for ours, theirs in VAE_PARTS.items():
        name = name.replace(ours, theirs)
    name = re.sub(r"down_blocks\.(\d)\.resnets\.", r"down.\1.block.", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0\.", r"down.\1.downsample.", name)
    name = re.sub(r"up_blocks\.(\d)", lambda match: f"up.{last - int(match[1])}", name)
    return name.replace(".resnets.", ".block.").replace(".upsamplers.0.", ".upsample.")


def _open_clip(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        short = name.removeprefix("text_model.")
        if short == "text_projection.weight":
            found[OPEN_CLIP + "text_projection"] = tensor.T
        elif short in OPEN_CLIP_LAYERS:
            found[OPEN_CLIP + OPEN_CLIP_LAYERS[short]] = tensor
        elif ".q_proj." in short:
            three = [weights[name.replace("q_proj", f"{each}_proj")] for each in "qkv"]
            layer, _, kind = short.partition(".self_attn.q_proj.")
            layer = layer.replace("encoder.layers.", "transformer.resblocks.")
            found[f"{OPEN_CLIP}{layer}.attn.in_proj_{kind}"] = torch.cat(three)
        elif not re.search(r"\.[kv]_proj\.", short):
            for ours, theirs in OPEN_CLIP_PARTS.items():
                short = short.replace(ours, theirs)
            found[OPEN_CLIP + short] = tensor
    return found
