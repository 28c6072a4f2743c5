"""Rate limits in Discord's manner: buckets per route and major id, and one over all routes."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from bot.sandbox.clock import Clock

GLOBAL_PER_SECOND: Final = 50
INVALID_LIMIT: Final = 10_000
INVALID_WINDOW_S: Final = 600.0


@dataclass(frozen=True)
class Bucket:
    """How many calls of a kind may come in a window of seconds."""

    name: str
    limit: int
    per_s: float


@dataclass
class _Window:
    remaining: int
    resets_at: float


@dataclass(frozen=True)
class Verdict:
    """Whether a call may pass, and the headers that say how things stand."""

    headers: dict[str, str]
    refused_for_s: float | None = None
    is_global: bool = False

    def body(self) -> dict[str, Any]:
        """Return the body of the 429."""
        return {
            "message": "You are being rate limited.",
            "retry_after": round(self.refused_for_s or 0.0, 3),
            "global": self.is_global,
        }


class RateLimits:
    """Counts calls; a window opens with its first call, as Discord's do."""

    def __init__(self, clock: Clock, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self._clock = clock
        self._windows: dict[tuple[str, str], _Window] = {}
        self._recent: deque[float] = deque()
        self._invalid: deque[float] = deque()

    def take(self, bucket: Bucket, major: str, *, count_globally: bool) -> Verdict:
        """Count one call against its bucket and, for bot-token routes, against the global limit."""
        now = self._clock.now()
        if self.enabled and count_globally:
            while self._recent and self._recent[0] <= now - 1.0:
                self._recent.popleft()
            if len(self._recent) >= GLOBAL_PER_SECOND:
                wait = self._recent[0] + 1.0 - now
                return Verdict(_refusal_headers(wait, "global"), wait, is_global=True)
            self._recent.append(now)
        window = self._windows.get((bucket.name, major))
        if window is None or window.resets_at <= now:
            self._prune(now)
            window = _Window(bucket.limit, now + bucket.per_s)
            self._windows[bucket.name, major] = window
        headers = {
            "X-RateLimit-Limit": str(bucket.limit),
            "X-RateLimit-Reset": f"{window.resets_at:.3f}",
            "X-RateLimit-Reset-After": f"{window.resets_at - now:.3f}",
            "X-RateLimit-Bucket": hashlib.md5(
                bucket.name.encode(), usedforsecurity=False
            ).hexdigest(),
        }
        if window.remaining <= 0 and self.enabled:
            wait = window.resets_at - now
            headers |= {"X-RateLimit-Remaining": "0"} | _refusal_headers(wait, "user")
            return Verdict(headers, wait)
        window.remaining = max(0, window.remaining - 1)
        headers["X-RateLimit-Remaining"] = str(window.remaining if self.enabled else bucket.limit)
        return Verdict(headers)

    def note_invalid(self) -> None:
        """Count a 401, 403 or 429 towards the ban that 10,000 of them in ten minutes bring."""
        self._invalid.append(self._clock.now())

    @property
    def invalid(self) -> int:
        """How many invalid answers the last ten minutes saw."""
        since = self._clock.now() - INVALID_WINDOW_S
        while self._invalid and self._invalid[0] < since:
            self._invalid.popleft()
        return len(self._invalid)

    @property
    def banned(self) -> bool:
        """Whether the host has made too many invalid requests to be heard at all."""
        return self.enabled and self.invalid >= INVALID_LIMIT

    def _prune(self, now: float) -> None:
        if len(self._windows) > 4096:
            self._windows = {k: w for k, w in self._windows.items() if w.resets_at > now}


def _refusal_headers(wait: float, scope: str) -> dict[str, str]:
    headers = {"Retry-After": f"{wait:.3f}", "X-RateLimit-Scope": scope}
    if scope == "global":
        headers["X-RateLimit-Global"] = "true"
    return headers
