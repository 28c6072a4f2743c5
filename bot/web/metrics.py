"""What Prometheus reads: requests and stages as they end, everything else when it asks.

No label carries a prompt, a user or a guild: their number has no bound, and a monitoring system
is no place for them.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from bot import __version__
from bot.conversation import Outcome
from bot.errors import RateLimited
from bot.web.parts import Parts
from bot.web.snapshot import Snapshot

STAGE_BUCKETS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75),
    *(1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 120.0),
)
"""Seconds; dense around the tenths of a second in which a picture feels instant."""

LAG_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

SHARE: Final = "share"

STAGES: Final = ("intake", "check", "queue", "pipeline", "encode", "total")


class Metrics:
    """Every metric of one process, in a registry of its own.

    Put `observe` among the studio's observers and `observe_lag` among those of the loop's lag;
    `parts` is read at each scrape.
    """

    def __init__(self, parts: Parts) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(Snapshot(parts, version=__version__))
        self._requests = Counter(
            "turbocord_requests",
            "Requests by how they ended; code is the refusal or failure, empty for pictures.",
            ("outcome", "kind", "code"),
            registry=self.registry,
        )
        self._pictures = Counter(
            "turbocord_pictures", "Pictures handed over.", ("kind",), registry=self.registry
        )
        self._limited = Counter(
            "turbocord_rate_limited",
            "Requests refused because a window was used up.",
            ("scope",),
            registry=self.registry,
        )
        self._stages = Histogram(
            "turbocord_stage_seconds",
            "Where the time of requests that ended in pictures went.",
            ("stage",),
            buckets=STAGE_BUCKETS,
            registry=self.registry,
        )
        self._lag = Histogram(
            "turbocord_loop_lag_seconds",
            "How late the event loop was.",
            buckets=LAG_BUCKETS,
            registry=self.registry,
        )
        # A series that is there from the start gives rate() its zero.
        for scope in ("guild", "member"):
            self._limited.labels(scope)
        for stage in STAGES:
            self._stages.labels(stage)

    def observe(self, outcome: Outcome) -> None:
        """Count a request that has ended."""
        self._requests.labels(outcome.state.value, outcome.kind, outcome.code or "").inc()
        if (scope := _limited_scope(outcome.code)) is not None:
            self._limited.labels(scope).inc()
        if outcome.result is None:
            return
        self._pictures.labels(outcome.kind).inc(len(outcome.result.pictures))
        if outcome.kind == SHARE:
            return  # its time was counted when it was drawn
        timings = outcome.result.timings
        for stage in STAGES:
            self._stages.labels(stage).observe(getattr(timings, f"{stage}_ms") / 1000)

    def observe_lag(self, seconds: float) -> None:
        """Note one measurement of the event loop's lag."""
        self._lag.observe(seconds)


def _limited_scope(code: str | None) -> str | None:
    """Return `guild` or `member` for the codes of RateLimited, else None."""
    for prefix in (f"{RateLimited.default_code}_", "over_limit_"):
        if code is not None and code.startswith(prefix):
            return code.removeprefix(prefix)
    return None
