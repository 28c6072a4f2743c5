"""The command line: `turbocord`, the same as `python -m bot`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from bot import __version__, exit_codes, logs
from bot.config import settings_table
from bot.models.cli import app as models_cli
from bot.process import run_to_end, settings_or_exit
from bot.sandboxed import app as sandboxed_cli

if TYPE_CHECKING:
    pass

log = logging.getLogger("bot")

OUTCOME_SECONDS: Final = 5.0

MESSAGE_CONTENT: Final = 1 << 15
"""The privileged intent's bit, which the sandbox's portal has enabled for trials."""

app = typer.Typer(
    name="turbocord",
    help="A Discord bot that makes few-step image models feel instant for a whole server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(models_cli)
app.add_typer(sandboxed_cli)


@app.command()
def run(
    api_base: Annotated[str | None, typer.Option(help="Origin of another Discord API.")] = None,
    gateway: Annotated[str | None, typer.Option(help="WebSocket URL of its gateway.")] = None,
    model: Annotated[str | None, typer.Option(help="Name, folder or file of the model.")] = None,
) -> None:
    """Run the bot; DISCORD_TOKEN comes from the environment or .env."""
    from bot.app import connected  # torch loads only for commands that draw

    settings = settings_or_exit(api_base=api_base, gateway=gateway, model=model)

    async def main() -> int:
        async with connected(settings) as started:
            return await started.until_closed()

    run_to_end(main())


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

    run_to_end(main())


@app.command()
def sync() -> None:
    """Upload the command tree to Discord even if it has not changed."""
    from bot.app import started
    from bot.engine.null import NullPipeline
    from bot.engine.scheduler import BatchScheduler

    # Nothing is drawn, judged or served: it may run beside the bot, which has the ports.
    unused = {"http_port": 0, "web_port": 0, "safety_checker": None}
    settings = settings_or_exit().model_copy(update=unused)

    async def main() -> None:
        async with started(settings, scheduler=BatchScheduler([NullPipeline])) as parts:
            await parts.sync()

    run_to_end(main())


@app.command()
def web(
    port: Annotated[int, typer.Option(help="Port of the page.")] = 7860,
    host: Annotated[str | None, typer.Option(help="Address; loopback unless told.")] = None,
    model: Annotated[str | None, typer.Option(help="Name, folder or file of the model.")] = None,
) -> None:
    """Serve the live web page alone, without Discord; TURBOCORD_WEB_PORT adds it to `run`."""
    from bot.app import started  # torch loads only for commands that draw

    settings = settings_or_exit(web_port=port, web_host=host, model=model)

    async def main() -> int:
        async with started(settings, with_gateway=False) as parts:
            return await parts.until_closed()

    run_to_end(main())


@app.command()
def healthcheck() -> None:
    """Ask the process on this machine whether it is ready; for a container's health check."""
    from bot.web.check import probe, ready_url

    settings = settings_or_exit()

    async def main() -> int:
        ready, sentence = await probe(ready_url(settings.http_host, settings.http_port))
        print(sentence)
        return exit_codes.OK if ready else exit_codes.REFUSED

    run_to_end(main())


@app.command()
def invite() -> None:
    """Print the link that invites the bot, with exactly the permissions it needs."""
    from bot.client import invite_link

    token = settings_or_exit().token.get_secret_value()
    try:
        print(invite_link(token))
    except ValueError as error:
        print(f"turbocord: {error}", file=sys.stderr)
        raise typer.Exit(exit_codes.CONFIG) from None


@app.command()
def doctor(
    online: Annotated[bool, typer.Option(help="Ask Discord about the token too.")] = False,
) -> None:
    """Look at everything a start depends on, and say what to do about each."""
    from bot.doctor import healthy, render, run_doctor

    checks = run_doctor(settings_or_exit(), online=online)
    Console().print(render(checks))
    raise typer.Exit(exit_codes.OK if healthy(checks) else exit_codes.CONFIG)


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
