"""Which pictures are not for everyone: diffusers' StableDiffusionSafetyChecker on CLIP features.

It compares a picture's CLIP embedding with seventeen concepts of sexual content, each with a
threshold of its own; the concepts are stored as embeddings, so nothing tells which one it was.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from transformers.utils import logging as transformers_logging

from bot import exit_codes
from bot.errors import StartupError
from bot.models.loader import READING
from bot.models.safety_files import find_safety_files

log = logging.getLogger(__name__)

MOST_VIEWS: Final = 4
"""Squares that one picture is looked at by; a longer one is looked at squeezed."""

_DIFFUSERS_LOGGER: Final = StableDiffusionSafetyChecker.__module__


class SafetyModel:
    """The loaded checker; one thread at a time may use it."""

    def __init__(self, path: Path, *, device: str = "auto") -> None:
        """Load the checker at `path`, from local safetensors alone, in full precision.

        `device` is "auto" (the first GPU, else the CPU) or "cpu". Raises StartupError.
        """
        files = find_safety_files(path)
        transformers_logging.disable_progress_bar()
        self.device = torch.device(
            "cuda" if device == "auto" and torch.cuda.is_available() else "cpu"
        )
        try:
            with READING:
                model, loaded = StableDiffusionSafetyChecker.from_pretrained(
                    files.folder,
                    variant=files.variant,
                    use_safetensors=True,
                    local_files_only=True,
                    output_loading_info=True,
                )
        except Exception as error:
            # Whatever the libraries trip over in somebody's files, the files are at fault.
            raise _unusable(files.folder, f"{type(error).__name__}: {error}") from error
        # A concept that is not in the file would be made up, and would flag at random or never.
        if lacking := sorted(loaded["missing_keys"]):
            raise _unusable(files.folder, f"its weights lack {', '.join(lacking[:3])}")
        self._model: Any = model.float().eval().to(self.device)
        self._side = int(model.config.vision_config.image_size)
        self._mean = np.asarray(files.mean, np.float32)
        self._std = np.asarray(files.std, np.float32)
        # Beside the drawing on the same GPU, not before or after it.
        self._stream: Any = None
        if self.device.type == "cuda":
            self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's own lack
        # It warns of black pictures; none of ours are made black.
        logging.getLogger(_DIFFUSERS_LOGGER).setLevel(logging.ERROR)

    @property
    def device_name(self) -> str:
        """The device as people know it."""
        if self.device.type == "cuda":
            return str(torch.cuda.get_device_name(self.device))
        return "CPU"

    def flags(self, pictures: Sequence[Image.Image]) -> list[bool]:
        """Return for each RGB picture whether it is not for everyone; one model call for all."""
        views = [views_of(picture, self._side) for picture in pictures]
        flat = [view for some in views for view in some]
        batch = torch.from_numpy(np.stack([self._normalised(view) for view in flat]))
        on_stream = (
            contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)
        )
        with torch.inference_mode(), on_stream:
            # Its second argument is what it would blacken.
            stand_ins = [np.zeros(1) for _ in flat]
            _, found = self._model(clip_input=batch.to(self.device), images=stand_ins)
        ends = accumulate(len(some) for some in views)
        return [any(found[end - len(some) : end]) for some, end in zip(views, ends, strict=True)]

    def _normalised(self, view: Image.Image) -> npt.NDArray[np.float32]:
        """Return a view as CLIP takes it: channels first, scaled by mean and deviation."""
        scaled = np.asarray(view, np.float32) / np.float32(255)
        return np.ascontiguousarray(((scaled - self._mean) / self._std).transpose(2, 0, 1))


def views_of(picture: Image.Image, side: int) -> list[Image.Image]:
    """Return squares of `side` pixels that cover the whole picture along its longer side.

    CLIP's own preparation takes the square in the middle, which leaves out up to half of a wide
    picture: whoever draws wide could show there what they like.
    """
    width, height = picture.size
    short, long = min(width, height), max(width, height)
    count = -(-long // short)
    if count > MOST_VIEWS:
        return [picture.resize((side, side), Image.Resampling.BICUBIC)]
    offsets = [round(number * (long - short) / max(1, count - 1)) for number in range(count)]
    boxes = [
        (at, 0, at + short, short) if width >= height else (0, at, short, at + short)
        for at in offsets
    ]
    return [picture.resize((side, side), Image.Resampling.BICUBIC, box=box) for box in boxes]


def _unusable(folder: Path, why: str) -> StartupError:
    return StartupError(
        f"The picture check at {folder} cannot be loaded: {why}", exit_code=exit_codes.MODEL
    )
