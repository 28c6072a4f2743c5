"""Is the bot able to answer now, and if not, why?"""

from __future__ import annotations

from dataclasses import dataclass

from bot.engine.picture_check import PATIENCE_SECONDS, CheckStats
from bot.engine.scheduler import EngineStats
from bot.web.parts import Parts, is_connected

STUCK_SECONDS = 120.0
"""Twice the time after which a wedged device is replaced: by then work should flow again."""

UNANSWERED = 3
"""Requests in a row without a verdict that are no accident: one picture may be at fault."""

REMEMBERED_SECONDS = 300.0
"""How long they count. Where nobody asks an unready process, nothing else could end it."""


@dataclass(slots=True)
class QueueWatch:
    """Notices a queue in which something waits and nothing happens.

    `look` must be called now and then; the time, any monotonic one in seconds, is an argument.
    """

    stuck_seconds: float = STUCK_SECONDS
    still_since: float | None = None
    _progress: tuple[int, ...] = ()

    def look(self, stats: EngineStats, now: float) -> None:
        """Compare with the last look. A UNet call is progress, a member who gives up is not."""
        progress = (stats.drawn, stats.failed, sum(stats.batch_sizes.values()))
        idle = stats.waiting + stats.running == 0
        if idle or progress != self._progress:
            self.still_since = None if idle else now
        elif self.still_since is None:
            self.still_since = now
        self._progress = progress

    def still_for(self, now: float) -> float:
        """Return the seconds since anything last happened to what waits; 0 while idle."""
        return 0.0 if self.still_since is None else now - self.still_since

    def is_stuck(self, now: float) -> bool:
        """Return whether nothing has happened for too long."""
        return self.still_for(now) > self.stuck_seconds


def reasons_not_alive(parts: Parts) -> list[str]:
    """Return why only a new process would help; empty where there is no such reason."""
    if parts.engine is not None and parts.engine().state == "failed":
        return ["engine: no device is left"]
    return []


def reasons_not_ready(parts: Parts, queue: QueueWatch, now: float) -> list[str]:
    """Return why no request can be answered now; empty when one can."""
    reasons: list[str] = []
    if parts.engine is None:
        reasons.append("engine: starting")
    elif not (stats := parts.engine()).ready:
        reasons.append(f"engine: {stats.state}")
    elif queue.is_stuck(now):
        still = queue.still_for(now)
        waiting = stats.waiting + stats.running
        reasons.append(f"queue: nothing moved for {still:.0f} s with {waiting} pictures in it")
    if parts.check is not None:
        reasons.extend(_of_check(parts.check()))
    if parts.requests is not None and parts.requests.is_draining:
        reasons.append("requests: stopping")
    if parts.needs_gateway:
        if parts.gateway is None:
            reasons.append("gateway: starting")
        elif not is_connected(parts.gateway):
            reasons.append("gateway: not connected")
    return reasons


def _of_check(stats: CheckStats) -> list[str]:
    """Return why no picture is judged now; what is not judged is not shown."""
    if stats.call_s > PATIENCE_SECONDS:
        return [f"picture check: no answer for {stats.call_s:.0f} s"]
    if stats.unanswered >= UNANSWERED and stats.unanswered_s <= REMEMBERED_SECONDS:
        return [f"picture check: no verdict for the last {stats.unanswered} requests"]
    return []
