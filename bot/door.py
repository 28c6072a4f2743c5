"""Who comes in when: acknowledge first, work later, however many come in one moment."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol

RUSH: Final = 16
"""So many arrivals within a moment are a rush."""

MOMENT_SECONDS: Final = 0.15

AT_A_TIME: Final = 8
"""Requests let in before the event loop looks around: a few milliseconds of work."""

PATIENCE_SECONDS: Final = 0.5
"""How long those who are acknowledged wait for those who are not."""

BUSY: Final = 8
"""With fewer requests open, the time between two answers does not say how fast they can be."""

FIRST_GUESS_SECONDS: Final = 0.03
SHARE: Final = 0.1


class Visitor(Protocol):
    """What the door asks of a request's reply."""

    def hasten(self) -> None:
        """Acknowledge now, unless an answer came first."""

    async def acknowledged(self) -> None:
        """Return when no acknowledgement is on its way any more."""


class Door:
    """Sees that whoever comes in a rush is acknowledged before anyone of it is worked for.

    `pace` is how many seconds lie between two answers while many wait, `open` how many requests
    are not answered yet, `rushed` how many came in a rush so far and were held back.
    """

    def __init__(self, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.open = 0
        self.rushed = 0
        self.pace = FIRST_GUESS_SECONDS
        self._clock = clock
        self._arrivals: deque[float] = deque(maxlen=RUSH)
        self._unhurried: set[Visitor] = set()
        self._acknowledging = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._letting_in: asyncio.Task[None] | None = None
        self._answered_at: float | None = None

    @contextmanager
    def visit(self, visitor: Visitor) -> Iterator[None]:
        """Count a request as open from its arrival to its answer."""
        self.open += 1
        self._arrivals.append(self._clock())
        self._unhurried.add(visitor)
        try:
            yield
        finally:
            self.open -= 1
            self._unhurried.discard(visitor)
            self._learn()

    @property
    def wait_seconds(self) -> float:
        """How long whoever comes now waits for an answer, by how many are before them.

        0 with few, however slow it was when there were many: the pace is learnt from those alone.
        """
        return self.open * self.pace if self.open >= BUSY else 0.0

    @property
    def is_rushed(self) -> bool:
        """Whether many came within the last moment."""
        arrivals = self._arrivals
        return len(arrivals) == RUSH and self._clock() - arrivals[0] < MOMENT_SECONDS

    async def enter(self, visitor: Visitor) -> None:
        """Return when this request may be worked for: at once, unless there is a rush.

        In a rush everyone is acknowledged first, those included who were to be answered directly.
        """
        if not self.is_rushed:
            return
        self.rushed += 1
        unhurried, self._unhurried = self._unhurried, set()
        for each in unhurried:
            each.hasten()
        self._acknowledging += 1
        try:
            await visitor.acknowledged()
        finally:
            self._acknowledging -= 1
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        if self._letting_in is None:
            self._letting_in = asyncio.create_task(self._let_in(), name="door")
        await turn

    async def _let_in(self) -> None:
        """Let those who wait in, a few at a time."""
        until = self._clock() + PATIENCE_SECONDS
        while self._queue:
            if self._acknowledging and self._clock() < until:
                await asyncio.sleep(0.005)
                continue
            for _ in range(min(AT_A_TIME, len(self._queue))):
                turn = self._queue.popleft()
                with suppress(asyncio.InvalidStateError):  # its request was cancelled
                    turn.set_result(None)
            await asyncio.sleep(0)
        self._letting_in = None

    def _learn(self) -> None:
        """Take the time since the last answer into account, while enough others wait."""
        now, before = self._clock(), self._answered_at
        self._answered_at = now if self.open >= BUSY else None
        if before is not None:
            self.pace += SHARE * (now - before - self.pace)
