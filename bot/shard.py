"""A shard that a frame nobody can read does not end: it connects anew."""

from __future__ import annotations

import importlib
import logging
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import discord

log = logging.getLogger(__name__)


def _zstd_errors() -> Iterator[type[Exception]]:
    """Yield what broken data raise where discord.py has Zstandard, by Python's version or not."""
    for name in ("compression.zstd", "zstandard"):
        try:
            module: Any = importlib.import_module(name)
        except ImportError:
            continue
        yield module.ZstdError


UNREADABLE: Final[tuple[type[Exception], ...]] = (
    TypeError,
    AttributeError,
    LookupError,
    ValueError,
    ArithmeticError,
    RecursionError,
    EOFError,
    zlib.error,
    *_zstd_errors(),
)
"""What discord.py raises while it reads a frame that is not what it should be."""


class UnreadableFrame(Exception):
    """A frame could not be read. What it was is left out: frames carry tokens."""


class Shard(discord.shard.Shard):
    """Begins a new session after a frame it cannot read, each time after a longer pause.

    By itself discord.py ends the client then. The session is not resumed, because Discord would
    send the same frame again.
    """

    def __init__(
        self,
        ws: discord.gateway.DiscordWebSocket,
        client: discord.AutoShardedClient,
        queue_put: Callable[[discord.shard.EventItem], None],
        *,
        on_unreadable: Callable[[], None],
    ) -> None:
        """`on_unreadable` is called for every such frame."""
        super().__init__(ws, client, queue_put)
        self._on_unreadable = on_unreadable
        self._handled_exceptions += UNREADABLE

    async def _handle_disconnect(self, e: Exception) -> None:
        if isinstance(e, UNREADABLE):
            self._on_unreadable()
            log.error(
                "shard %d: the gateway sent a frame that cannot be read (%s): connecting anew",
                *(self.id, type(e).__name__),
                exc_info=e if log.isEnabledFor(logging.DEBUG) else None,
            )
            # It is still open, and would be kept alive beside the next.
            await self.ws.close(code=1000)
            e = UnreadableFrame(type(e).__name__)
        await super()._handle_disconnect(e)
