"""May this guild and this member have more pictures now?

Two moving windows decide: the guild's and the member's in it, or the user's alone outside guilds.
Both must have room, or neither is charged. A guild may choose its own; the operator's then holds
besides, where the guild's would let more through. The cost is images, and images that were never
drawn come back.

With Redis the windows are shared by every process. While Redis is away this process decides alone
by windows of its own, which it has kept up to date with what it admitted: a lost Redis never stops
the drawing, and at worst every process grants a guild's quota once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bot import exit_codes
from bot.errors import RateLimited, StartupError
from bot.redis_windows import RedisWindows, outage_errors
from bot.windows import Charged, Full, MemoryWindows, Usage, Window

log = logging.getLogger(__name__)

REDIS_SCHEMES: Final = ("async+redis://", "async+rediss://", "async+redis+unix://")


@dataclass(frozen=True, slots=True)
class Quota:
    """`count` images in any `per_seconds` seconds."""

    count: int
    per_seconds: int


@dataclass(eq=False, slots=True)
class Admission:
    """Images that were admitted; hand it to `RateLimiter.refund` if they are not drawn."""

    cost: int
    windows: tuple[Window, ...]
    local_stamp: float
    shared_stamp: float | None = None
    refunded: bool = False


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of one window: `left` of `limit` images, all back in `resets_in` seconds."""

    left: int
    limit: int
    per_seconds: int
    resets_in: float


@dataclass(frozen=True, slots=True)
class Remaining:
    """What a guild and a member have left; `guild` is None outside guilds."""

    guild: Allowance | None
    member: Allowance


