"""Load an SDXL model once: a folder in the sdxl-turbo layout, or one .safetensors file."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoPipelineForText2Image, StableDiffusionXLPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from bot.engine.noise_schedule import EXIT_BAD_MODEL, NoiseSchedule
from bot.errors import StartupError
from bot.models.tiny import build_tiny

log = logging.getLogger(__name__)

STARTER = Path(__file__).parent / "starter" / "weights"


@dataclass(frozen=True)
class LoadedModel:
    """One set of weights and what the loop over them must know.

    `pipeline` keeps the stock object for whoever wants to compare; both kinds of request draw with
    the parts inside it, so nothing is loaded twice.
    """

    name: str
    pipeline: StableDiffusionXLPipeline
    noise_schedule: NoiseSchedule
    device: torch.device
    dtype: torch.dtype

    @property
    def unet(self) -> Any:
        """The denoiser."""
        return self.pipeline.unet

    @property
    def vae(self) -> Any:
        """The autoencoder between pixels and latents."""
        return self.pipeline.vae

    @property
    def vae_scale_factor(self) -> int:
        """Pixels per latent along each side."""
        return int(self.pipeline.vae_scale_factor)

    @property
    def default_size(self) -> int:
        """The side, in pixels, that the model was made for."""
        return int(self.pipeline.default_sample_size) * self.vae_scale_factor

    @property
    def force_zeros_for_empty_prompt(self) -> bool:
        """Whether an empty negative prompt means zeros instead of the empty text's embeddings."""
        return bool(self.pipeline.config.force_zeros_for_empty_prompt)


def resolve_model(name_or_path: str) -> Path:
    """Return the folder or file of "starter", "tiny", or a path. Raises StartupError if absent."""
    if name_or_path == "tiny":
        return build_tiny()
    path = STARTER if name_or_path == "starter" else Path(name_or_path).expanduser()
    if name_or_path == "starter" and not (path / "model_index.json").is_file():
        log.warning("The starter weights are not installed; the tiny random model stands in.")
        return build_tiny()
    if path.is_file() and path.suffix == ".safetensors":
        return path
    if not (path / "model_index.json").is_file():
        raise StartupError(
            f"No model at {path}: expected a folder with model_index.json in the sdxl-turbo "
            "layout, or one .safetensors file.",
            exit_code=EXIT_BAD_MODEL,
        )
    return path


def default_device() -> torch.device:
    """Return the best device this machine has."""
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def default_dtype(device: torch.device) -> torch.dtype:
    """Return the precision SDXL runs in on `device`: half on accelerators, full on CPUs."""
    return torch.float32 if device.type == "cpu" else torch.float16


def load_model(
    path: Path, *, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> LoadedModel:
    """Load the model at `path` onto `device`, from local safetensors files only.

    Raises StartupError, saying what is wrong with the model, when it is not an SDXL pipeline that
    the engine can run.
    """
    device = device or default_device()
    dtype = dtype or default_dtype(device)
    started = time.perf_counter()
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        pipeline = _read(path, dtype)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise StartupError(
            f"The model at {path} cannot be loaded: {error}", exit_code=EXIT_BAD_MODEL
        ) from error
    model = adopt(pipeline, name=path.stem if path.is_file() else path.name, device=device)
    log.info("Loaded %s on %s in %.1f s", path, device, time.perf_counter() - started)
    return model


def adopt(pipeline: Any, *, name: str, device: torch.device | str) -> LoadedModel:
    """Check a stock pipeline and move it to `device`. Raises StartupError when it will not do."""
    if not isinstance(pipeline, StableDiffusionXLPipeline):
        raise StartupError(
            f"The model is a {type(pipeline).__name__}; expected a StableDiffusionXLPipeline.",
            exit_code=EXIT_BAD_MODEL,
        )
    if pipeline.unet.config.time_cond_proj_dim is not None:
        raise StartupError(
            "The UNet takes guidance as an input (a consistency model); only models guided by a "
            "second, unconditional pass are supported.",
            exit_code=EXIT_BAD_MODEL,
        )
    missing = [
        part
        for part in ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
        if getattr(pipeline, part) is None
    ]
    if missing:
        raise StartupError(
            f"The model lacks {', '.join(missing)}; an SDXL base model has both text encoders.",
            exit_code=EXIT_BAD_MODEL,
        )
    noise_schedule = NoiseSchedule(pipeline.scheduler)
    device = torch.device(device)
    pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2):
        part.requires_grad_(False)
        part.eval()
    return LoadedModel(
        name=name,
        pipeline=pipeline,
        noise_schedule=noise_schedule,
        device=device,
        dtype=pipeline.unet.dtype,
    )


def _read(path: Path, dtype: torch.dtype) -> Any:
    if path.is_file():
        return StableDiffusionXLPipeline.from_single_file(
            str(path), dtype=dtype, local_files_only=True
        )
    # Half precision is published as a variant of its own; a folder without one is cast on loading.
    halves = dtype == torch.float16 and any((path / "unet").glob("*.fp16.safetensors"))
    return AutoPipelineForText2Image.from_pretrained(
        path,
        dtype=dtype,
        variant="fp16" if halves else None,
        use_safetensors=True,
        local_files_only=True,
        add_watermarker=False,
    )
