"""Attention's projections of one input as one matrix product, over the same weights.

Three products of a few hundred rows cost a GPU three times what one of thrice the width does. The
library's own fusing keeps both sets of weights; here the separate ones become rows of the joint
one, so that no memory is added and a LoRA that is merged into them is in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from diffusers.models.attention_processor import (
    Attention,
    AttnProcessor2_0,
    FusedAttnProcessor2_0,
)
from torch import nn


def join_projections(model: nn.Module) -> None:
    """Have every plain attention of `model` project queries, keys and values at once."""
    for attention in _plain(model):
        attention.fuse_projections()
        joint, parts = _parts(attention)
        rows = torch.split(joint.weight, [len(part.weight) for part in parts])
        for part, own in zip(parts, rows, strict=True):
            part.weight.data = own.data
        joint.requires_grad_(False)
        attention.set_processor(FusedAttnProcessor2_0())


def part_projections(model: nn.Module) -> None:
    """Undo `join_projections`, before the weights move: each part would take both along."""
    for attention in model.modules():
        if isinstance(attention, Attention) and attention.fused_projections:
            del attention._modules["to_kv" if attention.is_cross_attention else "to_qkv"]
            attention.fused_projections = False
            attention.set_processor(AttnProcessor2_0())


def _plain(model: nn.Module) -> Iterator[Any]:
    for module in model.modules():
        if (
            isinstance(module, Attention)
            and type(module.processor) is AttnProcessor2_0
            and not module.use_bias
            and module.added_kv_proj_dim is None
        ):
            yield module


def _parts(attention: Any) -> tuple[nn.Linear, tuple[nn.Linear, ...]]:
    if attention.is_cross_attention:
        return attention.to_kv, (attention.to_k, attention.to_v)
    return attention.to_qkv, (attention.to_q, attention.to_k, attention.to_v)
