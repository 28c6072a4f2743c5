"""Moving windows on Redis, shared exactly by every process that uses the same server.

Each call is one Lua script, so Redis runs it whole, and the time is Redis' own: processes whose
clocks disagree still share one window. A window's keys carry the guild's id in braces, which keeps
them in one slot of a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from limits.aio.storage import RedisStorage
from limits.errors import ConfigurationError

from bot import exit_codes
from bot.errors import StartupError, install_hint
from bot.windows import Charged, Full, Usage, Window, keys_of, round_up

MAX_CONNECTIONS: Final = 16

# A stamp in the future (the server's clock was set back) is taken for now, so that a list stays
# sorted and a window is never longer than what is in it.
_NOW: Final = """
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('time')
    now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end
for _, key in ipairs(KEYS) do
    local newest = tonumber(redis.call('lindex', key, 0) or nil)
    if newest and newest > now then
        now = newest
    end
end
"""

_CHARGE: Final = (
    _NOW
    + """
local amount = tonumber(ARGV[2])
local full, longest = 0, 0
for i, key in ipairs(KEYS) do
    local limit, seconds, kept = unpack(ARGV, 3 * i, 3 * i + 2)
    limit, seconds, kept = tonumber(limit), tonumber(seconds), tonumber(kept)
    local oldest = tonumber(redis.call('lindex', key, -1) or nil)
    while oldest and oldest < now - kept do
        redis.call('rpop', key)
        oldest = tonumber(redis.call('lindex', key, -1) or nil)
    end
    local in_the_way = tonumber(redis.call('lindex', key, limit - amount) or nil)
    if in_the_way and in_the_way >= now - seconds then
        local wait = in_the_way + seconds - now
        if full == 0 or wait > longest then
            full, longest = i, wait
        end
    end
end
if full > 0 then
    return {full, string.format('%.6f', longest)}
end
local stamp = string.format('%.6f', now)
for i, key in ipairs(KEYS) do
    -- Windows that share a key count the same images.
    if key ~= KEYS[i - 1] then
        for _ = 1, amount do
            redis.call('lpush', key, stamp)
        end
        redis.call('expire', key, tonumber(ARGV[3 * i + 2]) + 1)
    end
end
return {0, stamp}
"""
)

_RELEASE: Final = """
for _, key in ipairs(KEYS) do
    redis.call('lrem', key, tonumber(ARGV[2]), ARGV[1])
end
"""

_USAGE: Final = (
    _NOW
    + """
local usages = {}
for i, key in ipairs(KEYS) do
    local seconds = tonumber(ARGV[i + 1])
    local used, resets = 0, 0
    for _, stamp in ipairs(redis.call('lrange', key, 0, -1)) do
        if tonumber(stamp) >= now - seconds then
            used = used + 1
            resets = math.max(resets, tonumber(stamp) + seconds - now)
        end
    end
    usages[i] = {used, string.format('%.6f', resets)}
end
return usages
"""
)


class RedisWindows(RedisStorage):
    """Windows on one Redis server.

    `timeout_s` bounds every wait on the network; nothing is tried twice, because a script whose
    answer was lost may have run.
    """

    def __init__(
        self,
        uri: str,
        *,
        key_prefix: str,
        timeout_s: float,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Prepare, without connecting. Raises StartupError if the address or package is wrong."""
        try:
            self._pool = _pool(uri, timeout_s)
            super().__init__(
                uri,
                implementation="redispy",
                key_prefix=key_prefix,
                connection_pool=self._pool,
            )
        except (ConfigurationError, ValueError) as error:
            raise StartupError(
                "TURBOCORD_LIMITS_URL is not an address that Redis limits understand: it looks "
                "like async+redis://host:6379/0",
                exit_code=exit_codes.CONFIG,
            ) from error
        self._clock = clock
        client: Any = self.bridge.storage  # type: ignore[attr-defined]  # only the redispy bridge has it
        self._charge = client.register_script(_CHARGE)
        self._release = client.register_script(_RELEASE)
        self._usage = client.register_script(_USAGE)

    def _keys(self, windows: Sequence[Window]) -> list[str]:
        return [self.bridge.prefixed_key(window.key) for window in windows]

    def _now(self) -> str:
        """Return the time for a script, empty for Redis' own."""
        return "" if self._clock is None else f"{self._clock():.6f}"

    async def charge(self, windows: Sequence[Window], amount: int) -> Charged | Full:
        """Put `amount` images into every window, or into none."""
        kept = keys_of(windows)
        sizes = [
            number
            for window in windows
            for number in (window.limit, window.seconds, kept[window.key])
        ]
        full, number = await self._charge(
            keys=self._keys(windows), args=[self._now(), amount, *sizes]
        )
        return Full(int(full) - 1, round_up(float(number))) if full else Charged(float(number))

    async def release(self, windows: Sequence[Window], amount: int, stamp: float) -> None:
        """Take the images of one charge out again."""
        keys = [self.bridge.prefixed_key(key) for key in keys_of(windows)]
        await self._release(keys=keys, args=[f"{stamp:.6f}", amount])

    async def usage(self, windows: Sequence[Window]) -> list[Usage]:
        """Return what each window holds now."""
        rows = await self._usage(
            keys=self._keys(windows), args=[self._now(), *(window.seconds for window in windows)]
        )
        return [Usage(int(used), round_up(float(resets)) if used else 0.0) for used, resets in rows]

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


def server_address(uri: str) -> str:
    """Return the address of `TURBOCORD_LIMITS_URL` in the form that the package redis takes."""
    return uri.removeprefix("async+").replace("redis+unix", "unix", 1)


def _pool(uri: str, timeout_s: float) -> Any:
    """Return a bounded pool of connections that neither wait long nor try twice."""
    try:
        from redis.asyncio import BlockingConnectionPool
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise StartupError(
            f"Limits on Redis need the package redis: {install_hint('redis')}",
            exit_code=exit_codes.CONFIG,
        ) from error
    return BlockingConnectionPool.from_url(
        server_address(uri),
        max_connections=MAX_CONNECTIONS,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


def outage_errors() -> tuple[type[Exception], ...]:
    """Return what a call on Redis raises when the server does not do its part."""
    from redis.exceptions import RedisError

    return (RedisError, OSError, TimeoutError)
