"""Put trained parts together as a folder in the sdxl-turbo layout, or take them out of one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline

from bot.models.starter.autoencoder import build_autoencoder
from bot.models.starter.text import build_text_encoders
from bot.models.starter.tokens import load_tokenizers
from bot.models.starter.unet import build_noise_scheduler, build_unet


def assemble(training: Path) -> Any:
    """Return a StableDiffusionXLPipeline, in fp32, of the parts under the training folder.

    Reads `tokenizer`, `tokenizer_2`, `text.pt`, `vae.pt` and `unet.pt`. Raises FileNotFoundError
    where one is missing.
    """
    tokenizer, tokenizer_2 = load_tokenizers(training)
    encoders = build_text_encoders(tokenizer, tokenizer_2, seed=0)
    encoders.load_state_dict(_read(training / "text.pt")["encoders"])
    vae = build_autoencoder()
    vae.load_state_dict(_read(training / "vae.pt")["vae"])
    unet = build_unet()
    unet.load_state_dict(_read(training / "unet.pt")["averaged"])
    parts = (*encoders, vae, unet)
    for part in parts:
        part.eval().requires_grad_(False).to(memory_format=torch.contiguous_format)
    return StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=encoders[0],
        text_encoder_2=encoders[1],
        tokenizer=tokenizer,
        tokenizer_2=tokenizer_2,
        unet=unet,
        scheduler=build_noise_scheduler(),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def export(training: Path, folder: Path) -> int:
    """Write the pipeline to `folder` in fp16, replacing it whole; return its size in bytes.

    The files carry no variant in their names: a device that wants fp32 casts on loading.
    """
    pipeline = assemble(training).to(torch.float16)
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    pipeline.save_pretrained(fresh, safe_serialization=True)
    for path in fresh.rglob("*.json"):
        _anonymise(path)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.replace(folder)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def unpack(folder: Path, training: Path) -> None:
    """Write the parts of a model folder to a training folder, so that training can go on from it.

    Weights are what they were exported as, in fp32; optimizers begin anew. Raises OSError where
    `folder` is no model folder.
    """
    pipeline = StableDiffusionXLPipeline.from_pretrained(folder, dtype=torch.float32)
    for name in ("tokenizer", "tokenizer_2"):
        shutil.copytree(folder / name, training / name, dirs_exist_ok=True)
    encoders = torch.nn.ModuleList([pipeline.text_encoder, pipeline.text_encoder_2])
    unet = pipeline.unet.state_dict()
    torch.save({"encoders": encoders.state_dict()}, training / "text.pt")
    torch.save({"vae": pipeline.vae.state_dict()}, training / "vae.pt")
    begun = {"unet": unet, "averaged": unet, "optimizers": [], "steps": 0, "seen": 0}
    torch.save(begun, training / "unet.pt")


def _anonymise(path: Path) -> None:
    """Drop the name of the folder that a part was loaded from."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content, dict) and content.pop("_name_or_path", None) is not None:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
