"""A small StableDiffusionSafetyChecker that flags red, and an engine that draws colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from transformers import CLIPConfig

from bot.engine.null import NullPipeline
from bot.engine.safety_model import SafetyModel
from bot.engine.scheduler import BatchScheduler
from bot.request import Draw, Pixels

RED = (220, 20, 20)
BLUE = (20, 20, 220)

COLOURS = {"red": RED, "blue": BLUE, "green": (20, 160, 20), "grey": (128, 128, 128)}

VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (64, 64)) -> Image.Image:
    """Return a picture of one colour."""
    return Image.new("RGB", size, colour)


def build_checker(folder: Path) -> Path:
    """Write a checker with random weights, whose first concept is "a red picture".

    Its threshold lies half-way between red and the nearest other colour; the other sixteen
    concepts and the three special ones have thresholds that nothing reaches.
    """
    torch.manual_seed(3)
    config = CLIPConfig(vision_config=VISION, projection_dim=24)
    model = StableDiffusionSafetyChecker(config)
    with torch.no_grad():
        for weights in model.parameters():
            # Weights as small as they are initialised make all pictures alike.
            weights.normal_(std=0.3)
        for name in ("concept_embeds", "special_care_embeds"):
            getattr(model, name).zero_()[:, 0] = 1.0
            getattr(model, f"{name}_weights").fill_(2.0)
    model.save_pretrained(folder, safe_serialization=True)
    others = [colour for name, colour in COLOURS.items() if name != "red"]
    red, *rest = embeddings(folder, [plain(colour) for colour in (RED, *others)])
    nearest = max(float(torch.dot(red, one)) for one in rest)
    assert nearest < 0.98, "the colours look alike to these weights"
    with torch.no_grad():
        model.concept_embeds[0] = red
        model.concept_embeds_weights[0] = (1.0 + nearest) / 2
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def embeddings(folder: Path, pictures: Sequence[Image.Image]) -> list[torch.Tensor]:
    """Return the pictures' CLIP embeddings, each of length 1, as the checker at `folder` sees."""
    checker = SafetyModel(folder, device="cpu")
    batch = torch.from_numpy(
        np.stack([checker._normalised(one.resize((32, 32))) for one in pictures])
    )
    with torch.no_grad():
        pooled = checker._model.vision_model(batch)[1]
        projected = checker._model.visual_projection(pooled)
    return list(torch.nn.functional.normalize(projected))


class ColourPipeline(NullPipeline):
    """Draws the colour its prompt names; with several, the picture's seed chooses in turn."""

    def redo(self, draw: Draw) -> Pixels:
        """Return a picture of one colour, with a grain by the seed."""
        named = [COLOURS[word] for word in draw.prompt.split() if word in COLOURS]
        colour = named[draw.seed % len(named)] if named else COLOURS["grey"]
        pixels: Pixels = np.full((draw.height, draw.width, 3), colour, np.uint8)
        return pixels


def colour_scheduler(**options: float) -> BatchScheduler:
    """Return an engine that draws plain colours; options are NullPipeline's."""
    return BatchScheduler([lambda: ColourPipeline(**options)])
