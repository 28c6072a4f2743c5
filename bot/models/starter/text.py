"""The two text encoders, taught to read a scene's attributes off a prompt, then frozen.

The second encoder's pooled embedding *is* the attributes: colours as RGB, the rest as one-hot
groups. Words are then the encoders' whole task, and the UNet only learns to draw.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from bot.models.starter import vocabulary as words
from bot.models.starter.grammar import Scene, Scope, caption, remix, sample_scene
from bot.models.starter.tokens import CONTEXT, load_tokenizers

_KINDS = list(words.KINDS)
ATTRIBUTES = 9 + 2 * len(_KINDS) + len(words.COUNTS) + len(words.RELATIONS) + 16
"""Length of the attribute vector: colours 9, kinds, count, relation, size 3, place 5, time 3,
style 5."""
HIDDEN = (64, 128)
"""Widths of the two encoders; the UNet attends to both side by side."""


def attributes(scene: Scene) -> list[float]:
    """Return the scene as numbers, (ATTRIBUTES,): 0 where a group does not apply."""
    vector: list[float] = []
    plain = scene.place == "plain"
    background = words.COLOURS[scene.background] if scene.background else words.PAPER
    if not scene.things and not scene.background:
        plain = False  # Nothing is said of a ground: a remix keeps its source's.
    colours = [background if plain else None]
    colours += [words.COLOURS[thing.colour] for thing in scene.things]
    for colour in [*colours, None, None][:3]:
        vector += [2 * value - 1 for value in colour] if colour else [0.0, 0.0, 0.0]
    for i in range(2):
        kind = scene.things[i].kind if i < len(scene.things) else None
        vector += [float(kind == name) for name in _KINDS]
    vector += [float(scene.count == number) for number in words.COUNTS]
    vector += [float(scene.relation == name) for name in words.RELATIONS]
    vector += [float(scene.size == name) for name in words.SIZES]
    vector += [float(scene.place == name) for name in words.PLACES]
    vector += [float(scene.time == name and scene.place != "plain") for name in words.TIMES]
    vector += [float(scene.style == name) for name in words.STYLES]
    return vector


def build_text_encoders(tokenizer: Any, tokenizer_2: Any, *, seed: int) -> nn.ModuleList:
    """Return both encoders, untrained."""
    encoders = nn.ModuleList()
    for width, own, kind in (
        (HIDDEN[0], tokenizer, CLIPTextModel),
        (HIDDEN[1], tokenizer_2, CLIPTextModelWithProjection),
    ):
        config = CLIPTextConfig(
            vocab_size=len(own),
            hidden_size=width,
            intermediate_size=4 * width,
            num_attention_heads=4,
            num_hidden_layers=3,
            max_position_embeddings=CONTEXT,
            projection_dim=ATTRIBUTES if kind is CLIPTextModelWithProjection else width,
            hidden_act="gelu",
            bos_token_id=own.bos_token_id,
            eos_token_id=own.eos_token_id,
            pad_token_id=own.pad_token_id,
        )
        encoders.append(kind(config))
    generator = torch.Generator().manual_seed(seed)
    # CLIP's own 0.02 leaves words nearly alike, and small encoders then learn slowly.
    for module in encoders.modules():
        if isinstance(module, nn.Embedding):
            std = 0.5 if module.num_embeddings > CONTEXT else 0.15
            nn.init.normal_(module.weight, std=std, generator=generator)
    return encoders


def encode(encoders: nn.ModuleList, ids: torch.Tensor, ids_2: torch.Tensor) -> Any:
    """Return what SDXL reads: penultimate states (n, length, 192), pooled (n, ATTRIBUTES)."""
    first = encoders[0](ids, output_hidden_states=True).hidden_states[-2]
    second = encoders[1](ids_2, output_hidden_states=True)
    return torch.cat((first, second.hidden_states[-2]), dim=-1), second.text_embeds


class Prompts:
    """Captions to token ids, both tokenizers at once."""

    def __init__(self, folder: Path) -> None:
        self.tokenizers = load_tokenizers(folder)

    def __call__(self, captions: list[str], *, full: bool = True) -> list[torch.Tensor]:
        """Return the two id tensors (n, length); `full` pads to the context as pipelines do."""
        length: dict[str, Any] = {"padding": "max_length" if full else "longest"}
        return [
            tokenizer(
                captions, max_length=CONTEXT, truncation=True, return_tensors="pt", **length
            ).input_ids
            for tokenizer in self.tokenizers
        ]


class TextTrainer:
    """Teaches the encoders by regression; every prompt is new."""

    def __init__(self, folder: Path, scope: Scope, *, seed: int, device: torch.device) -> None:
        self.prompts = Prompts(folder)
        self.scope = scope
        self.device = device
        self.rng = random.Random(seed)
        self.encoders = build_text_encoders(*self.prompts.tokenizers, seed=seed).to(device)
        # Readers of the states that cross-attention sees, so that those carry the scene as well.
        self.readers = nn.ModuleList(nn.Linear(width, ATTRIBUTES) for width in HIDDEN).to(device)
        parameters = [*self.encoders.parameters(), *self.readers.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=2e-3, betas=(0.9, 0.98), weight_decay=0.0)

    def batch(self, size: int) -> tuple[list[str], torch.Tensor]:
        """Return captions and their attributes (size, ATTRIBUTES)."""
        scenes = [sample_scene(self.rng, self.scope) for _ in range(size)]
        mixed = [
            remix(scene, sample_scene(self.rng, self.scope)) if self.rng.random() < 0.2 else scene
            for scene in scenes
        ]
        rows = torch.tensor([attributes(scene) for scene in mixed], device=self.device)
        return [caption(scene, self.rng) for scene in mixed], rows

    def step(self, size: int, rate: float) -> dict[str, float]:
        """Take one optimizer step; return the loss and the share of prompts read rightly."""
        captions, wanted = self.batch(size)
        ids, ids_2 = (part.to(self.device) for part in self.prompts(captions, full=False))
        states, pooled = encode(self.encoders, ids, ids_2)
        ends = (ids == self.prompts.tokenizers[0].eos_token_id).int().argmax(dim=1)
        last = states[torch.arange(size, device=self.device), ends].split(HIDDEN, dim=-1)
        loss = (pooled - wanted).square().mean()
        for reader, state in zip(self.readers, last, strict=True):
            loss = loss + 0.3 * (reader(state) - wanted).square().mean()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.encoders.parameters(), 1.0)
        self.optimizer.step()
        right = ((pooled - wanted).abs().amax(dim=1) < 0.4).float().mean()
        return {"loss": loss.item(), "right": right.item()}
