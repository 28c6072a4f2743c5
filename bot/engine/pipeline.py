"""TurboPipeline: the hand-written loop over one set of SDXL weights, for samples of every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from PIL import Image

from bot.engine.noise_schedule import StepPlan
from bot.engine.prompts import Condition, PromptCache, PromptEncoder
from bot.engine.vae import LatentCodec, blend
from bot.errors import BadOutput, BadParameter
from bot.models.loader import LoadedModel, load_model, resolve_model
from bot.request import Draw, Pixels

F = TypeVar("F", bound=Callable[..., Any])
inference = cast(Callable[[F], F], torch.inference_mode())

Denoise = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor
]
"""(input, timesteps, embeds, pooled, time_ids) → the UNet's output; all have one row a picture."""


@dataclass(slots=True, eq=False)
class TurboSample:
    """One picture between its first noise and its last step."""

    draw: Draw
    plan: StepPlan
    condition: Condition
    negative: Condition | None
    latents: torch.Tensor
    """(1, c, h, w), fp32, on the device."""
    noise: torch.Tensor
    """(n, c, h, w): all noise the steps will add, drawn at once from the sample's own generator."""
    timesteps: torch.Tensor
    coefficients: torch.Tensor
    time_ids: torch.Tensor
    index: int = 0

    @property
    def steps_left(self) -> int:
        """UNet calls still to make."""
        return self.plan.steps - self.index


@dataclass(slots=True, eq=False)
class DecodedPictures:
    """Pixels on their way to the host."""

    pixels: torch.Tensor
    usable: torch.Tensor
    samples: Sequence[TurboSample] = field(default_factory=tuple)

    def collect(self) -> list[Pixels | None]:
        """Wait for the device; None where a picture is not usable."""
        flags = self.usable.tolist()
        host = self.pixels.cpu().numpy()
        return [
            host[i] if flag or _may_be_black(sample.draw) else None
            for i, (flag, sample) in enumerate(zip(flags, self.samples, strict=True))
        ]


