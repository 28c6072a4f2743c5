"""The UNet's training loop: lessons, loss, averaged weights, checkpoints to go on from."""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bot.models.starter.lessons import LAST, Lessons
from bot.models.starter.stepping import Inputs, Stepper, autocast
from bot.models.starter.stream import LessonStream
from bot.models.starter.text import HIDDEN, Prompts, encode
from bot.models.starter.unet import ancestral_step, hold, layout_path, predict_x0, sigmas

log = logging.getLogger(__name__)
_ROWS = 64
"""What the UNet draws for a lesson on CUDA is a multiple of this many pictures."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and how fast: `rate` is Muon's, constant and then falling over the last part."""

    steps: int
    rate: float = 0.02
    fall: float = 0.3
    ramp: float = 0.0
    """Share of steps over which layouts come to vary as widely as they shall."""
    coarse: float = 0.0
    """Share of steps whose pictures are rendered with one sample for each place, to save time."""
    average: float = 0.997
    report: int = 100
    """Steps between lines of the log, and checkpoints."""

    def at(self, step: int) -> float:
        """Return the rate of a step; it warms up over 50 steps."""
        left = min((self.steps - step) / max(1.0, self.fall * self.steps), 1.0)
        return self.rate * min(1.0, (step + 1) / 50) * max(left, 0.02)

    def widened(self, step: int) -> float:
        """Return the share of the whole spread that a step is to have."""
        return min(1.0, step / (self.ramp * self.steps)) if self.ramp else 1.0


