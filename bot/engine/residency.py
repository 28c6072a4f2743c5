"""What one device holds: a model of several, a LoRA of several in it, and whose turn it is.

All engines of a device draw with the same weights, so they change together: whoever draws holds the
weights, and they are changed by the first who asks for others once nobody holds them.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from bot import exit_codes
from bot.engine.pipeline import TurboPipeline
from bot.errors import StartupError, WeightsUnavailable
from bot.models.loader import LoadedModel, free_device_memory
from bot.request import WeightSet

log = logging.getLogger(__name__)

LEAST_TURN: Final = 0.5
"""Seconds that weights stay in, at the least, while somebody waits for others."""

TURN_FOR_CHANGE: Final = 4.0
"""They stay this many times as long as changing took: a fifth of the time at most is lost to it."""

TRY_AGAIN: Final = 60.0
"""Seconds before a model that could not be loaded is tried again, at the others' expense."""

Read = Callable[[str], LoadedModel]
Wrap = Callable[[LoadedModel], TurboPipeline]


class Residency:
    """The weights in one device's memory. Thread-safe.

    `read` loads a model by name ("" is the first one) onto the device, and `wrap` makes a pipeline
    of it. Models that wait keep at most `waiting_bytes` of host memory; the rest are read anew.
    What is read belongs to the residency, which releases its memory when it lets go of it.
    """

    def __init__(
        self,
        read: Read,
        wrap: Wrap,
        *,
        waiting_bytes: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.weight_set = WeightSet()
        self.device_name = ""
        self.waiting_bytes = waiting_bytes
        self.resident: TurboPipeline | None = None
        """The pipeline of the model that is in; None while models change."""
        self._read = read
        self._wrap = wrap
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, LoadedModel] = OrderedDict()
        self._pipelines: dict[Hashable, TurboPipeline] = {}
        self._holders: set[Hashable] = set()
        self._lent = False
        self._until = clock()
        self._refused: dict[WeightSet, tuple[float, WeightsUnavailable]] = {}

    @property
    def settled(self) -> bool:
        """Whether the weights have had their turn, so that who waits for others may have it."""
        return self._clock() >= self._until

    @property
    def waiting(self) -> tuple[str, ...]:
        """The names of the models that wait in host memory, the longest unused first."""
        return tuple(self._waiting)

    def pipeline_of(self, engine: Hashable) -> TurboPipeline:
        """Return the engine's own pipeline of the model that is in. Raises StartupError."""
        with self._changed:
            found = self._pipelines.get(engine)
            if found is None:
                if self.resident is None:
                    self.resident = self._wrap(self._read(self.weight_set.model))
                    self.device_name = self.resident.device_name
                # The first engine has the resident one itself.
                lent, self._lent = self._lent, True
                found = self.resident.sibling() if lent else self.resident
                self._pipelines[engine] = found
            return found

    def use(self, engine: Hashable, weight_set: WeightSet) -> bool:
        """Hold these weights until `release`; False while another engine holds others.

        Raises WeightsUnavailable when they cannot be had; those from before stay in.
        """
        with self._changed:
            if weight_set != self.weight_set:
                if self._holders - {engine}:
                    return False
                self._change(weight_set)
            self._holders.add(engine)
            return True

    def release(self, engine: Hashable) -> None:
        """Let the weights be changed, as far as this engine is concerned."""
        with self._changed:
            self._holders.discard(engine)
            self._changed.notify_all()

    def __del__(self) -> None:
        # The worker that drew with these weights was replaced, and its successor has its own: their
        # memory is free now, and not when the collector finds them, if it ever does.
        if sys.is_finalizing():
            return
        resident = [self.resident.model] if self.resident is not None else []
        for model in (*resident, *self._waiting.values()):
            model.discard()

    def leave(self, engine: Hashable) -> None:
        """Forget an engine that draws no more. Never waits: the event loop calls it."""
        # Both are single operations of built-in types, and so safe without the lock, which somebody
        # may hold for as long as a model loads, or for ever.
        self._holders.discard(engine)
        self._pipelines.pop(engine, None)

    def wait(self, seconds: float) -> None:
        """Wait until somebody releases the weights, at most `seconds`."""
        with self._changed:
            self._changed.wait(seconds)

    def _change(self, wanted: WeightSet) -> None:
        """Change model and LoRA, whichever differ; remember for a while what cannot be had."""
        for part in (WeightSet(wanted.model), wanted):
            until, known = self._refused.get(part, (0.0, None))
            if known is not None and self._clock() < until:
                raise _again(known)
        started = self._clock()
        try:
            if wanted.model != self.weight_set.model or self.resident is None:
                self._load(wanted.model)
            assert self.resident is not None
            self.resident.model.merger.merge(wanted.lora)
        except WeightsUnavailable as error:
            log.error("The weights cannot be changed: %s", error)
            failed = wanted if error.code != error.default_code else WeightSet(wanted.model)
            # A copy: the error itself holds on to the frames it came through, models and all.
            self._refused[failed] = (self._clock() + TRY_AGAIN, _again(error))
            raise
        finally:
            if self.resident is not None:
                merged = self.resident.model.merger.merged
                self.weight_set = WeightSet(self.weight_set.model, merged)
            now = self._clock()
            self._until = now + max(LEAST_TURN, TURN_FOR_CHANGE * (now - started))

    def _load(self, name: str) -> None:
        """Put the model `name` in the other one's place; put that back if it cannot be loaded.

        Raises WeightsUnavailable then, or StartupError where neither can be had.
        """
        before = self.weight_set.model
        started = self._clock()
        # Out of the waiting room first, so that two models can change places where there is room
        # for one: for that moment host memory holds both.
        coming = self._waiting.pop(name, None)
        self._put_away(before)
        try:
            self._bring(name, coming)
        except Exception as error:
            reason = str(error) if isinstance(error, StartupError) else repr(error)
            log.debug("The model %r cannot be brought in", name, exc_info=error)
        else:
            log.info("Changed models, to %r, in %.1f s", name, self._clock() - started)
            return
        # Outside the handler: the traceback would keep what there is of the model on the device,
        # where the other one needs the room.
        free_device_memory()
        self._bring_back(before)
        raise WeightsUnavailable("model_unavailable", name=name, reason=reason)

    def _bring_back(self, name: str) -> None:
        try:
            self._bring(name, self._waiting.pop(name, None))
        except Exception as error:
            log.exception("The model %r cannot be brought back", name)
            raise StartupError(
                f"The model {name!r} cannot be brought back onto the device: {error}",
                exit_code=exit_codes.MODEL,
            ) from error

    def _put_away(self, name: str) -> None:
        """Free the device's memory of the resident model; keep it in the host's where it may be."""
        if self.resident is None:
            return
        pipeline, self.resident = self.resident, None
        self._pipelines.clear()
        self._lent = False
        model = pipeline.model
        pipeline.close()
        model.merger.forget()
        size = model.nbytes
        while self._waiting and self._waiting_size() + size > self.waiting_bytes:
            _, unused = self._waiting.popitem(last=False)
            unused.discard()
        if size <= self.waiting_bytes:
            model.leave_device()
            self._waiting[name] = model
        else:
            model.discard()
        del pipeline, model
        free_device_memory()

    def _bring(self, name: str, model: LoadedModel | None) -> None:
        """Make a model the resident one; what cannot be is not kept, wherever it waited."""
        try:
            if model is not None:
                model.enter_device()
            else:
                model = self._read(name)
            self.resident = self._wrap(model)
        except BaseException:
            if model is not None:
                model.discard()
            raise
        self.weight_set = WeightSet(name)

    def _waiting_size(self) -> int:
        return sum(model.nbytes for model in self._waiting.values())


def _again(error: WeightsUnavailable) -> WeightsUnavailable:
    return WeightsUnavailable(error.code, **error.details)