class TurboPipeline:
    """Draws for any mix of samples of one size in one UNet call. Owned by one thread."""

    def __init__(self, model: LoadedModel, *, prompt_cache: PromptCache | None = None) -> None:
        self.model = model
        self.device = model.device
        self.dtype = model.dtype
        self.prompt_cache = prompt_cache or PromptCache()
        self._prompts = PromptEncoder(model.pipeline, self.prompt_cache)
        self._codec = LatentCodec(model.vae)
        self._denoise: Denoise = self._eager
        self._zeros: Condition | None = None

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> TurboPipeline:
        """Load "starter", "tiny", a folder or a .safetensors file. Raises StartupError."""
        return cls(load_model(resolve_model(str(name_or_path)), device=device, dtype=dtype))

    def sibling(self) -> TurboPipeline:
        """Return a pipeline for another thread over the same weights and prompt cache."""
        return TurboPipeline(self.model, prompt_cache=self.prompt_cache)

    @property
    def model_name(self) -> str:
        """The model's name, for people."""
        return self.model.name

    @property
    def device_name(self) -> str:
        """The device's name, for people."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return self.device.type

    @inference
    def encode_prompts(self, prompts: Sequence[str]) -> list[Condition]:
        """Return embeddings for each prompt from one pass, or from the cache."""
        return self._prompts.encode(prompts)

    @inference
    def start(self, draws: Sequence[Draw]) -> list[TurboSample]:
        """Encode prompts and sources of all draws together; return one sample per draw.

        Raises BadParameter when a size is not one the model's latents can have.
        """
        for draw in draws:
            self._check(draw)
        texts = [draw.prompt for draw in draws]
        texts += [draw.negative_prompt for draw in draws if self._reads_negative(draw)]
        conditions = iter(self._prompts.encode(texts))
        positive = [next(conditions) for _ in draws]
        negative = [
            next(conditions) if self._reads_negative(draw) else self._no_words(positive[i], draw)
            for i, draw in enumerate(draws)
        ]
        moments = self._moments(draws)
        return [
            self._begin(draw, positive[i], negative[i], moments) for i, draw in enumerate(draws)
        ]

    @inference
    def step(self, samples: Sequence[TurboSample]) -> None:
        """Advance all samples, of one size, by one step each in one UNet call."""
        latents = _join([sample.latents for sample in samples])
        at = torch.stack([sample.coefficients[sample.index] for sample in samples])
        input_scale, cx, cm, cn = at.view(-1, 4, 1, 1, 1).unbind(1)
        guided = [i for i, sample in enumerate(samples) if sample.negative is not None]
        rows = [(sample, sample.condition) for sample in samples]
        rows += [(samples[i], negative) for i in guided if (negative := samples[i].negative)]
        scaled = (latents * input_scale).to(self.dtype)
        if guided:
            scaled = torch.cat((scaled, scaled[guided]))
        output = self._denoise(
            scaled,
            torch.stack([sample.timesteps[sample.index] for sample, _ in rows]),
            torch.stack([condition.embeds for _, condition in rows]),
            torch.stack([condition.pooled for _, condition in rows]),
            torch.stack([sample.time_ids for sample, _ in rows]),
        ).float()
        if guided:
            output, unconditional = output[: len(samples)], output[len(samples) :]
            scale = torch.tensor(
                [samples[i].draw.guidance_scale for i in guided], device=self.device
            ).view(-1, 1, 1, 1)
            output[guided] = unconditional + scale * (output[guided] - unconditional)
        advanced = latents * cx + output * cm
        noisy = [i for i, sample in enumerate(samples) if sample.index < sample.plan.noise_steps]
        if noisy:
            noise = torch.stack([samples[i].noise[samples[i].index] for i in noisy])
            advanced[noisy] += noise * cn[noisy]
        for sample, row in zip(samples, torch.split(advanced, 1), strict=True):
            sample.latents = row
            sample.index += 1

    @inference
    def decode(self, samples: Sequence[TurboSample]) -> DecodedPictures:
        """Issue the decoding of finished samples of one size."""
        pixels, usable = self._codec.decode(_join([sample.latents for sample in samples]))
        return DecodedPictures(pixels, usable, samples)

    @inference
    def redo(self, draw: Draw) -> Pixels:
        """Draw one picture again, alone and in full precision. Raises BadOutput if bad again."""
        (sample,) = self.start([draw])
        while sample.steps_left:
            self.step([sample])
        (pixels,) = self.decode([sample]).collect()
        if pixels is None:
            raise BadOutput(seed=draw.seed, steps=draw.num_inference_steps)
        return pixels

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Tell whether `error` means that the device had no memory left."""
        return isinstance(error, torch.OutOfMemoryError) or (
            isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
        )

    def free_memory(self) -> None:
        """Drop what can be made again, and hand cached blocks back to the device."""
        self.prompt_cache.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def peak_memory(self) -> int:
        """Return the most bytes in use so far, on the device or by the process."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def _eager(
        self,
        scaled: torch.Tensor,
        timesteps: torch.Tensor,
        embeds: torch.Tensor,
        pooled: torch.Tensor,
        time_ids: torch.Tensor,
    ) -> torch.Tensor:
        output: torch.Tensor = self.model.unet(
            scaled,
            timesteps,
            encoder_hidden_states=embeds,
            added_cond_kwargs={"text_embeds": pooled, "time_ids": time_ids},
            return_dict=False,
        )[0]
        return output

    def _check(self, draw: Draw) -> None:
        # Every down block but the last halves the latents, and the way up must meet them again.
        halvings = len(self.model.unet.config.block_out_channels) - 1
        multiple = self.model.vae_scale_factor * 2**halvings
        for name, side in (("width", draw.width), ("height", draw.height)):
            if side < multiple or side % multiple:
                raise BadParameter(name=name, value=side, multiple=multiple)
        for picture in draw.sources:
            if picture.size != (draw.width, draw.height) or picture.mode != "RGB":
                raise BadParameter(name="sources", value=f"{picture.mode} {picture.size}")
        if draw.sources and len(draw.weights) not in (0, len(draw.sources)):
            raise BadParameter(name="weights", value=draw.weights)

    def _reads_negative(self, draw: Draw) -> bool:
        """Whether the draw needs the negative prompt's own embeddings."""
        if draw.guidance_scale <= 1:
            return False
        return bool(draw.negative_prompt) or not self.model.force_zeros_for_empty_prompt

    def _no_words(self, like: Condition, draw: Draw) -> Condition | None:
        if draw.guidance_scale <= 1:
            return None
        if self._zeros is None:
            self._zeros = Condition(torch.zeros_like(like.embeds), torch.zeros_like(like.pooled))
        return self._zeros

    def _moments(self, draws: Sequence[Draw]) -> dict[int, torch.Tensor]:
        """Encode every distinct source once, the same sizes together; keyed by the picture's id."""
        by_size: dict[tuple[int, int], dict[int, Image.Image]] = {}
        for draw in draws:
            for picture in draw.sources:
                by_size.setdefault(picture.size, {})[id(picture)] = picture
        found: dict[int, torch.Tensor] = {}
        for pictures in by_size.values():
            found.update(zip(pictures, self._codec.moments(list(pictures.values())), strict=True))
        return found

    def _begin(
        self,
        draw: Draw,
        condition: Condition,
        negative: Condition | None,
        moments: dict[int, torch.Tensor],
    ) -> TurboSample:
        """Draw all of a sample's noise, in the order the stock pipelines do, and place it."""
        plan = self.model.noise_schedule.plan(
            draw.num_inference_steps, draw.strength if draw.sources else None
        )
        factor = self.model.vae_scale_factor
        channels = self.model.unet.config.in_channels
        shape = (1, channels, draw.height // factor, draw.width // factor)
        # On the CPU whatever the device, so that a seed is the same picture everywhere.
        generator = torch.Generator("cpu").manual_seed(draw.seed)
        count = len(draw.sources) + 1 + plan.noise_steps
        noise = torch.cat([torch.randn(shape, generator=generator) for _ in range(count)])
        noise = noise.to(self.device)
        first = len(draw.sources)
        latents = noise[first : first + 1] * plan.initial_sigma
        if draw.sources:
            latents = latents + self._source(draw, moments, noise[:first])
        time_ids = [draw.height, draw.width, 0, 0, draw.height, draw.width]
        return TurboSample(
            draw=draw,
            plan=plan,
            condition=condition,
            negative=negative,
            latents=latents,
            noise=noise[first + 1 :],
            timesteps=plan.timesteps.to(self.device),
            coefficients=plan.coefficients.to(self.device),
            time_ids=torch.tensor(time_ids, device=self.device, dtype=self.dtype),
        )

    def _source(
        self, draw: Draw, moments: dict[int, torch.Tensor], noise: torch.Tensor
    ) -> torch.Tensor:
        """Sample the sources' latents and blend them, (1, c, h, w)."""
        sampled = []
        for picture, one in zip(draw.sources, noise, strict=True):
            mean, std = moments[id(picture)]
            sampled.append(self._codec.normalise((mean + std * one)[None]))
        return blend(sampled, draw.weights or (1.0,) * len(sampled))


def _join(rows: list[torch.Tensor]) -> torch.Tensor:
    return rows[0] if len(rows) == 1 else torch.cat(rows)


def _may_be_black(draw: Draw) -> bool:
    """Whether an all-black result can be right: it was made from a picture that is almost black."""
    return any(np.asarray(picture.convert("L")).max() <= 8 for picture in draw.sources)
