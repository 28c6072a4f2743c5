"""Making an upload fit when Discord says it does not."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.errors import DeliveryFailed
from bot.imaging.encode import shrink
from bot.request import ImageResult
from cogs.common.delivery import TooLarge

log = logging.getLogger(__name__)

T = TypeVar("T")

TRIES = 3


async def within_limit(result: ImageResult, send: Callable[[ImageResult], Awaitable[T]]) -> T:
    """Return what `send` returns, re-encoding the pictures at half the size when it is too large.

    The limit we are told of and the one that is applied can differ: a server may lose its boosts
    while the picture is drawn. Raises DeliveryFailed when even small pictures are refused.
    """
    for _ in range(TRIES):
        try:
            return await send(result)
        except TooLarge:
            limit = max(len(picture.data) for picture in result.pictures) // 2
            log.warning("job=%s upload too large, down to %d bytes", result.request.job_id, limit)
            result = await shrink(result, limit)
    raise DeliveryFailed
