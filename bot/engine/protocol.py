"""What the scheduler asks of a pipeline; nothing here or above it needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

from bot.request import Draw, Pixels, WeightSet


@runtime_checkable
class Sample(Protocol):
    """One picture on its way through the noise schedule."""

    @property
    def draw(self) -> Draw:
        """What is being drawn."""

    @property
    def steps_left(self) -> int:
        """UNet calls still to make; 0 when it can be decoded."""


class Decoded(Protocol):
    """Pictures whose decoding has been issued and may still be running on the device."""

    def collect(self) -> list[Pixels | None]:
        """Wait for the device and return one picture per sample; None where it is unusable."""


S = TypeVar("S", bound=Sample)


class Pipeline(Protocol[S]):
    """One device's model. Every method is called from the one thread that owns the device."""

    @property
    def model_name(self) -> str:
        """The model's name, for people."""

    @property
    def device_name(self) -> str:
        """The device's name, for people."""

    @property
    def weight_set(self) -> WeightSet:
        """What it draws with now."""

    @property
    def settled(self) -> bool:
        """Whether these weights have had their turn, so that who waits for others may have it."""

    def use(self, weight_set: WeightSet) -> bool:
        """Draw with these weights until `release`; False while others still draw with theirs.

        To be called with other weights than those in use only when nothing is being drawn. Raises
        WeightsUnavailable when they cannot be had; it then draws on with those it had.
        """

    def release(self) -> None:
        """Let others change the weights: nothing is being drawn. May come from any thread."""

    def wait(self, seconds: float) -> None:
        """Wait until others release the weights, at most `seconds`."""

    def leave(self) -> None:
        """Hear that the thread draws no more. May come from any thread."""

    def start(self, draws: Sequence[Draw]) -> list[S]:
        """Encode prompts and source pictures; return one sample per draw, in order.

        All are of the weight set in use.
        """

    def step(self, samples: Sequence[S]) -> None:
        """Advance every sample by one step of its own schedule; all are of one size.

        Samples are left as they were when it raises.
        """

    def decode(self, samples: Sequence[S]) -> Decoded:
        """Issue the decoding of finished samples of one size."""

    def redo(self, draw: Draw) -> Pixels:
        """Draw one picture again in full precision. Raises BadOutput when it is unusable again."""

    def attend(self, busy: bool) -> None:
        """Hear that the thread has pictures to draw from now on, or none any more."""

    def stand_back(self) -> bool:
        """Let an engine that would draw faster go first for a moment; False where there is none.

        For a thread that was idle: whoever idles besides was woken with it.
        """

    def prepare(self, max_rows: int) -> None:
        """Get ready for calls of up to `max_rows` UNet rows, as far as that takes no time."""

    @property
    def full_speed(self) -> bool:
        """Whether `improve` has nothing left to do."""

    def improve(self, idle_seconds: float) -> bool:
        """Use spare time to get faster; False when there is nothing to do.

        Called after `idle_seconds` without work, and with 0 now and then while there is some.
        """

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Tell whether `error` means that the device had no memory left."""

    def free_memory(self) -> None:
        """Give cached device memory back after an out-of-memory error."""

    def peak_memory(self) -> int:
        """Return the most bytes in use so far, of the device or else of the process."""


class SoleOwner:
    """What a pipeline answers that shares neither its weights nor its cores."""

    settled = True

    def release(self) -> None:
        """Do nothing: nobody else wants the weights."""

    def wait(self, seconds: float) -> None:
        """Do nothing: nobody else has the weights."""

    def leave(self) -> None:
        """Do nothing: nobody waits for it."""

    def attend(self, busy: bool) -> None:
        """Do nothing: there are no cores to share."""

    def stand_back(self) -> bool:
        """Say that nobody is faster."""
        return False


def unet_rows(draw: Draw) -> int:
    """Return how many rows of a UNet call a draw takes: guidance adds an unconditional one."""
    return 2 if draw.guidance_scale > 1 else 1
