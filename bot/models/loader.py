"""Load an SDXL model once: a folder in the sdxl-turbo layout, or one .safetensors file."""

from __future__ import annotations

import copy
import gc
import logging
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderTiny, AutoPipelineForText2Image, StableDiffusionXLPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from bot import exit_codes
from bot.engine.cpu import keep_freed_memory, prefer_channels_last
from bot.engine.cpu_autoencoder import make_lean
from bot.engine.lora import LoraMerger
from bot.engine.noise_schedule import NoiseSchedule
from bot.engine.projections import part_projections
from bot.errors import StartupError
from bot.models.catalog import entry_of, installed_path
from bot.models.single_file import configuration_advice, find_configuration
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
    unet: Any
    vae: Any
    device: torch.device
    merger: LoraMerger

    @property
    def dtype(self) -> torch.dtype:
        """The precision the UNet runs in."""
        dtype: torch.dtype = self.unet.dtype
        return dtype

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

    @property
    def nbytes(self) -> int:
        """The memory that the weights take, in bytes."""
        weights = (weight for part in self._parts for weight in part.parameters())
        # Projections that were joined are weights of two layers each.
        storages = (weight.untyped_storage() for weight in weights)
        return sum({each._cdata: each.nbytes() for each in storages}.values())

    def leave_device(self) -> None:
        """Move the weights to host memory, to wait there."""
        for part in self._parts:
            part.to("cpu")

    def enter_device(self) -> None:
        """Move the weights back to the model's device."""
        for part in self._parts:
            part.to(self.device)

    def discard(self) -> None:
        """Release the weights' memory at once, whoever still has the model: it draws no more."""
        release(*self._parts)

    @property
    def _parts(self) -> list[Any]:
        stock = self.pipeline
        parts = (self.unet, self.vae, stock.vae, stock.text_encoder, stock.text_encoder_2)
        return list({id(part): part for part in parts}.values())

    def in_full_precision(self) -> LoadedModel:
        """Return a copy whose UNet and autoencoder are fp32, for one picture.

        Only these two are its own, to be released; the rest is this model's.
        """
        unet = copy.deepcopy(self.unet)
        part_projections(unet)
        return replace(
            self,
            unet=unet.float(),
            vae=copy.deepcopy(self.pipeline.vae).float(),
        )


def resolve_model(
    name_or_path: str,
    *,
    cache: Path | None = None,
    root: Path | None = None,
    extra: Path | None = None,
) -> Path:
    """Return the folder or file of "starter", "tiny", a fetched model's name, or a path.

    Raises StartupError if there is none.

    `cache` is where the tiny model is built; the user's cache folder by default. `root` is where
    fetched models are kept, `models_root()` by default, and `extra` an operator's own catalogue.
    """
    if name_or_path == "tiny":
        return build_tiny(cache)
    fetched = installed_path(name_or_path, root, extra=extra)
    path = STARTER if name_or_path == "starter" else fetched or Path(name_or_path).expanduser()
    if name_or_path == "starter" and not (path / "model_index.json").is_file():
        log.warning("The starter weights are not installed; the tiny random model stands in.")
        return build_tiny(cache)
    if path.is_file() and path.suffix == ".safetensors":
        return path
    if not (path / "model_index.json").is_file():
        raise StartupError(
            f"No model at {path}: expected a folder with model_index.json in the sdxl-turbo "
            "layout, or one .safetensors file. `turbocord model fetch` gets one.",
            exit_code=exit_codes.MODEL,
        )
    return path


def default_device() -> torch.device:
    """Return the best device this machine has."""
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def release(*parts: Any) -> None:
    """Release the memory of the parts' weights at once; they compute no more."""
    # Modules refer to each other in circles, and what is loaded when the bot starts is frozen: the
    # garbage collector comes to the former late and to the latter never.
    for part in parts:
        part.to("meta")


def free_device_memory() -> None:
    """Hand memory that nothing uses any more back to the accelerator."""
    # Modules and their hooks refer to each other in circles.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def default_dtype(device: torch.device) -> torch.dtype:
    """Return the precision SDXL runs in on `device`: half on accelerators, full on CPUs."""
    return torch.float32 if device.type == "cpu" else torch.float16


def load_model(
    path: Path,
    *,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    vae: str = "auto",
    extra: Path | None = None,
) -> LoadedModel:
    """Load the model at `path` onto `device`, from local safetensors files only.

    `vae` is how pixels are made: "auto" never casts between precisions (bf16 or fp32 where the
    autoencoder overflows in fp16), "fp32" is always exact, "tiny" uses the folder `vae_tiny`
    beside the model's own. `extra` is an operator's own catalogue, which may know the noise
    schedule of a single file. Raises StartupError, saying what is wrong, when it is not an SDXL
    pipeline that the engine can run.
    """
    device = device or default_device()
    dtype = dtype or default_dtype(device)
    started = time.perf_counter()
    diffusers_logging.disable_progress_bar()
    # The loader reports shapes and progress of its own accord; what goes wrong is raised.
    transformers_logging.disable_progress_bar()
    try:
        pipeline = _read(path, dtype, extra)
    except StartupError:
        raise
    except Exception as error:
        # Whatever the libraries trip over in somebody's files, it is the model that is at fault.
        raise StartupError(
            f"The model at {path} cannot be loaded: {error}", exit_code=exit_codes.MODEL
        ) from error
    tiny = _read_tiny_vae(path, dtype) if vae == "tiny" else None
    if pipeline.unet.dtype != dtype:
        # Older releases of diffusers do not know the argument and load what is in the file.
        pipeline.to(dtype=dtype)
    name = path.parent.name if path == STARTER else path.stem if path.is_file() else path.name
    model = adopt(pipeline, name=name, device=device, vae=vae, tiny_vae=tiny)
    log.info("Loaded %s on %s in %.1f s", path, device, time.perf_counter() - started)
    return model