class RateLimiter:
    """Admits images by guild and member.

    `outages` counts the times Redis went away, `local_admissions` the requests that were decided
    without it. `clock` replaces every clock, Redis' own included; tests use it.
    """

    def __init__(
        self,
        *,
        storage_uri: str = "async+memory://",
        guild: Quota,
        member: Quota,
        namespace: str = "turbocord",
        timeout_s: float = 0.5,
        retry_seconds: float = 5.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Prepare, without connecting. Raises StartupError if `storage_uri` is of no use."""
        self.guild = guild
        self.member = member
        self.outages = 0
        self.local_admissions = 0
        self._clock = clock or time.monotonic
        self._retry_seconds = retry_seconds
        self._retry_at: float | None = None
        self._timeout_s = timeout_s
        self._local = MemoryWindows(clock=self._clock)
        self._shared: RedisWindows | None = None
        self._outage_errors: tuple[type[Exception], ...] = ()
        self._background: set[asyncio.Task[None]] = set()
        if storage_uri.startswith(REDIS_SCHEMES):
            self._shared = RedisWindows(
                storage_uri, key_prefix=namespace, timeout_s=timeout_s, clock=clock
            )
            self._outage_errors = outage_errors()
        elif storage_uri != "async+memory://":
            raise StartupError(
                "TURBOCORD_LIMITS_URL must be async+memory:// or start with one of "
                + ", ".join(REDIS_SCHEMES),
                exit_code=exit_codes.CONFIG,
            )

    @property
    def degraded(self) -> bool:
        """Whether Redis is away and this process decides alone."""
        return self._retry_at is not None

    @property
    def tracked(self) -> int:
        """How many windows this process holds in memory."""
        return len(self._local.events)

    async def admit(
        self,
        *,
        guild_id: int | None,
        user_id: int,
        cost: int,
        guild_quota: Quota | None = None,
        member_quota: Quota | None = None,
    ) -> Admission:
        """Charge `cost` images to the guild and the member.

        The quotas are a guild's own, within this limiter's. Raises RateLimited, with nothing
        charged; where several windows are full it tells of the one that takes longest.
        """
        if cost < 1:
            raise ValueError(f"cost must be at least 1, got {cost}")
        windows = self._windows(guild_id, user_id, guild_quota, member_quota)
        for window in windows:
            if cost > window.limit:
                raise _refusal(window, None, cost)
        if self._shared is not None and self._may_try():
            try:
                verdict = await self._charge_shared(self._shared, windows, cost)
            except self._outage_errors as error:
                self._went_away(error)
            else:
                self._came_back()
                if isinstance(verdict, Full):
                    raise _refusal(windows[verdict.index], verdict.wait, cost)
                local_stamp = self._local.record(windows, cost)
                return Admission(cost, windows, local_stamp, verdict.stamp)
        verdict = await self._local.charge(windows, cost)
        if isinstance(verdict, Full):
            raise _refusal(windows[verdict.index], verdict.wait, cost)
        if self._shared is not None:
            self.local_admissions += 1
        return Admission(cost, windows, verdict.stamp)

    async def refund(self, admission: Admission) -> None:
        """Give back exactly the images of `admission`; doing so again does nothing.

        What was charged on Redis while Redis is away stays there until its window has passed.
        """
        if admission.refunded:
            return
        admission.refunded = True
        await self._local.release(admission.windows, admission.cost, admission.local_stamp)
        if self._shared is None or admission.shared_stamp is None or not self._may_try():
            return
        try:
            async with asyncio.timeout(self._timeout_s * 2):
                await self._shared.release(
                    admission.windows, admission.cost, admission.shared_stamp
                )
        except self._outage_errors as error:
            self._went_away(error)
        else:
            self._came_back()

    async def remaining(
        self,
        *,
        guild_id: int | None,
        user_id: int,
        guild_quota: Quota | None = None,
        member_quota: Quota | None = None,
    ) -> Remaining:
        """Return what the guild and the member have left now; charges nothing.

        Where two windows hold for one of them it is the one with less left.
        """
        windows = self._windows(guild_id, user_id, guild_quota, member_quota)
        usages: list[Usage] | None = None
        if self._shared is not None and self._may_try():
            try:
                async with asyncio.timeout(self._timeout_s * 2):
                    usages = await self._shared.usage(windows)
            except self._outage_errors as error:
                self._went_away(error)
            else:
                self._came_back()
        if usages is None:
            usages = await self._local.usage(windows)
        tightest: dict[str, Allowance] = {}
        for window, usage in zip(windows, usages, strict=True):
            allowance = Allowance(
                left=max(0, window.limit - usage.used),
                limit=window.limit,
                per_seconds=window.seconds,
                resets_in=usage.resets_in,
            )
            known = tightest.setdefault(window.scope, allowance)
            if allowance.left < known.left:
                tightest[window.scope] = allowance
        return Remaining(tightest.get("guild"), tightest["member"])

    async def close(self) -> None:
        """Finish what was cut off by cancellation and close the connections."""
        await asyncio.gather(*self._background)
        if self._shared is not None:
            await self._shared.close()
        await self._local.close()

    def _windows(
        self,
        guild_id: int | None,
        user_id: int,
        guild_quota: Quota | None,
        member_quota: Quota | None,
    ) -> tuple[Window, ...]:
        """Return the windows that hold for the guild, if any, then for the member.

        The quota is no part of the key: a guild that changes its limits keeps its window.
        """
        if guild_id is None:
            return _within("member", f"{{u{user_id}}}", member_quota, self.member)
        return (
            *_within("guild", f"{{g{guild_id}}}", guild_quota, self.guild),
            *_within("member", f"{{g{guild_id}}}:m{user_id}", member_quota, self.member),
        )

    async def _charge_shared(
        self, shared: RedisWindows, windows: tuple[Window, ...], cost: int
    ) -> Charged | Full:
        """Charge on Redis; a caller who is cancelled meanwhile gets the images back."""

        async def charge() -> Charged | Full:
            async with asyncio.timeout(self._timeout_s * 2):
                return await shared.charge(windows, cost)

        task = asyncio.ensure_future(charge())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            undo = asyncio.ensure_future(self._undo(shared, task, windows, cost))
            self._background.add(undo)
            undo.add_done_callback(self._background.discard)
            raise

    async def _undo(
        self,
        shared: RedisWindows,
        task: asyncio.Future[Charged | Full],
        windows: Sequence[Window],
        cost: int,
    ) -> None:
        """Wait for a charge nobody waits for any more, and take it back."""
        try:
            verdict = await task
            if isinstance(verdict, Charged):
                await shared.release(windows, cost, verdict.stamp)
        except self._outage_errors as error:
            self._went_away(error)

    def _may_try(self) -> bool:
        """Return whether to ask Redis: always while it is there, now and then while it is away."""
        if self._retry_at is None:
            return True
        now = self._clock()
        if now < self._retry_at:
            return False
        # Moved on before the attempt, so that one request tries and the others do not wait for it.
        self._retry_at = now + self._retry_seconds
        return True

    def _went_away(self, error: Exception) -> None:
        if self._retry_at is None:
            self.outages += 1
            log.warning(
                "Redis is away (%s: %s): limits are counted by this process alone until it is back",
                type(error).__name__,
                error,
            )
        self._retry_at = self._clock() + self._retry_seconds

    def _came_back(self) -> None:
        if self._retry_at is not None:
            self._retry_at = None
            log.warning("Redis is back: limits are shared again")


def _within(
    scope: str, key: str, chosen: Quota | None, ceiling: Quota
) -> tuple[Window] | tuple[Window, Window]:
    """Return the window of a guild's choice, and the operator's where that would hold it back.

    A hundred a day is fewer than twenty a minute, and still must not all come in one minute. Both
    look at the same images, which are remembered for as long as the operator's window asks
    whatever is chosen: going to and fro between quotas must not make it forget.
    """
    operator = Window(key, ceiling.count, ceiling.per_seconds, scope)
    if chosen is None:
        return (operator,)
    own = Window(key, chosen.count, chosen.per_seconds, scope, longest=ceiling.per_seconds)
    if chosen.count <= ceiling.count and chosen.per_seconds >= ceiling.per_seconds:
        return (own,)
    return own, operator


def _refusal(window: Window, retry_after: float | None, cost: int) -> RateLimited:
    """Return the error for the window that refused."""
    return RateLimited(
        window.scope,
        retry_after=retry_after,
        limit=window.limit,
        per_seconds=window.seconds,
        cost=cost,
    )
