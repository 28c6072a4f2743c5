"""The members of `turbocord bench overhead`: in the sandbox's process, so that none of it is ours.

The bench's process asks for one round after another by a line of JSON on this one's input, and
reads what became of it from a line of its output. The end of the input ends the process.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

WAIT_SECONDS: Final = 120.0
ANSWER_KIND: Final = 4
"""The callback type of a first response that is a message, not a deferral."""


@dataclass(frozen=True, slots=True)
class Round:
    """So many requests of one picture, `at_once` at any time; 0 sends them all in one moment."""

    pictures: int
    at_once: int = 1


@dataclass(frozen=True, slots=True)
class Seen:
    """What the members saw of a round. Times are milliseconds since each interaction began."""

    seconds: float
    acks_ms: list[float]
    answers_ms: list[float]
    sizes: list[int]
    """Bytes of the pictures that came."""
    direct: int
    """Pictures that were the interaction's first response: one REST call."""
    failed: int
    """Interactions that nobody acknowledged within Discord's three seconds."""

    @classmethod
    def of(cls, found: dict[str, Any]) -> Self:
        """Return what a line of JSON tells."""
        return cls(**found)


class Crowd:
    """Members of as many guilds, each asking in a room of its own. Enter before asking."""

    def __init__(self, sandbox: Any, *, members: int = 50) -> None:
        self.sandbox = sandbox
        self.client = sandbox.client()
        self.members = members
        self._asked = 0

    async def __aenter__(self) -> Self:
        await self.client.__aenter__()
        names = [f"member{number}" for number in range(self.members)]
        for name in names:
            await self.client.create_user(name)
        for number in range(self.members):
            await self.client.create_guild(
                f"guild{number}", owner="ada", channels=[f"room{number}"], members=names
            )
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self.client.__aexit__(*raised)

    async def play(self, wanted: Round) -> Seen:
        """Ask for a round's pictures and wait for all of them.

        Raises TimeoutError where one is not answered within two minutes.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(WAIT_SECONDS):
            if wanted.at_once:
                records = await self._in_turn(wanted)
            else:
                sent = await self.client.invoke_many([self._act() for _ in range(wanted.pictures)])
                records = [self.sandbox.state.interactions[int(one)] for one in sent]
                await asyncio.gather(*(_ended(one) for one in records))
        return self._seen(records, loop.time() - began)

    async def _in_turn(self, wanted: Round) -> list[Any]:
        records: list[Any] = []
        left = iter(range(wanted.pictures))

        async def member() -> None:
            for _ in left:
                (sent,) = await self.client.invoke_many([self._act()])
                records.append(record := self.sandbox.state.interactions[int(sent)])
                await _ended(record)

        await asyncio.gather(*(member() for _ in range(wanted.at_once)))
        return records

    def _act(self) -> dict[str, Any]:
        self._asked += 1
        place = self._asked % self.members
        return {
            "kind": "command",
            "name": "imagine",
            "options": {"prompt": "a boat at dusk", "seed": self._asked},
            "user": f"member{place}",
            "guild": f"guild{place}",
            "channel": f"room{place}",
        }

    def _seen(self, records: list[Any], seconds: float) -> Seen:
        heard = [one for one in records if one.acked_at is not None]
        messages = [self.sandbox.state.messages[one.channel_id][one.response_id] for one in heard]
        return Seen(
            seconds=seconds,
            acks_ms=[(one.acked_at - one.created_at) * 1000 for one in heard],
            answers_ms=[(one.answered_at - one.created_at) * 1000 for one in heard],
            sizes=[each.size for message in messages for each in message.attachments],
            direct=sum(one.callback_type == ANSWER_KIND for one in heard),
            failed=len(records) - len(heard),
        )


async def _ended(record: Any) -> None:
    """Wait until an interaction was answered, or missed its three seconds."""
    while record.answered_at is None and not record.failed:
        await record.changed.wait()


async def serve(start: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
    """Play the rounds that come by line on standard input, in a sandbox that `start` starts."""
    loop = asyncio.get_running_loop()
    async with start() as sandbox, Crowd(sandbox) as crowd:
        address = {
            "api_base": sandbox.base_url,
            "gateway": sandbox.gateway_url,
            "token": sandbox.token,
        }
        _write(address)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            _write(asdict(await crowd.play(Round(**json.loads(line)))))


def _write(found: dict[str, Any]) -> None:
    print(json.dumps(found), flush=True)  # noqa: T201 - the other process reads this
