"""Commands that bring a Discord of their own: `demo`, `try` and `bench`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bot import exit_codes, logs
from bot.process import run_to_end

if TYPE_CHECKING:
    from bot.app import App
    from bot.sandbox import Sandbox
    from bot.service import Scheduler

OUTCOME_SECONDS: Final = 5.0

MESSAGE_CONTENT: Final = 1 << 15
"""The privileged intent's bit, which the sandbox's portal has enabled for trials."""

app = typer.Typer()


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 picks a free one.")] = 8123,
    model: Annotated[str | None, typer.Option(help="Name, folder or file of the model.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Run sandbox and bot together: no token, no account, no graphics card."""
    logs.set_up()

    async def main() -> int:
        # The starter model is at its best in one step; other models have their own counts.
        steps = 1 if model in (None, "starter") else None
        async with _sandboxed_bot(port=port, model=model, steps=steps) as (server, bot):
            print(f"Open {server.base_url}/ and type /imagine", flush=True)
            if browser:
                await asyncio.to_thread(webbrowser.open, f"{server.base_url}/")
            return await bot.until_closed()

    run_to_end(main())


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
    run_to_end(_try(command, out=out, files=files, model=model, timeout=timeout))


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
            async with asyncio.timeout(timeout):
                # A note on the wait is an answer, too.
                while not record["response"]["files"] and bot.studio.running:
                    await asyncio.sleep(0.05)
                    record = await member.interaction(interaction)
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


def bench_sandbox() -> Sandbox:
    """Return a sandbox, not started yet, that keeps few pictures."""
    from bot.sandbox import Sandbox

    # Kept pictures would count as the bot's memory where they are in the same process.
    return Sandbox(keep_bytes=64 << 20, privileged_intents=MESSAGE_CONTENT)


@contextlib.asynccontextmanager
async def bench_bot(
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
async def null_bot() -> AsyncIterator[tuple[Sandbox, App]]:
    """Yield a sandbox and a bot whose engine takes no time, in one process."""
    async with (
        bench_sandbox() as server,
        bench_bot(server.base_url, server.gateway_url, server.token) as bot,
    ):
        yield server, bot


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
        raise typer.Exit(front.run(context.args[1:], bench_bot))
    if context.args[:1] == ["scale"]:
        raise typer.Exit(scale.main(context.args[1:]))
    if context.args[:1] and context.args[0] in whole_bot.NAMES:
        logs.set_up("CRITICAL")
        starts = whole_bot.Starts(both=null_bot, sandbox=bench_sandbox, bot=bench_bot)
        raise typer.Exit(whole_bot.run(context.args, starts))
    raise typer.Exit(run_bench(context.args))
