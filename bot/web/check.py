"""Asking a running process whether it is ready: what `turbocord healthcheck` does."""

from __future__ import annotations

import ipaddress
import json
from typing import Final

import aiohttp
import yarl

TIMEOUT_S: Final = 5.0
MOST_BYTES: Final = 4096


def ready_url(host: str, port: int) -> str:
    """Return where the process that listens on `host`:`port` is asked from its own machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{port}/readyz"
    if address.is_unspecified:
        address = ipaddress.ip_address("::1" if address.version == 6 else "127.0.0.1")
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{shown}:{port}/readyz"


async def probe(url: str, *, timeout_s: float = TIMEOUT_S) -> tuple[bool, str]:
    """Return whether `url` answers 200, and one sentence for the operator; raises nothing."""
    if yarl.URL(url).port == 0:
        return False, "health and metrics are off: set TURBOCORD_HTTP_PORT"
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            if response.status == 200:
                return True, "ready"
            text = (await response.content.read(MOST_BYTES)).decode(errors="replace")
            return False, f"not ready: {_reasons(text) or f'HTTP {response.status}'}"
    except TimeoutError:
        return False, f"no answer from {url} within {timeout_s:g} s"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return False, f"no answer from {url}: {type(error).__name__}"


def _reasons(text: str) -> str:
    try:
        return "; ".join(map(str, json.loads(text)["reasons"]))
    except (ValueError, KeyError, TypeError):
        return ""