class UnetTrainer:
    """Owns the UNet, its averaged copy and what steps it."""

    def __init__(
        self,
        unet: Any,
        *,
        encoders: nn.ModuleList | None = None,
        prompts: Prompts | None = None,
        rate: float,
        device: torch.device,
        compiled: bool = False,
    ) -> None:
        self.device = device
        self.unet = unet.to(device, memory_format=torch.channels_last)
        self.encoders = encoders.to(device).eval().requires_grad_(False) if encoders else None
        self.prompts = prompts
        self.averaged = copy.deepcopy(self.unet).requires_grad_(False)
        hold(layout_path(self.averaged))
        self.stepper = Stepper(self.unet, rate=rate, compiled=compiled)
        self.sigmas = sigmas(device)
        self.steps = 0
        self.seen = 0

    def step(self, lessons: Lessons, rate: float, *, average: float = 0.997) -> torch.Tensor:
        """Take one optimizer step; return each lesson's mean absolute error in RGB, 0..1."""
        error = self.stepper(self._drawn_first(self._inputs(lessons), lessons.later), rate)
        share = 1 - min(average, (self.steps + 1) / (self.steps + 10))
        with torch.no_grad():
            own, kept = list(self.unet.parameters()), list(self.averaged.parameters())
            torch._foreach_lerp_(kept, own, share)
        self.steps += 1
        self.seen += len(error)
        return error

    def _inputs(self, lessons: Lessons) -> Inputs:
        def given(part: torch.Tensor) -> torch.Tensor:
            return part.to(self.device, non_blocking=True)

        height, width = (8 * side for side in lessons.noisy.shape[2:])
        sizes = torch.tensor([height, width, 0, 0, height, width], dtype=torch.float32)
        states, pooled = self._conditions(lessons)
        return Inputs(
            noisy=given(lessons.noisy).contiguous(memory_format=torch.channels_last),
            wanted=given(lessons.wanted),
            timesteps=given(lessons.timesteps),
            sigma=given(lessons.sigma),
            weight=given(lessons.weight),
            states=states,
            pooled=pooled,
            time_ids=given(sizes).expand(len(pooled), -1).contiguous(),
        )

    @torch.no_grad()
    def _drawn_first(self, inputs: Inputs, later: torch.Tensor) -> Inputs:
        """Return the inputs, further by the averaged UNet's steps to each `later` (n, steps)."""
        for timesteps in later.unbind(1):
            rows = (timesteps < LAST).nonzero().flatten()
            if len(rows):
                inputs = self._stepped(inputs, rows.to(self.device), timesteps[rows])
        return inputs

    def _stepped(self, inputs: Inputs, rows: torch.Tensor, timesteps: torch.Tensor) -> Inputs:
        """Return the inputs, `rows` of them a step further, to `timesteps`."""
        noisy, sigma = inputs.noisy[rows], inputs.sigma[rows]
        padded = rows
        if self.device.type == "cuda":
            # A size that was not seen before is tuned for, layer by layer, which takes seconds.
            padded = torch.cat((rows, rows[:1].expand(-len(rows) % _ROWS)))
        with autocast(self.device):
            output = self.averaged(
                inputs.noisy[padded].contiguous(memory_format=torch.channels_last),
                inputs.timesteps[padded],
                encoder_hidden_states=inputs.states[padded],
                added_cond_kwargs={
                    "text_embeds": inputs.pooled[padded],
                    "time_ids": inputs.time_ids[padded],
                },
                return_dict=False,
            )[0]
        drawn = predict_x0(noisy, output[: len(rows)].float(), sigma)
        timesteps = timesteps.to(self.device)
        below = self.sigmas[timesteps].view(-1, 1, 1, 1)
        noised = ancestral_step(noisy, drawn, sigma, below, torch.randn_like(drawn))
        return inputs._replace(
            noisy=inputs.noisy.index_copy(0, rows, noised),
            timesteps=inputs.timesteps.index_copy(0, rows, timesteps.float()),
            sigma=inputs.sigma.index_copy(0, rows, below),
        )

    @torch.no_grad()
    def _conditions(self, lessons: Lessons) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the token states and the pooled embedding of each lesson's prompt.

        Without encoders the attributes stand in, which is what the encoders learn to give, with
        the noise of their mistakes; cross-attention is then shut (see `unet`) and its states are 0.
        """
        if self.prompts is None or self.encoders is None:
            pooled = lessons.attributes.to(self.device)
            pooled = pooled + 0.03 * torch.randn_like(pooled)
            states = torch.zeros(len(pooled), 1, sum(HIDDEN), device=self.device)
            return states, pooled
        ids, ids_2 = (part.to(self.device) for part in self.prompts(lessons.captions))
        states, pooled = encode(self.encoders, ids, ids_2)
        return states, pooled

    def save(self, path: Path) -> None:
        """Write everything needed to go on to `path`, replacing it whole."""
        state = {
            "unet": self.unet.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.stepper.optimizers],
            "steps": self.steps,
            "seen": self.seen,
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote; lessons are new ones."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.unet.load_state_dict(state["unet"])
        self.averaged.load_state_dict(state["averaged"])
        # A model folder taken up again has no optimizers' state (see `export.unpack`).
        kept = state["optimizers"]
        for optimizer, own in zip(self.stepper.optimizers, kept, strict=bool(kept)):
            rates = [group["lr"] for group in optimizer.param_groups]
            optimizer.load_state_dict(own)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
        self.steps, self.seen = state["steps"], state["seen"]


def train(
    trainer: UnetTrainer,
    stream: LessonStream,
    pace: Pace,
    checkpoint: Path,
    *,
    minutes: float = math.inf,
) -> None:
    """Run one stage: `pace.steps` more steps, or less where `minutes` run out first.

    With a limit in minutes the rate falls by whichever share, of steps or minutes, is further on.
    """
    begun, first = time.monotonic(), trainer.steps
    widest = stream.spread
    errors: dict[str, list[torch.Tensor]] = defaultdict(list)
    lessons = stream.lessons()
    while (done := trainer.steps - first) < pace.steps:
        spent = (time.monotonic() - begun) / 60
        if spent >= minutes:
            break
        position = max(done, int(pace.steps * spent / minutes)) if done > 50 else done
        stream.spread = widest * pace.widened(position)
        stream.supersample = 1 if position < pace.coarse * pace.steps else 2
        own = next(lessons)
        error = trainer.step(own, pace.at(position), average=pace.average)
        retouched = (own.later < LAST).any(dim=1)
        kinds = {
            "draw": (own.timesteps == LAST) & ~retouched,
            "retouch": retouched,
            "other": (own.timesteps < LAST) & ~retouched,
        }
        for name, rows in kinds.items():
            errors[name].append(
                torch.where(rows.to(error.device, non_blocking=True), error, torch.nan)
            )
        if trainer.steps % pace.report == 0:
            means = " ".join(
                f"{name} {float(torch.cat(parts).nanmean()):.4f}" for name, parts in errors.items()
            )
            speed = done * stream.batch / (time.monotonic() - begun)
            log.info("step %d %s (%.1f pictures/s)", trainer.steps, means, speed)
            errors.clear()
            with contextlib.suppress(OSError):
                trainer.save(checkpoint)
    trainer.save(checkpoint)
