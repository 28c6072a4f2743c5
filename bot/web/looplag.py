"""How late the event loop is: every reply, heartbeat and probe waits at least that long."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

Listener = Callable[[float], None]


class LoopLag:
    """Asks to be woken every `interval_s` and measures how much later it was.

    Each of `listeners` hears every lag, in seconds, on the event loop. A lag above `warn_s` is
    logged: Discord may have waited that long for its heartbeat.
    """

    def __init__(
        self, *listeners: Listener, interval_s: float = 0.5, warn_s: float = 1.0, keep: int = 120
    ) -> None:
        self.interval_s = interval_s
        self.warn_s = warn_s
        self._listeners = listeners
        self._recent: deque[float] = deque(maxlen=keep)

    @property
    def last(self) -> float:
        """Seconds of the last measurement; 0 before the first."""
        return self._recent[-1] if self._recent else 0.0

    @property
    def worst(self) -> float:
        """Seconds of the worst of the last `keep` measurements."""
        return max(self._recent, default=0.0)

    async def measure(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self.interval_s
            await asyncio.sleep(self.interval_s)
            self._note(max(0.0, loop.time() - due))

    def _note(self, lag: float) -> None:
        self._recent.append(lag)
        if lag > self.warn_s:
            log.warning(
                "the event loop woke %.1f s late: something blocks it, or the machine has too much "
                "to do",
                lag,
            )
        for listener in self._listeners:
            try:
                listener(lag)
            except Exception:
                # The next measurement matters more than one that was not heard.
                log.exception("a listener of the event loop's lag failed")
