"""What every command does around its work: settings or a sentence, signals, an exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import typer

from bot import exit_codes, logs
from bot.config import Settings, load_settings
from bot.errors import StartupError

log = logging.getLogger("bot")


def run_to_end(main: Coroutine[Any, Any, int | None]) -> None:
    """Run `main` to its end or to SIGTERM or SIGINT, which cancel it so that it can drain.

    Only the first signal counts.
    """

    async def until_signalled() -> int | None:
        task = asyncio.ensure_future(main)
        is_ending = False

        def end() -> None:
            # A second signal would cancel the drain itself, and with it every answer it waits for.
            nonlocal is_ending
            if not is_ending:
                is_ending = True
                task.cancel()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
        try:
            return await task
        except asyncio.CancelledError:
            return exit_codes.OK

    try:
        code = asyncio.run(until_signalled())
    except StartupError as error:
        print(f"turbocord: {error}", file=sys.stderr)
        code = error.exit_code
    except Exception:
        log.exception("turbocord ended by a fault of its own")
        code = exit_codes.INTERNAL
    if code == exit_codes.INTERNAL:
        # Everything is closed by now. The interpreter would wait for threads that may be inside a
        # call into a lost device, and nobody could start a new process.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    raise typer.Exit(code or exit_codes.OK)


def settings_or_exit(**overrides: object) -> Settings:
    """Return the settings, logging set up; leave with a sentence where one is wrong."""
    try:
        settings = load_settings(**overrides)
    except StartupError as error:
        print(f"turbocord: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    logs.set_up(settings.log_level, settings.log_format)
    return settings
