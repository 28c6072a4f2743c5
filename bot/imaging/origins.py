"""Which addresses a picture may be fetched from: an allow-list of origins, read strictly.

The address comes from a stranger, so it is matched against one narrow grammar before any URL
library interprets it: two parsers that disagree about a host are how allow-lists are passed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from yarl import URL

DISCORD_HOSTS: Final = frozenset(
    {
        "cdn.discordapp.com",
        "media.discordapp.net",
        "images-ext-1.discordapp.net",
        "images-ext-2.discordapp.net",
    }
)
"""Discord's CDN and its proxies, reached by https on its own port only."""

MAX_URL: Final = 4096
_PORTS: Final = {"https": 443, "http": 80}
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))

# A host is plain ASCII labels or a bracketed IPv6 address: no userinfo, no percent signs, no
# trailing dot, no backslash, and nothing but a path may follow.
_URL: Final = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^\s\\\x00-\x1f\x7f]*)?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port; what a URL must share with an allowed one."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Address:
    """A URL that follows the grammar, with what of it may be logged."""

    origin: Origin
    url: URL
    filename: str


def parse_origin(text: str) -> Origin:
    """Return the origin written as `scheme://host[:port]`, or a bare host, which means https.

    Raises ValueError: an allow-list entry is the operator's, and a wrong one must not pass.
    """
    match = _URL.fullmatch(text if "://" in text else f"https://{text}")
    if match is None or (match["path"] or "/") != "/":
        raise ValueError(f"not an origin: {text!r}")
    return _origin(match)


def parse_origins(texts: Iterable[str]) -> frozenset[Origin]:
    """Return the origins of an allow-list. Raises ValueError on the first wrong entry."""
    return frozenset(parse_origin(text) for text in texts)


def parse_address(text: str) -> Address | None:
    """Return the address, or None when `text` is not one plain http or https URL."""
    if len(text) > MAX_URL:
        return None
    match = _URL.fullmatch(text)
    if match is None:
        return None
    origin = _origin(match)
    path = (match["path"] or "/").partition("#")[0]
    # Kept as it was signed: a library's own idea of quoting could change the signed bytes.
    quoted = quote(path, safe=_PRINTABLE)
    try:
        url = URL(f"{origin.scheme}://{origin.host}:{origin.port}{quoted}", encoded=True)
        read = (url.scheme, url.raw_host, url.port)
    except ValueError:
        return None
    if read != (origin.scheme, origin.host.strip("[]"), origin.port):
        return None
    return Address(origin, url, url.raw_path.rpartition("/")[2][:80])


def _origin(match: re.Match[str]) -> Origin:
    scheme = match["scheme"].lower()
    return Origin(scheme, match["host"].lower(), int(match["port"] or _PORTS[scheme]))
