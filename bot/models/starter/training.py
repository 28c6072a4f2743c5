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

from bot.models.starter.lessons import LAST, LessonMaker, Lessons, Plan
from bot.models.starter.muon import advance, optimizers
from bot.models.starter.text import HIDDEN, Prompts, encode
from bot.models.starter.unet import hold, layout_path, predict_x0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and how fast: `rate` is Muon's, constant and then falling over the last part."""

    steps: int
    batch: int = 16
    rate: float = 0.02
    fall: float = 0.3
    average: float = 0.997

    def at(self, step: int, minutes_left: float) -> float:
        """Return the rate of a step; it warms up over 50 steps."""
        left = min((self.steps - step) / max(1.0, self.fall * self.steps), 1.0)
        return self.rate * min(1.0, (step + 1) / 50) * max(left, 0.02) * (minutes_left > 0)


class UnetTrainer:
    """Owns the UNet, its averaged copy and the optimizers."""

    def __init__(
        self,
        unet: Any,
        plan: Plan,
        *,
        encoders: nn.ModuleList | None = None,
        prompts: Prompts | None = None,
        seed: int,
        rate: float,
        device: torch.device,
        compiled: bool = False,
    ) -> None:
        self.device = device
        self.unet = unet.to(device, memory_format=torch.channels_last)
        self.encoders = encoders.to(device).eval().requires_grad_(False) if encoders else None
        self.prompts = prompts
        self.maker = LessonMaker(plan, seed=seed)
        self.averaged = copy.deepcopy(self.unet).requires_grad_(False)
        self.held = layout_path(self.unet) + layout_path(self.averaged)
        self.optimizers = optimizers(self.unet, rate=rate)
        self.forward = torch.compile(self.unet) if compiled else self.unet
        self.steps = 0
        self.seen = 0

    def step(self, pace: Pace, rate: float) -> dict[str, float]:
        """Take one optimizer step on one batch; return mean absolute errors in RGB, 0..1."""
        shapes = self.maker.plan.shapes
        shape = shapes[0] if self.maker.rng.random() < 0.9 else self.maker.rng.choice(shapes)
        lessons = self.maker.batch(pace.batch, shape)
        error = self._error(lessons, shapes[0] == shape)
        weight = lessons.weight.to(self.device)
        loss = (weight * (error.abs() + error.square())).mean()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        advance(self.optimizers, rate)
        self._average(pace)
        hold(self.held)
        self.steps += 1
        self.seen += pace.batch
        each = error.detach().abs().mean(dim=(1, 2, 3)).cpu() / 2
        drawn = lessons.timesteps == LAST
        return {"draw": float(each[drawn].mean()), "other": float(each[~drawn].mean())}

    def _error(self, lessons: Lessons, usual_shape: bool) -> torch.Tensor:
        """Return the prediction's error in RGB -1..1, (n, 3, h, w)."""
        noisy = lessons.noisy.to(self.device, memory_format=torch.channels_last)
        height, width = (8 * side for side in noisy.shape[2:])
        sizes = torch.tensor([height, width, 0, 0, height, width], device=self.device)
        states, pooled = self._conditions(lessons)
        run = self.forward if usual_shape else self.unet
        with torch.autocast(self.device.type, torch.bfloat16):
            output = run(
                noisy,
                lessons.timesteps.to(self.device),
                encoder_hidden_states=states,
                added_cond_kwargs={
                    "text_embeds": pooled,
                    "time_ids": sizes.float().expand(len(noisy), -1),
                },
                return_dict=False,
            )[0]
        found = predict_x0(noisy, output.float(), lessons.sigma.to(self.device))
        return (found - lessons.wanted.to(self.device)) / 1.5

    @torch.no_grad()
    def _conditions(self, lessons: Lessons) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the token states and the pooled embedding of each lesson's prompt.

        Without encoders the attributes stand in, which is what the encoders learn to give, with
        the noise of their mistakes; cross-attention is then shut (see `unet`) and its states are 0.
        """
        if self.prompts is None or self.encoders is None:
            pooled = lessons.attributes.to(self.device)
            pooled = pooled + 0.03 * torch.randn(pooled.shape, generator=self.maker.generator).to(
                self.device
            )
            states = torch.zeros(len(pooled), 1, sum(HIDDEN), device=self.device)
            return states, pooled
        ids, ids_2 = (part.to(self.device) for part in self.prompts(lessons.captions))
        states, pooled = encode(self.encoders, ids, ids_2)
        return states, pooled

    @torch.no_grad()
    def _average(self, pace: Pace) -> None:
        share = 1 - min(pace.average, (self.steps + 1) / (self.steps + 10))
        own, kept = list(self.unet.parameters()), list(self.averaged.parameters())
        torch._foreach_lerp_(kept, own, share)

    def save(self, path: Path) -> None:
        """Write everything needed to go on to `path`, replacing it whole."""
        state = {
            "unet": self.unet.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
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
        for optimizer, own in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)
        self.steps, self.seen = state["steps"], state["seen"]
        self.maker.rng.seed(self.steps)
        self.maker.generator.manual_seed(self.steps)


def train(trainer: UnetTrainer, pace: Pace, checkpoint: Path, *, minutes: float = math.inf) -> None:
    """Run one stage: `pace.steps` more steps, or less where `minutes` run out first.

    With a limit in minutes the rate falls by whichever share, of steps or minutes, is further on.
    """
    begun, first = time.monotonic(), trainer.steps
    sums: dict[str, list[float]] = defaultdict(list)
    while (done := trainer.steps - first) < pace.steps:
        spent = (time.monotonic() - begun) / 60
        if spent >= minutes:
            break
        position = max(done, int(pace.steps * spent / minutes)) if done > 50 else done
        for name, value in trainer.step(pace, pace.at(position, minutes - spent)).items():
            if not math.isnan(value):
                sums[name].append(value)
        if trainer.steps % 100 == 0:
            means = " ".join(f"{name} {sum(own) / len(own):.4f}" for name, own in sums.items())
            speed = (trainer.steps - first) * pace.batch / (time.monotonic() - begun)
            log.info("step %d %s (%.1f pictures/s)", trainer.steps, means, speed)
            sums.clear()
            with contextlib.suppress(OSError):
                trainer.save(checkpoint)
    trainer.save(checkpoint)
