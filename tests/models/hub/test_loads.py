"""What was fetched is what the engine loads: real weights, the real loader."""

from __future__ import annotations

from pathlib import Path

import torch

from bot.models.catalog_fetch import fetch
from bot.models.loader import load_model
from bot.models.tiny import build_tiny
from tests.models.hub.server import Hub

CATALOGUE = """
[published-tiny]
title = "Tiny"
folder = "someone/tiny"
licence = "mit"
licence_note = ""
steps = 1
max_steps = 4
guidance = 0.0
size = 64
noise_schedule = "EulerDiscreteScheduler"
timestep_spacing = "trailing"
default_variant = "fp16"
[[published-tiny.parts]]
huggingface = "someone/tiny"
revision = "main"
files = ["*.json", "*/*.json"]
variants = { fp16 = ["*/*.fp16.safetensors"] }
"""


def test_a_fetched_folder_is_loaded_with_the_catalogues_noise_schedule(
    hub: Hub, tmp_path: Path
) -> None:
    built = build_tiny(tmp_path / "built")
    hub.repos["someone/tiny"] = {
        file.relative_to(built)
        .as_posix()
        .replace(".safetensors", ".fp16.safetensors"): file.read_bytes()
        for file in built.rglob("*")
        if file.is_file()
    }
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(CATALOGUE)

    folder = fetch("published-tiny", target=tmp_path / "models", endpoint=hub.url, extra=catalog)
    model = load_model(folder, device=torch.device("cpu"), dtype=torch.float16)

    stock = load_model(built, device=torch.device("cpu"), dtype=torch.float16)
    ours, theirs = model.unet.state_dict(), stock.unet.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert type(stock.pipeline.scheduler).__name__ == "EulerAncestralDiscreteScheduler"
    assert type(model.pipeline.scheduler).__name__ == "EulerDiscreteScheduler"
