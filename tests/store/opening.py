"""Open a store in a process of its own and print how that went: `python opening.py URL [UID]`."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time

import sqlalchemy as sa

from bot.errors import StartupError
from bot.store import Store


@sa.event.listens_for(sa.Engine, "after_cursor_execute")
def dawdle(*arguments: object) -> None:
    """Make migrations slow enough for another process to come between, if it could."""
    if str(arguments[2]).lstrip().startswith("CREATE TABLE"):
        time.sleep(0.1)


async def main(url: str) -> int:
    try:
        store = await Store.open(url, lock_seconds=20.0)
    except StartupError as error:
        print(error)
        return error.exit_code
    await store.set_value(f"process {os.getpid()}", "was here")
    await store.close()
    print("open")
    return 0


async def warm_up() -> None:
    with tempfile.TemporaryDirectory() as folder:
        await (await Store.open(f"sqlite+aiosqlite:///{folder}/store.db")).close()


if len(sys.argv) > 2:
    # Root may write anywhere, so it becomes somebody else, who may not even read the modules: they
    # are all loaded before.
    asyncio.run(warm_up())
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
sys.exit(asyncio.run(main(sys.argv[1])))
