"""The composition root: settings become parts, parts become a running App.

This is the only file that knows every part; nothing else constructs what it works with.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from bot import exit_codes
from bot.arrivals import Arrivals
from bot.client import TurboBot, check_account, point_at
from bot.config import Settings
from bot.engine.launch import build_scheduler
from bot.engine.picture_check import Judge, PictureCheck
from bot.engine.remote import build_remote_scheduler
from bot.engine.scheduler import BatchScheduler
from bot.errors import StartupError
from bot.imaging.fetch import DISCORD_HOSTS, PictureFetcher
from bot.imaging.intake import Intake
from bot.journal import Journal
from bot.models.choices import model_choices
from bot.policy import Defaults
from bot.ratelimit import Quota, RateLimiter
from bot.request import SIZES, ModelChoice, Style
from bot.service import ImageService, Scheduler
from bot.store import Store
from bot.studio import Studio
from bot.styles import load_styles
from bot.web.health import serve_ops
from bot.web.page_server import reserve, serve_page
from bot.web.parts import Parts

log = logging.getLogger(__name__)

DAY = 24 * 3600.0

KEEP_SECONDS = 5.0
"""How long undelivered pictures may take to reach the store after the connection is closed."""


@dataclass(slots=True)
class App:
    """A started bot's parts, for the command line and the tests."""

    settings: Settings
    scheduler: Scheduler
    studio: Studio
    store: Store
    bot: TurboBot
    serving: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Connect to Discord and stay until cancelled.

        Raises StartupError, with its documented exit code, where Discord refuses us for good.
        """
        await self.bot.serve(token_of(self.settings))

    async def sync(self) -> None:
        """Log in without connecting and upload the command tree. Raises StartupError."""
        await self.bot.upload_tree(token_of(self.settings))

    async def until_closed(self) -> int:
        """Stay while there is a connection, or none was asked for, and something to draw on.

        Returns the process's exit code; raises why the connection ended, when that was not asked
        for.
        """
        freeze_loaded()
        failed = asyncio.create_task(engine_failed(self.scheduler), name="engine-failed")
        try:
            serving = {self.serving} if self.serving is not None else set()
            await asyncio.wait({failed, *serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            failed.cancel()
        if self.serving is not None and self.serving.done():
            self.serving.result()
            return exit_codes.OK
        log.critical("no device is left that can draw: ending, so that a new process may begin")
        return exit_codes.INTERNAL

    async def wait_until_ready(self) -> None:
        """Return once the gateway is connected and every guild is known."""
        await self.bot.wait_until_ready()


@asynccontextmanager
async def started(
    settings: Settings, *, scheduler: Scheduler | None = None, with_gateway: bool = True
) -> AsyncIterator[App]:
    """Build every part in order, yield the App, and take the parts down in reverse.

    `scheduler` replaces the engine that the settings ask for, for load tests without a model.
    `with_gateway` False is for a process that never connects to Discord.
    """
    point_at(settings.api_base, settings.gateway)
    async with contextlib.AsyncExitStack() as stack:
        parts = Parts(needs_gateway=with_gateway)
        ops = await stack.enter_async_context(
            serve_ops(settings.http_host, settings.http_port, parts)
        )
        store = await Store.open(settings.database_url)
        stack.push_async_callback(store.close)
        limiter = RateLimiter(
            storage_uri=settings.limits_url,
            guild=Quota(settings.guild_images, settings.guild_window),
            member=Quota(settings.member_images, settings.member_window),
        )
        stack.push_async_callback(limiter.close)
        parts.limiter = limiter
        session = await stack.enter_async_context(aiohttp.ClientSession())
        workers = ThreadPoolExecutor(
            max_workers=max(2, min(8, os.cpu_count() or 2)), thread_name_prefix="pictures"
        )
        stack.callback(workers.shutdown, wait=False, cancel_futures=True)
        # What cannot be right is told before anything is loaded.
        models = model_choices(
            settings.model, settings.models, root=settings.models_dir, extra=settings.catalog
        )
        styles = load_styles(
            settings.styles, loras=settings.loras, find_loras=settings.ray_address is None
        )
        place = None
        if settings.web_port:
            place = await stack.enter_async_context(reserve(settings.web_host, settings.web_port))
        check = check_of(settings)
        if check is not None:
            parts.check = check.stats
            await check.start()
            stack.push_async_callback(check.stop)
        scheduler = scheduler or scheduler_of(settings, models, styles)
        parts.engine = scheduler.stats
        await scheduler.start()
        stack.push_async_callback(scheduler.stop, settings.drain_seconds)
        service = ImageService(
            limiter=limiter,
            fetcher=PictureFetcher(
                session,
                allowed_origins=DISCORD_HOSTS
                if settings.is_discord
                else DISCORD_HOSTS | {settings.api_base},
                max_bytes=settings.download_bytes,
                timeout_s=settings.download_seconds,
            ),
            intake=Intake(workers, max_pixels=settings.input_pixels),
            scheduler=scheduler,
            encoders=workers,
            model=settings.model,
            default_size=SIZES[settings.default_size],
            check=check,
        )
        journal = Journal(store, claim_seconds=settings.claim_seconds)
        stack.push_async_callback(journal.release)
        for chore in (journal.keep_claims(), journal.forget_old(settings.retention_days * DAY)):
            stack.callback(asyncio.create_task(chore, name="journal").cancel)
        studio = Studio(
            service=service,
            journal=journal,
            defaults=defaults_of(settings, next(iter(models.values()))),
            styles=styles,
            models=models,
        )
        studio.observers.append(ops.metrics.observe)
        parts.requests = studio
        parts.door = studio.door
        if place is not None:
            await stack.enter_async_context(
                serve_page(
                    place,
                    service,
                    studio.defaults,
                    password=settings.web_password.get_secret_value(),
                    observe=ops.metrics.observe,
                )
            )
        shard_ids, shard_count = shards_of(settings)
        bot = TurboBot(
            studio=studio,
            store=store,
            arrivals=Arrivals(store),
            message_content=settings.message_content,
            shard_ids=shard_ids,
            shard_count=shard_count,
        )
        await stack.enter_async_context(bot)
        if with_gateway:
            parts.gateway = bot
        yield App(settings, scheduler, studio, store, bot)


@asynccontextmanager
async def connected(
    settings: Settings, *, scheduler: Scheduler | None = None
) -> AsyncIterator[App]:
    """Yield a started App that is connected and ready; disconnect it at the end.

    Raises whatever `App.serve` raises when it ends before the bot is ready. What Discord would
    refuse is found out first, because loading a model can take minutes.
    """
    token = token_of(settings)
    point_at(settings.api_base, settings.gateway)
    await check_account(token, message_content=settings.message_content)
    async with started(settings, scheduler=scheduler) as app:
        app.serving = serving = asyncio.create_task(app.serve(), name="serve")
        ready = asyncio.create_task(app.wait_until_ready(), name="ready")
        try:
            await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            yield app
        finally:
            ready.cancel()
            # In this order, so that everyone who waits is answered while Discord still listens.
            await app.studio.drain(settings.drain_seconds)
            await app.bot.close()
            # It may be waiting for a gateway that does not answer.
            serving.cancel()
            await asyncio.gather(serving, ready, return_exceptions=True)
            # What Discord did not take in time fails now and is kept for /me.
            await app.studio.wait_until_idle(KEEP_SECONDS)


async def engine_failed(scheduler: Scheduler) -> None:
    """Return once nothing can be drawn in this process any more: its CUDA context may be lost.

    Never returns for a cluster, whose engines are processes of their own and come back.
    """
    if isinstance(scheduler, BatchScheduler):
        await scheduler.failed()
    else:
        await asyncio.Event().wait()


def freeze_loaded() -> None:
    """Spare the garbage collector what is loaded by now and stays: modules, model, command tree.

    A full collection of them took 90 ms and more, in which the event loop stood still. Weights that
    make room for others later are released without it: see `bot.models.loader.release`.
    """
    gc.collect()
    gc.freeze()


def token_of(settings: Settings) -> str:
    """Return the bot's token. Raises StartupError where there is none."""
    token = settings.token.get_secret_value()
    if not token:
        raise StartupError(
            "DISCORD_TOKEN is not set: copy the bot's token from the developer portal "
            "into .env or the environment",
            exit_code=exit_codes.CONFIG,
        )
    return token


