"""One engine's place at a device whose weights change: the Pipeline that its thread draws with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import torch

from bot.engine.cpu import CorePart
from bot.engine.pipeline import TurboPipeline, is_out_of_memory
from bot.engine.residency import Residency
from bot.engine.sample import DecodedPictures, TurboSample
from bot.engine.supervision import Retired
from bot.request import Draw, Pixels, WeightSet

STAND_BACK_SECONDS: Final = 0.005
"""How long an idle engine leaves a request to a faster one, which may be just about to be free."""


class Seat:
    """Draws with whatever the residency holds; see Pipeline for what each method promises.

    With a part of a CPU's `cores` every call uses as many threads as that allows at the moment.
    """

    def __init__(self, residency: Residency, *, cores: CorePart | None = None) -> None:
        self._residency = residency
        self._cores = cores
        self._threads = 0
        self._has_left = False
        # Before anything is computed: a team of threads, once made, stays.
        self._use_cores()
        residency.pipeline_of(self)

    @property
    def pipeline(self) -> TurboPipeline:
        """This engine's pipeline of the model that is in.

        Raises Retired once it has left: it would get another one, and what a trial measured on a
        pipeline without graphs would be remembered.
        """
        if self._has_left:
            raise Retired
        return self._residency.pipeline_of(self)

    @property
    def model_name(self) -> str:
        """The name of the model that is in, or that is to be."""
        # Asked from the event loop, which must not wait for a model to load.
        resident = self._residency.resident
        return resident.model_name if resident is not None else self._residency.weight_set.model

    @property
    def device_name(self) -> str:
        """The device's name, for people."""
        return self._residency.device_name

    @property
    def weight_set(self) -> WeightSet:
        """What the device draws with now."""
        return self._residency.weight_set

    @property
    def settled(self) -> bool:
        """Whether these weights have had their turn."""
        return self._residency.settled

    @property
    def full_speed(self) -> bool:
        """Whether `improve` has nothing left to do for the model that is in."""
        resident = self._residency.resident
        return resident is not None and resident.full_speed

    def use(self, weight_set: WeightSet) -> bool:
        """Hold these weights; False while another engine holds others."""
        return self._residency.use(self, weight_set)

    def release(self) -> None:
        """Let the weights be changed."""
        self._residency.release(self)

    def wait(self, seconds: float) -> None:
        """Wait until somebody releases the weights."""
        self._residency.wait(seconds)

    def leave(self) -> None:
        """Hear that the thread draws no more."""
        self._has_left = True
        self._residency.leave(self)
        if self._cores is not None:
            self._cores.leave()

    def start(self, draws: Sequence[Draw]) -> list[TurboSample]:
        """Return one sample per draw."""
        return self._on_cores().start(draws)

    def step(self, samples: Sequence[TurboSample]) -> None:
        """Advance all samples by one step."""
        self._on_cores().step(samples)

    def decode(self, samples: Sequence[TurboSample]) -> DecodedPictures:
        """Issue the decoding of finished samples."""
        return self._on_cores().decode(samples)

    def redo(self, draw: Draw) -> Pixels:
        """Draw one picture again in full precision."""
        return self._on_cores().redo(draw)

    def attend(self, busy: bool) -> None:
        """Take or leave this engine's part of the cores."""
        if self._cores is not None:
            self._cores.attend(busy)

    def stand_back(self) -> bool:
        """Wait a moment where another engine has more cores."""
        if self._cores is None or not self._cores.is_outdone:
            return False
        time.sleep(STAND_BACK_SECONDS)
        return True

    def prepare(self, max_rows: int) -> None:
        """Get ready for calls of up to `max_rows` UNet rows."""
        self.pipeline.prepare(max_rows)

    def improve(self, idle_seconds: float) -> bool:
        """Use spare time to get faster with the model that is in."""
        return self.pipeline.improve(idle_seconds)

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Tell whether `error` means that the device had no memory left."""
        return is_out_of_memory(error)

    def free_memory(self) -> None:
        """Give cached device memory back."""
        self.pipeline.free_memory()

    def peak_memory(self) -> int:
        """Return the most bytes in use so far."""
        resident = self._residency.resident
        return resident.peak_memory() if resident is not None else 0

    def _on_cores(self) -> TurboPipeline:
        """Return the pipeline, with as many threads to use as this engine may have now."""
        self._use_cores()
        return self.pipeline

    def _use_cores(self) -> None:
        # A thread's own setting in torch, so each engine has to make it in its own thread. What a
        # thread does with torch first gives it the number set last by any; hence the asking.
        if self._cores is not None and (threads := self._cores.threads) != self._threads:
            torch.get_num_threads()
            torch.set_num_threads(threads)
            self._threads = threads
