"""Fetching pictures: few hosts, few bytes, little time, no redirects."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable
from typing import Final

import aiohttp

from bot.errors import BadPicture
from bot.imaging.origins import DISCORD_HOSTS, Address, parse_address, parse_origins
from bot.request import PictureSource

__all__ = ["DISCORD_HOSTS", "PictureFetcher"]

log = logging.getLogger(__name__)

MIB: Final = 1024 * 1024
DEFAULT_MAX_BYTES: Final = 25 * MIB
DEFAULT_TIMEOUT: Final = 15.0
DEFAULT_READ_TIMEOUT: Final = 5.0
DEFAULT_CONCURRENCY: Final = 8

TRIES: Final = 2
"""A reset, a 5xx or a broken-off body gets one more try within the same time limit."""

_PIECE: Final = 64 * 1024
_GONE: Final = frozenset({401, 403, 404, 410})
_TRANSIENT: Final = frozenset({"picture_truncated", "picture_unreachable"})
_HEADERS: Final = {
    "Accept": "image/*",
    # A compressed answer could unfold to any size, and would say nothing true of its length.
    "Accept-Encoding": "identity",
    "User-Agent": "turbocord",
}


class PictureFetcher:
    """Downloads pictures for everyone, at most `concurrency` at a time.

    `allowed_origins` holds bare hosts (https on 443) and origins such as `http://127.0.0.1:8123`.
    `max_bytes` bounds one picture, so `concurrency * max_bytes` bounds the memory of all.
    `timeout_s` covers everything from waiting for a turn to the last byte, `read_timeout_s` each
    silence in between. Raises ValueError for an entry that is neither host nor origin.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        allowed_origins: Iterable[str] = DISCORD_HOSTS,
        max_bytes: int = DEFAULT_MAX_BYTES,
        timeout_s: float = DEFAULT_TIMEOUT,
        read_timeout_s: float = DEFAULT_READ_TIMEOUT,
        concurrency: int = DEFAULT_CONCURRENCY,
    ) -> None:
        self.session = session
        self.allowed = parse_origins(allowed_origins)
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.read_timeout_s = read_timeout_s
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=read_timeout_s, sock_read=read_timeout_s
        )
        self._turns = asyncio.Semaphore(concurrency)

    async def fetch(self, source: PictureSource) -> bytes:
        """Return the bytes of `source`, downloaded unless it already carries them.

        Raises BadPicture; its code says what was wrong (`picture_host`, `picture_gone`, …).
        """
        if source.data is not None:
            return self._checked(source.data)
        if source.url is None:
            raise BadPicture("picture_missing")
        address = parse_address(source.url)
        if address is None or address.origin not in self.allowed:
            log.info("picture refused: host %s", address.origin.host if address else "unreadable")
            raise BadPicture("picture_host")
        if source.claimed_bytes is not None and source.claimed_bytes > self.max_bytes:
            raise self._too_big()
        try:
            async with asyncio.timeout(self.timeout_s), self._turns:
                return await self._download_patiently(address)
        except TimeoutError:
            error = BadPicture("picture_slow", seconds=f"{self.timeout_s:g}")
        except BadPicture as refused:
            error = refused
        log.info(
            "picture refused: %s host=%s file=%s", error, address.origin.host, address.filename
        )
        raise error

    async def _download_patiently(self, address: Address) -> bytes:
        """Download, once more after a short pause where the fault may pass."""
        for attempt in range(1, TRIES + 1):
            try:
                return await self._download(address)
            except BadPicture as error:
                if error.code not in _TRANSIENT or attempt == TRIES:
                    raise
            await asyncio.sleep(random.uniform(0.1, 0.3))
        raise AssertionError("unreachable")

    async def _download(self, address: Address) -> bytes:
        # Nothing is chained to what is raised here: an aiohttp error can hold the signed URL.
        try:
            async with self.session.get(
                address.url,
                headers=_HEADERS,
                allow_redirects=False,
                auto_decompress=False,
                timeout=self._timeout,
            ) as response:
                self._check_answer(response)
                return await self._read(response)
        except aiohttp.ClientPayloadError:
            raise BadPicture("picture_truncated") from None
        except TimeoutError:
            # A silence; the time for everything is measured outside.
            raise BadPicture("picture_slow", seconds=f"{self.read_timeout_s:g}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            log.debug("download failed: %s", type(error).__name__)
            raise BadPicture("picture_unreachable") from None

    def _check_answer(self, response: aiohttp.ClientResponse) -> None:
        """Refuse by status and headers before the body is read."""
        status = response.status
        if status in _GONE:
            raise BadPicture("picture_gone")
        if 300 <= status < 400:
            raise BadPicture("picture_redirected")
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if status != 200 or encoding != "identity":
            raise BadPicture("picture_unreachable")
        if response.content_length is not None and response.content_length > self.max_bytes:
            raise self._too_big()

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the body, counted while it streams: Content-Length is only a claim."""
        body = bytearray()
        async for piece in response.content.iter_chunked(_PIECE):
            body += piece
            if len(body) > self.max_bytes:
                raise self._too_big()
        if response.content_length is not None and len(body) != response.content_length:
            raise BadPicture("picture_truncated")
        return self._checked(bytes(body))

    def _checked(self, data: bytes) -> bytes:
        if not data:
            raise BadPicture("picture_empty")
        if len(data) > self.max_bytes:
            raise self._too_big()
        return data

    def _too_big(self) -> BadPicture:
        return BadPicture("picture_too_big", limit_mib=f"{self.max_bytes / MIB:.3g}")
