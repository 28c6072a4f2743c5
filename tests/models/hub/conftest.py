from __future__ import annotations

import json
import random
from collections.abc import Iterator

import numpy as np
import pytest
from safetensors.numpy import save

from tests.models.hub.server import Hub, running

TURBO = "stabilityai/sdxl-turbo"
TURBO_MODELSCOPE = "AI-ModelScope/sdxl-turbo"
UNET = "unet/diffusion_pytorch_model.fp16.safetensors"
UNET_SIZE = 3_000_000


def weights(seed: int, size: int) -> bytes:
    """Return a safetensors file of about `size` bytes that no other seed gives."""
    data = np.frombuffer(random.Random(seed).randbytes(size), dtype=np.uint8)
    return bytes(save({"weight": data}))


def sdxl_folder() -> dict[str, bytes]:
    """Return a repository with every file the published one has, small, and some never wanted."""
    parts = ("text_encoder", "text_encoder_2", "unet", "vae")
    index = {name: ["diffusers", "Kind"] for name in (*parts, "tokenizer", "tokenizer_2")}
    scheduler = {
        "_class_name": "EulerAncestralDiscreteScheduler",
        "timestep_spacing": "trailing",
        "prediction_type": "epsilon",
    }
    files = {
        "model_index.json": json.dumps({**index, "scheduler": ["diffusers", "Euler"]}).encode(),
        "scheduler/scheduler_config.json": json.dumps(scheduler).encode(),
        "LICENSE.md": b"the licence",
        "README.md": b"the card",
        "vae_decoder/model.onnx": b"onnx",
        "sd_xl_turbo_1.0_fp16.safetensors": weights(1, 2000),
        "sd_xl_turbo_1.0.safetensors": weights(2, 4000),
    }
    for number, part in enumerate(parts):
        stem = "model" if part.startswith("text") else "diffusion_pytorch_model"
        size = UNET_SIZE if part == "unet" else 10_000
        files[f"{part}/config.json"] = json.dumps({"part": part}).encode()
        files[f"{part}/{stem}.fp16.safetensors"] = weights(10 + number, size)
        files[f"{part}/{stem}.safetensors"] = weights(20 + number, 2000)
        files[f"{part}/{stem}.bin"] = b"\x80\x04pickle"
    for part in ("tokenizer", "tokenizer_2"):
        for name in (
            "merges.txt",
            "special_tokens_map.json",
            "tokenizer_config.json",
            "vocab.json",
        ):
            files[f"{part}/{name}"] = f"{part} {name}".encode()
    return files


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own token and folders out of the tests."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "TURBOCORD_MODELS_DIR", "MODELSCOPE_DOMAIN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub with SDXL Turbo on it, under the ids of both hubs."""
    files = sdxl_folder()
    hub = Hub(
        repos={TURBO: files, TURBO_MODELSCOPE: dict(files)},
        revisions={TURBO: "71153311d3dbb46851df1931d3ca6e939de83304"},
    )
    with running(hub):
        yield hub
