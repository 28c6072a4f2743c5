"""The command line: `turbocord`, the same as `python -m bot`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

from bot import __version__, exit_codes, logs
from bot.config import Settings, load_settings, settings_table
from bot.errors import StartupError
from bot.models.cli import app as models_cli

if TYPE_CHECKING:
    from bot.app import App
    from bot.sandbox import Sandbox
    from bot.service import Scheduler

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


def _run(main: Coroutine[Any, Any, int | None]) -> None:
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
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Run sandbox and bot together: no token, no account, no graphics card."""
    logs.set_up()

    async def main() -> None:
        # The starter model is at its best in one step; other models have their own counts.
        steps = 1 if model in (None, "starter") else None
        async with _sandboxed_bot(port=port, model=model, steps=steps) as (server, bot):
            print(f"Open {server.base_url}/ and type /imagine", flush=True)
            if browser:
                await asyncio.to_thread(webbrowser.open, f"{server.base_url}/")
            await bot.until_closed()

    _run(main())


@app.command(name="try")
def try_(
    command: Annotated[str, typer.Argument(help="As typed in Discord: '/imagine prompt:a cat'.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("out"),
    image: Annotated[
        Path | None, typer.Option(help="Picture for the command's attachment option.", exists=True)
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name, folder or file of the model.")] = None,
    timeout: Annotated[float, typer.Option(help="Longest wait for the reply, seconds.")] = 120.0,
) -> None:
    """Send one command over the wire, save the pictures, print one JSON line."""
    logs.set_up("WARNING")
    files = {"image": (image.name, image.read_bytes())} if image else None
    _run(_try(command, out=out, files=files, model=model, timeout=timeout))


def _save(folder: Path, pictures: dict[str, bytes]) -> list[Path]:
    """Write the pictures into `folder` under their own names."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / Path(name).name for name in pictures]
    for path, data in zip(paths, pictures.values(), strict=True):
        path.write_bytes(data)
    return paths


async def _try(
    command: str,
    *,
    out: Path,
    files: dict[str, tuple[str, bytes]] | None,
    model: str | None,
    timeout: float,
) -> int:
    from bot.conversation import Outcome
    from bot.sandbox import SandboxError
    from bot.trial import report_of, text_of

    async with _sandboxed_bot(port=0, model=model) as (server, bot), server.client() as member:
        ended: asyncio.Queue[Outcome] = asyncio.Queue()
        bot.studio.observers.append(ended.put_nowait)
        before = max((entry["id"] for entry in await member.traffic()), default=0)
        try:
            interaction = await member.command(command, user="ada", channel="general", files=files)
            record = await member.wait_response(interaction, timeout=timeout)
        except (SandboxError, TimeoutError) as error:
            print(f"turbocord: {error}", file=sys.stderr)
            return exit_codes.REFUSED
        message = record["response"]
        # The reply is seen before the bot has written down that it was; commands that draw
        # nothing have no outcome.
        outcome: Outcome | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OUTCOME_SECONDS):
                outcome = await ended.get()
        pictures = {one["filename"]: await member.download(one) for one in message["files"]}
        saved = await asyncio.to_thread(_save, out, pictures)
        report = report_of(
            record,
            outcome,
            text=message["content"] or text_of(message["components"]),
            files=saved,
            traffic=await member.traffic(after=before),
        )
    print(json.dumps(report, ensure_ascii=False))
    if report["refused"]:
        print(f"turbocord: {report['text']}", file=sys.stderr)
        return exit_codes.REFUSED
    return exit_codes.OK


@contextlib.asynccontextmanager
async def _sandboxed_bot(
    *, port: int, model: str | None, steps: int | None = None
) -> AsyncIterator[tuple[Sandbox, App]]:
    """Yield a sandbox and a bot that is connected to it, its store in a folder of its own."""
    from bot.app import connected  # torch loads only for commands that draw
    from bot.sandbox import Sandbox
    from bot.trial import trial_settings

    with tempfile.TemporaryDirectory(prefix="turbocord-") as folder:
        async with Sandbox(port=port, privileged_intents=MESSAGE_CONTENT) as server:
            settings = trial_settings(
                Path(folder),
                api_base=server.base_url,
                gateway=server.gateway_url,
                token=server.token,
                model=model,
                default_steps=steps,
            )
            async with connected(settings) as bot:
                yield server, bot


def _bench_sandbox() -> Sandbox:
    """Return a sandbox, not started yet, that keeps few pictures."""
    from bot.sandbox import Sandbox

    # Kept pictures would count as the bot's memory where they are in the same process.
    return Sandbox(keep_bytes=64 << 20, privileged_intents=MESSAGE_CONTENT)


@contextlib.asynccontextmanager
async def _bench_bot(
    api_base: str,
    gateway: str,
    token: str,
    *,
    model: str | None = None,
    scheduler: Scheduler | None = None,
    message_content: bool = True,
) -> AsyncIterator[App]:
    """Yield a bot in the sandbox at that address, with limits that do not bind.

    Without a model or a scheduler of its own its engine takes no time. `message_content` asks for
    the intent, which the sandbox must have.
    """
    from bot.app import connected, freeze_loaded
    from bot.engine.null import NullPipeline
    from bot.engine.scheduler import BatchScheduler
    from bot.trial import trial_settings

    if model is None and scheduler is None:
        scheduler = BatchScheduler([NullPipeline])
    with tempfile.TemporaryDirectory(prefix="turbocord-") as folder:
        settings = trial_settings(
            Path(folder), api_base=api_base, gateway=gateway, token=token, model=model
        )
        loose = {"member_images": 10**6, "guild_images": 10**6, "message_content": message_content}
        unbound = settings.model_copy(update=loose)
        async with connected(unbound, scheduler=scheduler) as bot:
            freeze_loaded()
            yield bot


@contextlib.asynccontextmanager
async def _null_bot() -> AsyncIterator[tuple[Sandbox, App]]:
    """Yield a sandbox and a bot whose engine takes no time, in one process."""
    async with (
        _bench_sandbox() as server,
        _bench_bot(server.base_url, server.gateway_url, server.token) as bot,
    ):
        yield server, bot


@app.command()
def sync() -> None:
    """Upload the command tree to Discord even if it has not changed."""
    from bot.app import started
    from bot.engine.null import NullPipeline
    from bot.engine.scheduler import BatchScheduler

    # Nothing is drawn, judged or served: it may run beside the bot, which has the ports.
    unused = {"http_port": 0, "web_port": 0, "safety_checker": None}
    settings = _settings().model_copy(update=unused)

    async def main() -> None:
        async with started(settings, scheduler=BatchScheduler([NullPipeline])) as parts:
            await parts.sync()

    _run(main())


@app.command()
def web(
    port: Annotated[int, typer.Option(help="Port of the page.")] = 7860,
    host: Annotated[str | None, typer.Option(help="Address; loopback unless told.")] = None,
    model: Annotated[str | None, typer.Option(help="Name, folder or file of the model.")] = None,
) -> None:
    """Serve the live web page alone, without Discord; TURBOCORD_WEB_PORT adds it to `run`."""
    from bot.app import started  # torch loads only for commands that draw

    settings = _settings(web_port=port, web_host=host, model=model)

    async def main() -> None:
        async with started(settings, with_gateway=False):
            await asyncio.Event().wait()

    _run(main())


@app.command()
def healthcheck() -> None:
    """Ask the process on this machine whether it is ready; for a container's health check."""
    from bot.web.check import probe, ready_url

    settings = _settings()

    async def main() -> int:
        ready, sentence = await probe(ready_url(settings.http_host, settings.http_port))
        print(sentence)
        return exit_codes.OK if ready else exit_codes.REFUSED

    _run(main())


@app.command()
def invite() -> None:
    """Print the link that invites the bot, with exactly the permissions it needs."""
    from bot.client import invite_link

    token = _settings().token.get_secret_value()
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

    checks = run_doctor(_settings(), online=online)
    Console().print(render(checks))
    raise typer.Exit(exit_codes.OK if healthy(checks) else exit_codes.CONFIG)


@app.command(
    # `--help` is left to the benches, which parse their own options.
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def bench(context: typer.Context) -> None:
    """Measure the stock pipelines' way and ours, in turn; `bench --help` lists the options.

    `bench soak` and `bench overhead` measure the whole bot over the wire instead, `bench scale`
    the way to engines on a Ray cluster, `bench front` a whole bot in front of one.
    """
    from bot.bench import front, scale, whole_bot
    from bot.bench import main as run_bench

    if context.args[:1] == ["front"]:
        logs.set_up("CRITICAL")
        raise typer.Exit(front.run(context.args[1:], _bench_bot))
    if context.args[:1] == ["scale"]:
        raise typer.Exit(scale.main(context.args[1:]))
    if context.args[:1] and context.args[0] in whole_bot.NAMES:
        logs.set_up("CRITICAL")
        starts = whole_bot.Starts(both=_null_bot, sandbox=_bench_sandbox, bot=_bench_bot)
        raise typer.Exit(whole_bot.run(context.args, starts))
    raise typer.Exit(run_bench(context.args))


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
