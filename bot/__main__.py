"""The command line: `turbocord`, the same as `python -m bot`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from bot import __version__, exit_codes, logs
from bot.config import Settings, load_settings, settings_table
from bot.errors import StartupError

app = typer.Typer(
    name="turbocord",
    help="A Discord bot that makes few-step image models feel instant for a whole server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _run(main: Coroutine[Any, Any, int | None]) -> None:
    """Run `main` to its end or to SIGTERM or SIGINT, which cancel it so that it can drain."""

    async def until_signalled() -> int | None:
        task = asyncio.ensure_future(main)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            return exit_codes.OK

    try:
        code = asyncio.run(until_signalled())
    except StartupError as error:
        print(f"turbocord: {error}", file=sys.stderr)
        code = error.exit_code
    raise typer.Exit(code or exit_codes.OK)


def _settings(**overrides: object) -> Settings:
    try:
        settings = load_settings(**overrides)
    except StartupError as error:
        print(f"turbocord: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    logs.set_up(settings.log_level, settings.log_format)
    return settings


@app.command()
def run(
    api_base: Annotated[str | None, typer.Option(help="Origin of another Discord API.")] = None,
    gateway: Annotated[str | None, typer.Option(help="WebSocket URL of its gateway.")] = None,
    model: Annotated[str | None, typer.Option(help="Name, folder or file of the model.")] = None,
) -> None:
    """Run the bot; DISCORD_TOKEN comes from the environment or .env."""
    from bot.app import connected  # torch loads only for commands that draw

    settings = _settings(api_base=api_base, gateway=gateway, model=model)

    async def main() -> None:
        async with connected(settings) as started:
            await started.until_closed()

    _run(main())


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 picks a free one.")] = 8123,
) -> None:
    """Run the sandbox Discord alone, for this bot or any other discord.py bot."""
    from bot.sandbox import Sandbox

    logs.set_up()

    async def main() -> None:
        async with Sandbox(port=port) as server:
            print(f"API      {server.base_url}")
            print(f"Gateway  {server.gateway_url}")
            print(f"Token    {server.token}")
            await asyncio.Event().wait()

    _run(main())


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 picks a free one.")] = 8123,
    model: Annotated[str | None, typer.Option(help="Name, folder or file of the model.")] = None,
) -> None:
    """Run sandbox and bot together: no token, no account, no graphics card."""
    from bot.trial import demo as run_demo

    logs.set_up()
    _run(run_demo(port=port, model=model))


@app.command(name="try")
def try_(
    command: Annotated[str, typer.Argument(help="As typed in Discord: '/imagine prompt:a cat'.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("out"),
    image: Annotated[
        Path | None, typer.Option(help="Picture for the command's attachment option.", exists=True)
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name, folder or file of the model.")] = None,
) -> None:
    """Send one command over the wire, save the pictures, print one JSON line."""
    from bot.trial import try_command

    logs.set_up("WARNING")

    async def main() -> int:
        report = await try_command(command, out=out, image=image, model=model)
        print(json.dumps(report, ensure_ascii=False))
        if report["refused"]:
            print(f"turbocord: {report['text']}", file=sys.stderr)
            return exit_codes.REFUSED
        return exit_codes.OK

    _run(main())


@app.command()
def sync() -> None:
    """Upload the command tree to Discord even if it has not changed."""
    from bot.app import started

    settings = _settings()

    async def main() -> None:
        async with started(settings) as parts:
            await parts.sync()

    _run(main())


@app.command(name="settings")
def show_settings() -> None:
    """Print the table of every setting, as it stands in the README."""
    print(settings_table())


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    """Entry point of the console script."""
    with contextlib.suppress(BrokenPipeError):
        app()


if __name__ == "__main__":
    main()
