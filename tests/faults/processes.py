"""Real processes of the bot, started as an operator starts them."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bot.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
MOUNTING = ("unshare", "--mount", "sh", "-c")
START_SECONDS = 180.0
"""Loading libraries and model takes seconds, more where others use the machine."""


def environment(folder: Path, sandbox: Sandbox | None = None, **values: str) -> dict[str, str]:
    """Return the environment of a bot that lives in `folder` and talks to `sandbox`."""
    ours = {
        "TURBOCORD_MODEL": "tiny",
        "TURBOCORD_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'turbocord.db'}",
        "TURBOCORD_CLAIM_SECONDS": "1",
        "PYTHONPATH": str(ROOT),
        # Shared by all tests of a run: the tiny model is built and calibrated once.
        "TURBOCORD_CACHE_DIR": str(folder.parent / "process-cache"),
    }
    if sandbox is not None:
        ours |= {
            "DISCORD_TOKEN": sandbox.token,
            "TURBOCORD_API_BASE": sandbox.base_url,
            "TURBOCORD_GATEWAY": sandbox.gateway_url,
        }
    return os.environ | ours | values


class Process:
    """One process and what it wrote to stderr."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode())

    @property
    def said(self) -> str:
        """Everything on stderr so far."""
        return "".join(self.lines)

    def kill(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def code(self) -> int:
        """Return the exit status once it has ended and said everything."""
        async with asyncio.timeout(START_SECONDS):
            await self._reading
            return await self.process.wait()


async def can_mount(within: str) -> bool:
    """Return whether a shell command that arranges mounts works here."""
    trying = await asyncio.create_subprocess_exec(
        *MOUNTING, within, stderr=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
    )
    return await trying.wait() == 0


@asynccontextmanager
async def running(
    folder: Path,
    env: dict[str, str],
    *,
    within: str | None = None,
    module: Sequence[str] = ("bot", "run"),
) -> AsyncIterator[Process]:
    """Yield `python -m bot run` with its working directory in `folder`; kill it at the end.

    `module` replaces what stands after `-m`. `within` is a shell command that arranges mounts,
    which only the process will see.
    """
    command = [sys.executable, "-W", "ignore", "-m", *module]
    if within is not None:
        command = [*MOUNTING, f"{within} && exec {shlex.join(command)}"]
    process = Process(
        await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=env,
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
    )
    try:
        yield process
    finally:
        if process.process.returncode is None:
            process.kill(signal.SIGKILL)
        await process.code()
