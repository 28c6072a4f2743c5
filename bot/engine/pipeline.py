"""TurboPipeline: the hand-written loop over one set of SDXL weights, for samples of every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from PIL import Image

from bot.engine.noise_schedule import StepPlan
from bot.engine.prompts import Condition, PromptCache, PromptEncoder
from bot.engine.protocol import SoleOwner
from bot.engine.sample import DecodedPictures, TurboSample
from bot.engine.vae import LatentCodec, blend
from bot.errors import BadOutput, BadParameter, WeightsUnavailable
from bot.models.loader import LoadedModel, load_model, resolve_model
from bot.request import Draw, Pixels, WeightSet

F = TypeVar("F", bound=Callable[..., Any])
inference = cast(Callable[[F], F], torch.inference_mode())

MAX_PLANS = 512

Denoise = Callable[..., torch.Tensor]
"""(input, timesteps, embeds, pooled, time_ids) → the UNet's output; all have one row a picture."""


class TurboPipeline(SoleOwner):
    """Draws for any mix of samples of one size in one UNet call. Owned by one thread."""

    def __init__(
        self,
        model: LoadedModel,
        *,
        prompt_cache: PromptCache | None = None,
    ) -> None:
        self.model = model
        self.device = model.device
        self.dtype = model.dtype
        self.prompt_cache = PromptCache() if prompt_cache is None else prompt_cache
        self._prompts = PromptEncoder(
            model.pipeline, self.prompt_cache, lambda: model.merger.text_variant
        )
        self._codec = LatentCodec(model.vae)
        self._denoise: Denoise = self._eager
        self._decode: Callable[[torch.Tensor], tuple[torch.Tensor, ...]] = self._codec.decode
        self._zeros: Condition | None = None
        self._plans: dict[StepPlan, tuple[torch.Tensor, torch.Tensor]] = {}

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
        vae: str = "auto",
    ) -> TurboPipeline:
        """Load "starter", "tiny", a folder or a .safetensors file. Raises StartupError."""
        path = resolve_model(str(name_or_path))
        return cls(load_model(path, device=device, dtype=dtype, vae=vae))

    def sibling(self) -> TurboPipeline:
        """Return a pipeline for another thread over the same weights and prompt cache."""
        return TurboPipeline(self.model, prompt_cache=self.prompt_cache)

    @property
    def weight_set(self) -> WeightSet:
        """What it draws with now."""
        return WeightSet(lora=self.model.merger.merged)

    def use(self, weight_set: WeightSet) -> bool:
        """Draw with these weights from now on. Raises WeightsUnavailable.

        By itself a pipeline has one model, and no siblings that draw: see bot.engine.residency.
        """
        if weight_set.model:
            raise WeightsUnavailable(name=weight_set.model)
        self.model.merger.merge(weight_set.lora)
        return True

    @property
    def full_speed(self) -> bool:
        """Whether `improve` has nothing left to do."""
        return True

    def improve(self, idle_seconds: float) -> bool:
        """Use spare time to get faster; False when there is nothing to do."""
        return False

    def prepare(self, max_rows: int) -> None:
        """Get ready for calls of up to `max_rows` UNet rows; nothing to do without graphs."""

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
        inputs = self._rows(samples)
        output = self._denoise(*inputs).float()
        guided = [i for i, sample in enumerate(samples) if sample.guidance is not None]
        if guided:
            output, unconditional = output[: len(samples)], output[len(samples) :]
            scale = torch.stack([g for sample in samples if (g := sample.guidance) is not None])
            output[guided] = unconditional + scale * (output[guided] - unconditional)
        latents = _join([sample.latents for sample in samples])
        at = torch.stack([sample.coefficients[sample.index] for sample in samples])
        _, cx, cm, cn = at.view(-1, 4, 1, 1, 1).unbind(1)
        noise = torch.stack([sample.noise[sample.index] for sample in samples])
        advanced = latents * cx + output * cm + noise * cn
        for sample, row in zip(samples, torch.split(advanced, 1), strict=True):
            sample.latents = row
            sample.index += 1

    @inference
    def decode(self, samples: Sequence[TurboSample]) -> DecodedPictures:
        """Issue the decoding of finished samples of one size."""
        pixels, usable = [], []
        at_once = self._codec.chunk
        for start in range(0, len(samples), at_once):
            chunk = [sample.latents for sample in samples[start : start + at_once]]
            some, good = self._decode(_join(chunk))
            # Cloned where there is more than one chunk: a graph's next replay overwrites them.
            pixels.append(some if len(samples) <= at_once else some.clone())
            usable.append(good if len(samples) <= at_once else good.clone())
        return DecodedPictures(_join(pixels), _join(usable), samples)

    @inference
    def redo(self, draw: Draw) -> Pixels:
        """Draw one picture again, alone and in full precision. Raises BadOutput if bad again."""
        full = self
        if self.dtype != torch.float32 or self.model.vae.dtype != torch.float32:
            full = TurboPipeline(self.model.in_full_precision(), prompt_cache=self.prompt_cache)
        (sample,) = full.start([draw])
        while sample.steps_left:
            full.step([sample])
        (pixels,) = full.decode([sample]).collect()
        if pixels is None:
            raise BadOutput(seed=draw.seed, steps=draw.num_inference_steps)
        return pixels

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Tell whether `error` means that the device had no memory left."""
        return is_out_of_memory(error)

    def close(self) -> None:
        """Let go of the weights, which leave the device; the pipeline draws no more."""
        self.prompt_cache.clear()

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

    def _rows(self, samples: Sequence[TurboSample]) -> tuple[torch.Tensor, ...]:
        """Return the UNet's inputs: a row per sample, then one more per guided sample."""
        rows = [(sample, sample.condition) for sample in samples]
        rows += [(each, each.negative) for each in samples if each.negative is not None]
        latents = _join([sample.latents for sample, _ in rows])
        scale = torch.stack([sample.coefficients[sample.index, 0] for sample, _ in rows])
        return (
            (latents * scale.view(-1, 1, 1, 1)).to(self.dtype),
            torch.stack([sample.timesteps[sample.index] for sample, _ in rows]),
            torch.stack([condition.embeds for _, condition in rows]),
            torch.stack([condition.pooled for _, condition in rows]),
            torch.stack([sample.time_ids for sample, _ in rows]),
        )

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
            encoder_hidden_states=embeds.to(self.dtype),
            added_cond_kwargs={"text_embeds": pooled.to(self.dtype), "time_ids": time_ids},
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
        noise = torch.cat([_randn(shape, generator) for _ in range(count)])
        noise = self._upload(noise)
        first = len(draw.sources)
        latents = noise[first : first + 1] * plan.initial_sigma
        if draw.sources:
            latents = latents + self._source(draw, moments, noise[:first])
        added = noise[first + 1 :]
        if len(added) < plan.steps:
            # The last step adds nothing, and plain Euler's steps add nothing at all.
            added = torch.cat((added, added.new_zeros(plan.steps - len(added), *shape[1:])))
        timesteps, coefficients = self._on_device(plan)
        time_ids = torch.tensor([draw.height, draw.width, 0, 0, draw.height, draw.width])
        return TurboSample(
            draw=draw,
            plan=plan,
            condition=condition,
            negative=negative,
            latents=latents,
            noise=added,
            timesteps=timesteps,
            coefficients=coefficients,
            time_ids=self._upload(time_ids.to(self.dtype)),
            guidance=None
            if negative is None
            else torch.full(
                (1, 1, 1), draw.guidance_scale, dtype=torch.float32, device=self.device
            ),
        )

    def _on_device(self, plan: StepPlan) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a plan's timesteps and coefficients on the device; plans come back often."""
        found = self._plans.get(plan)
        if found is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            found = self._upload(plan.timesteps), self._upload(plan.coefficients)
            self._plans[plan] = found
        return found

    def _upload(self, values: torch.Tensor) -> torch.Tensor:
        """Return `values` on the device, without waiting for what it is busy with."""
        if self.device.type == "cuda":
            return values.pin_memory().to(self.device, non_blocking=True)
        return values.to(self.device)

    def _source(
        self, draw: Draw, moments: dict[int, torch.Tensor], noise: torch.Tensor
    ) -> torch.Tensor:
        """Sample the sources' latents and blend them, (1, c, h, w)."""
        sampled = []
        for picture, one in zip(draw.sources, noise, strict=True):
            mean, std = moments[id(picture)]
            sampled.append(self._codec.normalise((mean + std * one)[None]))
        return blend(sampled, draw.weights or (1.0,) * len(sampled))


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether `error` means that a device had no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
    )


def _randn(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    # The default dtype is not always fp32: libraries set it while another thread loads a model.
    return torch.randn(shape, generator=generator, dtype=torch.float32)


def _join(rows: list[torch.Tensor]) -> torch.Tensor:
    return rows[0] if len(rows) == 1 else torch.cat(rows)