def adopt(
    pipeline: Any,
    *,
    name: str,
    device: torch.device | str,
    vae: str = "auto",
    tiny_vae: Any = None,
) -> LoadedModel:
    """Check a stock pipeline and move it to `device`. Raises StartupError when it will not do."""
    if not isinstance(pipeline, StableDiffusionXLPipeline):
        raise StartupError(
            f"The model is a {type(pipeline).__name__}; expected a StableDiffusionXLPipeline.",
            exit_code=exit_codes.MODEL,
        )
    if pipeline.unet.config.time_cond_proj_dim is not None:
        raise StartupError(
            "The UNet takes guidance as an input (a consistency model); only models guided by a "
            "second, unconditional pass are supported.",
            exit_code=exit_codes.MODEL,
        )
    missing = [
        part
        for part in ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
        if getattr(pipeline, part) is None
    ]
    if missing:
        raise StartupError(
            f"The model lacks {', '.join(missing)}; an SDXL base model has both text encoders.",
            exit_code=exit_codes.MODEL,
        )
    noise_schedule = NoiseSchedule(pipeline.scheduler)
    device = torch.device(device)
    pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    autoencoder = tiny_vae.to(device) if tiny_vae is not None else pipeline.vae
    if autoencoder.dtype != (wanted := vae_dtype(autoencoder, device, vae)):
        autoencoder.to(wanted)
    for part in (pipeline.unet, autoencoder, pipeline.text_encoder, pipeline.text_encoder_2):
        part.requires_grad_(False)
        part.eval()
    if device.type == "cpu":
        keep_freed_memory()
        prefer_channels_last(pipeline.unet, autoencoder)
        make_lean(autoencoder)
    return LoadedModel(
        name=name,
        pipeline=pipeline,
        noise_schedule=noise_schedule,
        unet=pipeline.unet,
        vae=autoencoder,
        device=device,
        merger=LoraMerger(pipeline),
    )


def vae_dtype(vae: Any, device: torch.device, policy: str) -> torch.dtype:
    """Return the one precision that an autoencoder is kept in.

    The published SDXL autoencoder overflows in fp16 and says so (`force_upcast`); the stock
    pipelines then cast it to fp32 and back for every picture.
    """
    dtype: torch.dtype = vae.dtype
    if policy == "tiny":
        return dtype
    if policy == "fp32":
        return torch.float32
    if dtype == torch.float16 and vae.config.force_upcast:
        bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if bf16 else torch.float32
    return dtype


READING = threading.Lock()
"""Held while the libraries read a model: they change the process's default dtype, and how modules
take parameters, and two at once put each other's changes back."""


def _read_tiny_vae(path: Path, dtype: torch.dtype) -> AutoencoderTiny:
    folder = (path.parent if path.is_file() else path) / "vae_tiny"
    try:
        with READING:
            return AutoencoderTiny.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, local_files_only=True
            )
    except (OSError, ValueError) as error:
        raise StartupError(
            f"The tiny autoencoder was asked for, but {folder} cannot be loaded: {error}",
            exit_code=exit_codes.MODEL,
        ) from error


def _read(path: Path, dtype: torch.dtype, extra: Path | None) -> Any:
    if path.is_file():
        # Told no configuration, the library would fetch one, whatever `local_files_only` says.
        config = find_configuration(path)
        if config is None:
            raise StartupError(
                f"The model at {path} cannot be loaded: one file has no configuration or "
                "tokenizers, and there are none beside it or in the local Hugging Face cache. "
                f"{configuration_advice(path)}",
                exit_code=exit_codes.MODEL,
            )
        with READING:
            pipeline = StableDiffusionXLPipeline.from_single_file(
                str(path), dtype=dtype, config=str(config), local_files_only=True
            )
        _set_noise_schedule(pipeline, path, extra)
        return pipeline
    # Half precision is published as a variant of its own; a folder without one is cast on loading.
    halves = dtype == torch.float16 and any((path / "unet").glob("*.fp16.safetensors"))
    with READING:
        return AutoPipelineForText2Image.from_pretrained(
            path,
            dtype=dtype,
            variant="fp16" if halves else None,
            use_safetensors=True,
            local_files_only=True,
            add_watermarker=False,
        )


def _set_noise_schedule(pipeline: Any, path: Path, extra: Path | None) -> None:
    """Give a single file of the catalogue the noise schedule that its weights were distilled for.

    The file does not say it, and what stands in is the base model's, with which a few-step model
    draws a haze.
    """
    entry = entry_of(path, extra=extra)
    if entry is None:
        return
    kind = getattr(diffusers, entry.noise_schedule)
    spacing = entry.timestep_spacing
    pipeline.scheduler = kind.from_config(pipeline.scheduler.config, timestep_spacing=spacing)
    log.info("%s is the catalogue's %s: %s, %s", path.name, entry.name, kind.__name__, spacing)
