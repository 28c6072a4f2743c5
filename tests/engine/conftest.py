"""The tiny model, built once per run in a folder of the tests' own, and pictures to start from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
from PIL import Image

from bot.engine.pipeline import TurboPipeline
from bot.models.loader import LoadedModel, load_model
from bot.models.tiny import build_tiny
from bot.request import Draw, Pixels

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def tiny_model(tiny_folder: Path) -> LoadedModel:
    return load_model(tiny_folder, device=torch.device("cpu"))


@pytest.fixture
def pipeline(tiny_model: LoadedModel) -> TurboPipeline:
    return TurboPipeline(tiny_model)


@pytest.fixture(scope="session")
def stock(tiny_folder: Path) -> StockPipelines:
    return StockPipelines(tiny_folder)


class StockPipelines:
    """diffusers' own two pipelines, loaded apart from ours, one picture a call."""

    def __init__(self, folder: Path) -> None:
        self.text = StableDiffusionXLPipeline.from_pretrained(folder)
        self.image = StableDiffusionXLImg2ImgPipeline.from_pretrained(folder)
        for each in (self.text, self.image):
            each.set_progress_bar_config(disable=True)

    def draw(self, draw: Draw, output_type: str = "pil") -> Any:
        options: dict[str, Any] = {
            "prompt": draw.prompt,
            "negative_prompt": draw.negative_prompt or None,
            "num_inference_steps": draw.num_inference_steps,
            "guidance_scale": draw.guidance_scale,
            "generator": torch.Generator("cpu").manual_seed(draw.seed),
            "output_type": output_type,
        }
        if draw.sources:
            return self.image(image=draw.sources[0], strength=draw.strength, **options).images[0]
        return self.text(width=draw.width, height=draw.height, **options).images[0]


def run_alone(pipeline: TurboPipeline, draw: Draw) -> tuple[torch.Tensor, Pixels]:
    """Draw one picture; return its last latents (c, h, w) and its pixels."""
    (sample,) = pipeline.start([draw])
    while sample.steps_left:
        pipeline.step([sample])
    (pixels,) = pipeline.decode([sample]).collect()
    assert pixels is not None
    return sample.latents[0], pixels


@pytest.fixture
def alone(pipeline: TurboPipeline) -> Callable[[Draw], tuple[torch.Tensor, Pixels]]:
    return lambda draw: run_alone(pipeline, draw)


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """A smooth coloured picture with an edge, 128×128."""
    return make_photo(128, 128, 0)


def make_photo(width: int, height: int, turn: int) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    planes = np.stack([x, y, (x + y) / 2], axis=-1)
    planes = np.roll(planes, turn, axis=-1) * 255
    planes[height // 4 : height // 2, width // 4 : width // 2] = (250, 240, 10)
    return Image.fromarray(planes.astype(np.uint8))
