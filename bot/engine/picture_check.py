"""Judging pictures beside the drawing: a thread of its own, what waits together judged together.

Nothing unjudged is shown: where the check breaks or does not answer in time, the request fails.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from PIL import Image

from bot.errors import CheckFailed, QueueFull

log = logging.getLogger(__name__)

MAX_BATCH: Final = 8
MAX_WAITING: Final = 256

PATIENCE_SECONDS: Final = 60.0
"""How long a request waits for its verdict; a picture takes two busy cores seconds to judge."""


class Side(StrEnum):
    """Which way a picture goes."""

    INPUT = "input"
    OUTPUT = "output"


class Judge(Protocol):
    """A loaded model; it is called by one thread."""

    @property
    def device_name(self) -> str:
        """The device as people know it."""

    def flags(self, pictures: Sequence[Image.Image]) -> list[bool]:
        """Return for each RGB picture whether it is not for everyone."""


@dataclass(frozen=True, slots=True)
class CheckStats:
    """What the check has done so far; `judged` counts by side and by whether it was flagged.

    `unanswered` counts the latest requests, none of which got its verdicts, and `unanswered_s` is
    how long ago the last of them gave up. `call_s` is how long the model call under way has taken.
    Both are 0 where there is none.
    """

    device_name: str
    waiting: int
    failures: int
    judged: dict[tuple[Side, bool], int]
    unanswered: int = 0
    unanswered_s: float = 0.0
    call_s: float = 0.0


@dataclass(eq=False, slots=True)
class _Asked:
    picture: Image.Image
    verdict: asyncio.Future[bool] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class PictureCheck:
    """Judges pictures in order of arrival, up to `max_batch` in one model call.

    At most `max_waiting` wait; whoever comes then is asked to come back. Everything but the model
    itself runs on the event loop.
    """

    def __init__(
        self,
        make: Callable[[], Judge],
        *,
        max_batch: int = MAX_BATCH,
        max_waiting: int = MAX_WAITING,
        patience_s: float = PATIENCE_SECONDS,
    ) -> None:
        """Prepare; `make` loads the model, in the check's own thread."""
        self._make = make
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._patience_s = patience_s
        self._judge: Judge | None = None
        self._waiting: deque[_Asked] = deque()
        self._there_is_work = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="picture-check")
        self._working: asyncio.Task[None] | None = None
        self._judged: Counter[tuple[Side, bool]] = Counter()
        self._failures = 0
        self._unanswered = 0
        self._unanswered_at = 0.0
        self._called_at: float | None = None
        self._seconds_each = 0.1

    async def start(self) -> None:
        """Load the model and begin. Raises StartupError where it cannot be loaded."""
        loop = asyncio.get_running_loop()
        self._judge = await loop.run_in_executor(self._thread, self._make)
        log.info("pictures are judged on %s", self._judge.device_name)
        self._working = asyncio.create_task(self._work(), name="picture-check")

    async def stop(self) -> None:
        """Stop; whoever still waits for a verdict is told that there is none."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        _fail(self._waiting)
        self._waiting.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def stats(self) -> CheckStats:
        """Return what was done so far."""
        now = time.monotonic()
        return CheckStats(
            device_name=self._judge.device_name if self._judge else "",
            waiting=len(self._waiting),
            failures=self._failures,
            judged=dict(self._judged),
            unanswered=self._unanswered,
            unanswered_s=now - self._unanswered_at if self._unanswered else 0.0,
            call_s=now - self._called_at if self._called_at is not None else 0.0,
        )

    def admit(self) -> None:
        """Raise QueueFull where too much waits already; to be asked before anything is drawn."""
        if len(self._waiting) >= self._max_waiting:
            raise QueueFull("server", retry_after=self._max_waiting * self._seconds_each)

    async def judge(self, pictures: Sequence[Image.Image], side: Side) -> tuple[bool, ...]:
        """Return for each RGB picture whether it is not for everyone.

        Raises CheckFailed when there is no verdict within the check's patience.
        """
        asked = [_Asked(picture) for picture in pictures]
        self._waiting.extend(asked)
        self._there_is_work.set()
        try:
            async with asyncio.timeout(self._patience_s):
                verdicts = await asyncio.gather(*(one.verdict for one in asked))
        except TimeoutError:
            self._failures += 1
            self._note_unanswered()
            log.error("the picture check gave no verdict within %g s", self._patience_s)
            raise CheckFailed from None
        except CheckFailed:
            self._note_unanswered()
            raise
        finally:
            for one in asked:
                one.verdict.cancel()
        self._unanswered = 0
        self._judged.update((side, flagged) for flagged in verdicts)
        return tuple(verdicts)

    def _note_unanswered(self) -> None:
        self._unanswered += 1
        self._unanswered_at = time.monotonic()

    async def _work(self) -> None:
        while True:
            await self._there_is_work.wait()
            batch: list[_Asked] = []
            while self._waiting and len(batch) < self._max_batch:
                asked = self._waiting.popleft()
                # Nobody waits any more for a verdict that was cancelled.
                if not asked.verdict.done():
                    batch.append(asked)
            if not self._waiting:
                self._there_is_work.clear()
            if batch:
                await self._judge_batch(batch)

    async def _judge_batch(self, batch: list[_Asked]) -> None:
        """Give each picture its verdict; where the call fails, each gets a call of its own."""
        began = time.monotonic()
        try:
            verdicts = await self._call(batch)
        except asyncio.CancelledError:
            _fail(batch)
            raise
        except Exception:
            if len(batch) > 1:
                log.warning("judging %d pictures together failed; each alone", len(batch))
                for asked in batch:
                    await self._judge_batch([asked])
                return
            self._failures += 1
            log.exception("a picture could not be judged")
            _fail(batch)
            return
        self._seconds_each = (time.monotonic() - began) / len(batch)
        for asked, flagged in zip(batch, verdicts, strict=True):
            if not asked.verdict.done():
                asked.verdict.set_result(flagged)

    async def _call(self, batch: list[_Asked]) -> list[bool]:
        assert self._judge is not None
        pictures = [asked.picture for asked in batch]
        loop = asyncio.get_running_loop()
        self._called_at = time.monotonic()
        try:
            verdicts = await loop.run_in_executor(self._thread, self._judge.flags, pictures)
        finally:
            self._called_at = None
        if len(verdicts) != len(batch):
            raise ValueError("another number of verdicts than of pictures")
        return verdicts


def _fail(batch: Iterable[_Asked]) -> None:
    """Tell whoever still waits that there is no verdict."""
    for asked in batch:
        if not asked.verdict.done():
            asked.verdict.set_exception(CheckFailed())
