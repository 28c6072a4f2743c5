"""The noise schedule as plain numbers: what each step multiplies, and with what.

Euler and Euler-ancestral steps are linear in the latents x, the model's output m and fresh noise n,
so one step is `x·cx + m·cm + n·cn`, with coefficients that depend on nothing but the step. Samples
at different steps of different schedules then share one UNet call (Karras et al., "Elucidating the
Design Space of Diffusion-Based Generative Models", 2022; k-diffusion's sample_euler_ancestral).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from bot import exit_codes
from bot.errors import StartupError
from bot.request import effective_steps

ANCESTRAL = "EulerAncestralDiscreteScheduler"
PLAIN = "EulerDiscreteScheduler"
PREDICTIONS = ("epsilon", "v_prediction", "sample")
SUPPORTED = (ANCESTRAL, PLAIN)


@dataclass(frozen=True, slots=True, eq=False)
class StepPlan:
    """The steps one sample takes.

    `timesteps` (n,) is what the UNet is told. `coefficients` (n, 4) holds per step, in fp32, the
    UNet input's scale and then cx, cm, cn. `initial_sigma` scales the first noise: alone for
    text-to-image, added to the source's latents for image-to-image.
    """

    timesteps: torch.Tensor
    coefficients: torch.Tensor
    initial_sigma: float
    noise_steps: int

    @property
    def steps(self) -> int:
        """How many UNet calls the sample needs."""
        return len(self.timesteps)


class NoiseSchedule:
    """Step plans from a model folder's own noise scheduler.

    Raises StartupError when the scheduler is of a kind whose step is not the one written here.
    """

    def __init__(self, noise_scheduler: Any) -> None:
        name = type(noise_scheduler).__name__
        config = noise_scheduler.config
        if name not in SUPPORTED:
            raise StartupError(
                f"The model folder asks for the noise scheduler {name}; supported are "
                f"{' and '.join(SUPPORTED)}. Change scheduler/scheduler_config.json to one of "
                "them if the model allows it.",
                exit_code=exit_codes.MODEL,
            )
        # As in diffusers: its Euler-ancestral scheduler takes no model that predicts the sample.
        known = PREDICTIONS if name == PLAIN else PREDICTIONS[:2]
        if config.prediction_type not in known:
            raise StartupError(
                f"The model folder's prediction_type is {config.prediction_type!r}; with {name} "
                f"supported are {', '.join(known)}.",
                exit_code=exit_codes.MODEL,
            )
        self.ancestral = name == ANCESTRAL
        self.prediction_type = str(config.prediction_type)
        self._scheduler_class = type(noise_scheduler)
        self._config = config
        self.plan = lru_cache(maxsize=512)(self._plan)

    def _plan(self, steps: int, strength: float | None = None) -> StepPlan:
        """Return the plan for `steps`; `strength` is None for text-to-image.

        Where `steps * strength` is under 1 the steps are raised to the least that give one.
        """
        if strength is not None:
            steps = effective_steps(steps, strength)
        # A fresh instance per plan: the stock scheduler keeps its schedule inside itself.
        scheduler = self._scheduler_class.from_config(self._config)
        scheduler.set_timesteps(steps)
        sigmas = scheduler.sigmas.double()
        timesteps = scheduler.timesteps.float()
        if strength is None:
            first, initial_sigma = 0, float(scheduler.init_noise_sigma)
        else:
            # As the stock image-to-image pipeline: the last int(steps * strength) steps.
            first = steps - min(int(steps * strength), steps)
            initial_sigma = float(sigmas[first])
        rows = [self._step(sigmas[i], sigmas[i + 1]) for i in range(first, steps)]
        return StepPlan(
            timesteps=timesteps[first:].clone(),
            coefficients=torch.tensor(rows, dtype=torch.float32),
            initial_sigma=initial_sigma,
            # The last step's noise has weight 0, and nothing is drawn after it.
            noise_steps=steps - first - 1 if self.ancestral else 0,
        )

    def _step(self, sigma: torch.Tensor, sigma_next: torch.Tensor) -> tuple[float, ...]:
        """Return the input scale, cx, cm and cn of the step from `sigma` to `sigma_next`."""
        s, to = float(sigma), float(sigma_next)
        up = (to**2 * (s**2 - to**2) / s**2) ** 0.5 if self.ancestral else 0.0
        down = max(to**2 - up**2, 0.0) ** 0.5
        input_scale = (s**2 + 1) ** -0.5
        if self.prediction_type == "epsilon":
            return input_scale, 1.0, down - s, up
        # x += (x − x0)/σ · (σ_down − σ), where x0 is m itself or x/(σ²+1) − m·σ/√(σ²+1).
        along = (down - s) / s
        if self.prediction_type == "sample":
            return input_scale, 1.0 + along, -along, up
        cx = 1.0 + along * (1 - 1 / (s**2 + 1))
        cm = along * s * input_scale
        return input_scale, cx, cm, up
