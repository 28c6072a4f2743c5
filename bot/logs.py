"""Logging: lines for people by default, JSON on demand, and no secret in either."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import Final

QUIET: Final = (
    "discord",
    "aiohttp.access",
    "alembic",
    "diffusers",
    "httpx",
    "httpx2",
    "transformers",
)
"""Libraries heard from WARNING upwards; some log signed addresses below that."""

_SECRETS: Final = (
    # Bot tokens: three base64url parts.
    (re.compile(r"[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,}"), "[token]"),
    # Interaction and webhook tokens in REST paths.
    (re.compile(r"(/(?:webhooks|interactions)/\d+/)[^/\s?\"']+"), r"\1[token]"),
    # Signatures of CDN addresses.
    (re.compile(r"([?&](?:ex|is|hm)=)[0-9a-fA-F]+"), r"\1…"),
    # Passwords in database and Redis URLs.
    (re.compile(r"(://[^:/\s]*:)[^@/\s]+@"), r"\1…@"),
)


def redact(text: str) -> str:
    """Return `text` without tokens, signatures and passwords."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class HumanFormatter(logging.Formatter):
    """One line a person reads: time, level, part, message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s  %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, redacted; tracebacks included."""
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with UTC time."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object, redacted; `exception` holds the traceback."""
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return redact(json.dumps(entry, ensure_ascii=False))


def set_up(level: str = "INFO", style: str = "human") -> None:
    """Send every log line to standard error in the chosen form; libraries speak up from WARNING."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else HumanFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in QUIET:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
