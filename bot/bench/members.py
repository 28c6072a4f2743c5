"""Members of a sandbox who ask for pictures, in a process of their own: `bench front` runs it.

    python -m bot.bench.members BASE_URL FIRST COUNT AT_ONCE

It speaks the sandbox's control API and nothing else. It ends with status 1 when a request does not
end in a picture.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import aiohttp

MEMBERS: Final = ("ada", "ben", "cleo")


async def ask_for(base_url: str, first: int, count: int, at_once: int) -> None:
    """Have `count` pictures asked for, `at_once` at a time. Raises RuntimeError without one."""
    async with aiohttp.ClientSession() as session:
        acts = f"{base_url}/sandbox/interactions"
        numbers = iter(range(first, first + count))
        await asyncio.gather(*(_member(session, acts, numbers) for _ in range(at_once)))


async def _member(session: aiohttp.ClientSession, acts: str, numbers: Iterator[int]) -> None:
    for number in numbers:
        act = {
            "kind": "command",
            "text": f"/imagine prompt:a boat at dusk seed:{number}",
            "user": MEMBERS[number % len(MEMBERS)],
            "channel": "general",
        }
        async with session.post(acts, json=act) as answer:
            answer.raise_for_status()
            sent = await answer.json()
        query = {"wait": "60", "until": "files"}
        async with session.get(f"{acts}/{sent['id']}", params=query) as answer:
            record: dict[str, Any] = await answer.json()
        if not (record.get("response") or {}).get("files"):
            raise RuntimeError(f"request {number} ended without a picture")


def main(argv: Sequence[str]) -> None:
    """Ask as the command line says. Raises SystemExit when a picture did not come."""
    base_url, *numbers = argv
    first, count, at_once = map(int, numbers)
    try:
        asyncio.run(ask_for(base_url, first, count, at_once))
    except (RuntimeError, aiohttp.ClientError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main(sys.argv[1:])
