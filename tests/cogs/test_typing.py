"""The sign that the bot is at work on a mention."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from cogs.common import message_reply
from cogs.common.message_reply import MessageReply


async def test_a_sign_that_is_not_shown_is_shown_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(message_reply, "TYPING_SECONDS", 0.0)
    shown, broken = asyncio.Event(), [aiohttp.ServerDisconnectedError()]

    async def typing() -> None:
        if broken:
            raise broken.pop()
        shown.set()

    message: Any = SimpleNamespace(channel=SimpleNamespace(typing=typing))
    reply = MessageReply(message, locale="en-US")
    reply.open(soon=True)
    await asyncio.wait_for(shown.wait(), 5)
    reply.close()