def check_of(settings: Settings) -> PictureCheck | None:
    """Return the picture check that the settings ask for, not started yet; None judges nothing."""
    path = settings.safety_checker
    if path is None:
        return None

    def load() -> Judge:
        # It brings torch along, which a front without an engine of its own does not need.
        from bot.engine.safety_model import SafetyModel

        return SafetyModel(path, device=settings.safety_device)

    return PictureCheck(load)


def scheduler_of(
    settings: Settings, models: Mapping[str, ModelChoice], styles: Mapping[str, Style]
) -> Scheduler:
    """Return the engine that the settings ask for, not started yet."""
    further = {choice.key: choice.source for choice in models.values() if choice.key}
    if settings.ray_address is not None:
        return build_remote_scheduler(
            settings.model,
            address=settings.ray_address,
            cpu_engines=settings.ray_cpu_engines,
            vae=settings.vae,
            max_batch=settings.max_batch,
            compile=settings.compile,
            cache=settings.cache_dir,
            models=further,
            waiting_bytes=settings.models_waiting_bytes,
            models_dir=settings.models_dir,
            catalog=settings.catalog,
            max_pictures=settings.queue_total,
            max_per_guild=settings.queue_guild,
            max_per_member=settings.queue_member,
        )
    return build_scheduler(
        settings.model,
        device=settings.device,
        max_batch=settings.max_batch,
        vae=settings.vae,
        compile=settings.compile,
        cache=settings.cache_dir,
        models=further,
        waiting_bytes=settings.models_waiting_bytes,
        models_dir=settings.models_dir,
        catalog=settings.catalog,
        loras=[style.adapter for style in styles.values() if style.adapter],
        max_pictures=settings.queue_total,
        max_per_guild=settings.queue_guild,
        max_per_member=settings.queue_member,
    )


def defaults_of(settings: Settings, model: ModelChoice) -> Defaults:
    """Return the operator's defaults and ceilings, for the first model.

    What the operator has not chosen is no less than what the catalogue says the model needs.
    """
    chosen, needed = settings.model_fields_set, model.steps or 0
    steps, max_steps = settings.default_steps, settings.max_steps
    guidance = settings.default_guidance
    if "default_guidance" not in chosen and model.guidance is not None:
        guidance = model.guidance
    return Defaults(
        num_inference_steps=steps if "default_steps" in chosen else max(steps, needed),
        strength=settings.default_strength,
        guidance_scale=guidance,
        size=settings.default_size,
        max_count=settings.max_count,
        max_steps=max_steps if "max_steps" in chosen else max(max_steps, needed),
        model=model,
    )


def shards_of(settings: Settings) -> tuple[list[int] | None, int | None]:
    """Return shard ids and count from the form `0,1/4`; None leaves both to Discord."""
    if settings.shards is None:
        return None, None
    ids, count = settings.shards.split("/")
    return [int(part) for part in ids.split(",")], int(count)
