from __future__ import annotations

import json
import logging

import pytest

from bot.logs import HumanFormatter, JsonFormatter, redact

SECRETS = [
    "MTIzNDU2Nzg5MDEyMzQ1Njc4OQ.GabcdE.abcdefghijklmnopqrstuvwxyz0123456789AB",
    "https://discord.com/api/v10/webhooks/1/aW50ZXJhY3Rpb246/messages/@original",
    "https://cdn.discordapp.com/attachments/1/2/a.png?ex=65f0&is=65e0&hm=deadbeef",
    "postgresql+asyncpg://bot:hunter2@db/turbocord",
]
LEAKS = ["abcdefghijklmnopqrstuvwxyz", "aW50ZXJhY3Rpb246", "deadbeef", "hunter2"]


@pytest.mark.parametrize(("text", "leak"), list(zip(SECRETS, LEAKS, strict=True)))
def test_secrets_are_taken_out(text: str, leak: str) -> None:
    assert leak not in redact(text)


@pytest.mark.parametrize("formatter", [HumanFormatter(), JsonFormatter()])
def test_tracebacks_are_redacted_too(formatter: logging.Formatter) -> None:
    try:
        raise ValueError(SECRETS[1])
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("bot", logging.ERROR, "f", 1, "failed: %s", (SECRETS[3],), info)
    line = formatter.format(record)
    assert not any(leak in line for leak in LEAKS)
    if isinstance(formatter, JsonFormatter):
        assert json.loads(line)["level"] == "error"
