"""A tiny random SDXL in the sdxl-turbo folder layout: it draws nonsense, fast."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from bot.models.random_weights import Architecture, build_random_pipeline

SEED = 20240229
VERSION = 1
"""Part of the folder's name; raise it when anything here changes the weights."""

TINY = Architecture(
    name="tiny",
    unet={
        "sample_size": 64,
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": (1, 2),
        "transformer_layers_per_block": (1, 1),
        "cross_attention_dim": 64,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + 32,
    },
    vae={
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 4,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (4, 8, 8, 8),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "mid_block_add_attention": False,
        "sample_size": 512,
        "scaling_factor": 0.13025,
    },
    text_encoder={
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "projection_dim": 32,
    },
    text_encoder_2={
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "projection_dim": 32,
        "hidden_act": "gelu",
    },
)


def cache_folder() -> Path:
    """Return where built models are kept: TURBOCORD_CACHE, or the user's cache folder."""
    if chosen := os.environ.get("TURBOCORD_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "turbocord"


def build_tiny(cache: Path | None = None) -> Path:
    """Return the tiny model's folder inside `cache`, building it when it is not there yet."""
    target = (cache or cache_folder()) / f"tiny-v{VERSION}"
    if (target / "model_index.json").exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    # Built beside and renamed, so that two processes starting at once never see half a folder.
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{target.name}-"))
    try:
        build_random_pipeline(TINY, seed=SEED).save_pretrained(scratch)
        try:
            scratch.rename(target)
        except OSError:
            if not (target / "model_index.json").exists():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target
