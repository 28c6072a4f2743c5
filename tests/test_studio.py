"""The studio with its real parts: limiter, queue, scheduler, store; only the model is null."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

from bot import service
from bot.engine.null import NullPipeline
from bot.engine.scheduler import BatchScheduler
from bot.engine.ticket import Ticket
from bot.errors import DeliveryFailed, QueueFull, StoreError, TurbocordError
from bot.imaging.fetch import PictureFetcher
from bot.imaging.intake import Intake
from bot.imaging.metadata import read_metadata
from bot.journal import Journal, Line, Posted
from bot.policy import Defaults
from bot.ratelimit import Quota, RateLimiter
from bot.request import Asker, ImageResult, PictureSource, Wish
from bot.service import ImageService
from bot.store import GuildSettings, JobState, PostedPicture, Store
from bot.studio import Studio
from bot.styles import load_styles

GUILD, MEMBER = Quota(100, 60), Quota(50, 60)

ASKER = Asker(user_id=7, guild_id=70, channel_id=700)


class FakeReply:
    """A member who remembers everything they were told."""

    def __init__(self, *, deliverable: bool = True) -> None:
        self.line = Line(1, "secret-token", 2e9)
        self.deliverable = deliverable
        self.soon: bool | None = None
        self.hastened = False
        self.acknowledgement = asyncio.Event()
        self.results: list[ImageResult] = []
        self.errors: list[BaseException] = []
        self.queued_jobs: list[str] = []
        self.in_queue = asyncio.Event()
        self.is_closed = False

    def open(self, *, soon: bool) -> None:
        self.soon = soon

    def hasten(self) -> None:
        self.hastened = True

    async def acknowledged(self) -> None:
        await self.acknowledgement.wait()

    def queued(self, ticket: Ticket, job_id: str) -> None:
        self.queued_jobs.append(job_id)
        self.in_queue.set()

    async def deliver(self, result: ImageResult) -> Posted:
        if not self.deliverable:
            raise DeliveryFailed
        self.results.append(result)
        pictures = tuple(
            PostedPicture(index + 1, picture.filename, picture.seed)
            for index, picture in enumerate(result.pictures)
        )
        return Posted(700, 7000, pictures)

    async def refuse(self, error: BaseException, job_id: str) -> None:
        self.errors.append(error)

    def close(self) -> None:
        self.is_closed = True

    @property
    def code(self) -> str:
        (error,) = self.errors
        assert isinstance(error, TurbocordError)
        return error.code


class BrokenPipeline(NullPipeline):
    """Draws everything but the prompt that breaks it."""

    def step(self, samples: Any) -> None:
        if any("break" in sample.draw.prompt for sample in samples):
            raise ValueError("kernel went wrong")
        super().step(samples)


MakeStudio = Callable[..., Any]


@pytest.fixture
async def make_studio(tmp_path: Path) -> AsyncIterator[MakeStudio]:
    started: list[Any] = []

    async def make(
        pipeline: Callable[[], NullPipeline] = NullPipeline,
        *,
        guild: Quota = GUILD,
        member: Quota = MEMBER,
    ) -> Studio:
        store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'store.db'}")
        limiter = RateLimiter(guild=guild, member=member)
        scheduler = BatchScheduler([pipeline])
        await scheduler.start()
        workers = ThreadPoolExecutor(2)
        session = aiohttp.ClientSession()
        started.extend((session.close, limiter.close, lambda: scheduler.stop(0), store.close))
        service = ImageService(
            limiter=limiter,
            fetcher=PictureFetcher(session),
            intake=Intake(workers),
            scheduler=scheduler,
            encoders=workers,
            model="null",
        )
        return Studio(
            service=service, journal=Journal(store), defaults=Defaults(), styles=load_styles()
        )

    yield make
    for close in started:
        await close()


def photo(width: int = 640, height: int = 480) -> PictureSource:
    data = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(data, "JPEG")
    return PictureSource(data=data.getvalue(), filename="photo.jpg")


async def test_a_wish_ends_in_pictures_that_tell_how_they_were_made(
    make_studio: MakeStudio,
) -> None:
    studio = await make_studio()
    reply = FakeReply()
    outcome = await studio.draw(reply, Wish(prompt="a cat", seed=5, count=3), ASKER, kind="imagine")
    (result,) = reply.results
    assert outcome.state is JobState.DONE
    assert [picture.seed for picture in result.pictures] == [5, 6, 7]
    metadata = read_metadata(result.pictures[1].data)
    assert metadata is not None
    assert (metadata.prompt, metadata.seed, metadata.num_inference_steps) == ("a cat", 6, 2)
    job = await studio.journal.store.get_job(outcome.job_id)
    assert job.state is JobState.DONE
    assert job.message_id == 7000
    assert job.interaction_token is None
    assert [one.seed for one in job.attachments] == [5, 6, 7]


async def test_a_remix_takes_the_bucket_of_its_source(make_studio: MakeStudio) -> None:
    studio = await make_studio()
    reply = FakeReply()
    wish = Wish(prompt="snow", sources=(photo(),), strength=0.1, num_inference_steps=1)
    await studio.draw(reply, wish, ASKER, kind="remix")
    request = reply.results[0].request
    assert (request.size.width, request.size.height) == (576, 448)
    assert request.num_inference_steps == 10


async def test_an_upscale_doubles_the_bucket(make_studio: MakeStudio) -> None:
    studio = await make_studio()
    reply = FakeReply()
    wish = Wish(prompt="", sources=(photo(512, 512),), scale=2, strength=0.3)
    await studio.draw(reply, wish, ASKER, kind="upscale")
    assert reply.results[0].pictures[0].width == 1024


async def test_a_style_reaches_the_model_but_not_the_shown_prompt(
    make_studio: MakeStudio,
) -> None:
    studio = await make_studio()
    reply = FakeReply()
    await studio.draw(reply, Wish(prompt="a cat", style="Pixel"), ASKER, kind="imagine")
    request = reply.results[0].request
    assert request.prompt == "a cat"
    assert request.model_prompt == "a cat, pixel art"


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (Wish(prompt=""), "prompt_empty"),
        (Wish(prompt="a", style="nonsense"), "bad_parameter"),
        (Wish(prompt="a", sources=(PictureSource(data=b"not a picture"),)), None),
        (Wish(prompt="a", sources=(PictureSource(url="https://example.com/a.png"),)), None),
    ],
)
async def test_a_wrong_wish_ends_in_a_sentence(
    make_studio: MakeStudio, wish: Wish, code: str | None
) -> None:
    studio = await make_studio()
    reply = FakeReply()
    outcome = await studio.draw(reply, wish, ASKER, kind="imagine")
    assert outcome.state is JobState.REFUSED
    assert code in (None, reply.code)
    assert not reply.results


async def test_refused_and_failed_pictures_are_not_charged(make_studio: MakeStudio) -> None:
    studio = await make_studio(BrokenPipeline, member=Quota(2, 60))
    for wish in (
        Wish(prompt="break"),
        Wish(prompt="a", sources=(PictureSource(data=b"nothing"),)),
    ):
        await studio.draw(FakeReply(), wish, ASKER, kind="imagine")
    reply = FakeReply()
    await studio.draw(reply, Wish(prompt="a", count=2), ASKER, kind="imagine")
    assert reply.results
    again = FakeReply()
    await studio.draw(again, Wish(prompt="a"), ASKER, kind="imagine")
    assert again.code == "rate_limited_member"


async def test_a_broken_request_leaves_its_neighbours_alone(make_studio: MakeStudio) -> None:
    studio = await make_studio(BrokenPipeline)
    broken, fine = FakeReply(), FakeReply()
    await asyncio.gather(
        studio.draw(broken, Wish(prompt="break"), ASKER, kind="imagine"),
        studio.draw(fine, Wish(prompt="a"), replace(ASKER, user_id=8), kind="imagine"),
    )
    assert broken.code == "engine_failed"
    assert fine.results


async def test_an_abandoned_request_is_neither_answered_nor_charged(
    make_studio: MakeStudio,
) -> None:
    studio = await make_studio(lambda: NullPipeline(step_seconds=0.2), member=Quota(1, 60))
    reply = FakeReply()
    drawing = asyncio.create_task(studio.draw(reply, Wish(prompt="a"), ASKER, kind="imagine"))
    await reply.in_queue.wait()
    (job_id,) = reply.queued_jobs
    assert not studio.abandon(job_id, user_id=8)
    assert studio.abandon(job_id, user_id=7)
    assert (await drawing).state is JobState.ABANDONED
    assert not reply.results
    assert not reply.errors
    again = FakeReply()
    await studio.draw(again, Wish(prompt="a"), ASKER, kind="imagine")
    assert again.results


async def test_a_guild_s_rules_hold_at_once(make_studio: MakeStudio) -> None:
    studio = await make_studio()
    store = studio.journal.store
    for rules, code in (
        (GuildSettings(banned_user_ids=frozenset({7})), "banned"),
        (GuildSettings(allowed_channel_ids=frozenset({701})), "wrong_channel"),
        (GuildSettings(allowed_role_ids=frozenset({1})), "role_needed"),
        (GuildSettings(blocklist=("gore",)), "blocked_word"),
        (GuildSettings(member_quota=(1, 3600)), "over_limit_member"),
        (GuildSettings(max_count=1), "bad_parameter"),
    ):
        await store.save_settings(70, rules)
        reply = FakeReply()
        await studio.draw(reply, Wish(prompt="a GORE", count=2), ASKER, kind="imagine")
        assert reply.code == code
    await store.save_settings(70, GuildSettings(default_size="wide", default_count=2))
    reply = FakeReply()
    await studio.draw(reply, Wish(prompt="a"), ASKER, kind="imagine")
    assert len(reply.results[0].pictures) == 2
    assert reply.results[0].request.size.name == "wide"


async def test_drawing_goes_on_without_the_store(make_studio: MakeStudio) -> None:
    studio = await make_studio()
    await studio.journal.store.close()
    reply = FakeReply()
    outcome = await studio.draw(reply, Wish(prompt="a"), ASKER, kind="imagine")
    assert outcome.state is JobState.DONE


async def test_a_store_that_is_away_leaves_the_operator_s_rules(
    make_studio: MakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = await make_studio()

    async def away(guild_id: int) -> GuildSettings:
        raise StoreError(reason="locked")

    monkeypatch.setattr(studio.journal.store, "get_settings", away)
    reply = FakeReply()
    outcome = await studio.draw(reply, Wish(prompt="a cat"), ASKER, kind="imagine")
    assert outcome.state is JobState.DONE
    assert len(reply.results) == 1


async def test_a_picture_nobody_takes_is_kept_for_its_member(make_studio: MakeStudio) -> None:
    studio = await make_studio()
    reply = FakeReply(deliverable=False)
    outcome = await studio.draw(reply, Wish(prompt="a"), ASKER, kind="imagine")
    assert outcome.state is JobState.FAILED
    (kept,) = await studio.journal.store.kept_pictures(7)
    assert await studio.journal.store.read_picture(kept.picture_id, user_id=7)


async def test_a_rush_is_acknowledged_before_anyone_is_worked_for(
    make_studio: MakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.door.PATIENCE_SECONDS", 60.0)
    studio = await make_studio()
    replies = [FakeReply() for _ in range(40)]
    askers = [replace(ASKER, user_id=number, guild_id=number) for number in range(40)]
    wish = Wish(prompt="a")
    drawing = [
        asyncio.create_task(studio.draw(reply, wish, asker, kind="imagine"))
        for reply, asker in zip(replies, askers, strict=True)
    ]
    await asyncio.sleep(0.05)
    assert all(reply.hastened and reply.soon is False for reply in replies)
    for reply in replies[1:]:
        reply.acknowledgement.set()
    await asyncio.sleep(0.05)
    assert not any(reply.queued_jobs for reply in replies)
    replies[0].acknowledgement.set()
    outcomes = await asyncio.gather(*drawing)
    assert {outcome.state for outcome in outcomes} == {JobState.DONE}
    alone = FakeReply()
    await studio.draw(alone, wish, ASKER, kind="imagine")
    assert (alone.soon, alone.hastened) == (True, False)


async def test_pictures_waiting_for_the_encoders_are_bounded(
    make_studio: MakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine faster than the encoders must not pile up pixels: who comes then is refused."""
    monkeypatch.setattr(service, "MAX_ENCODING", 3)
    studio = await make_studio()
    gate = threading.Event()
    for _ in range(2):
        studio.service.encoders.submit(gate.wait, 20)
    replies = [FakeReply() for _ in range(3)]
    drawing = [
        asyncio.create_task(
            studio.draw(reply, Wish(prompt="a"), replace(ASKER, user_id=number), kind="imagine")
        )
        for number, reply in enumerate(replies)
    ]
    while studio.service.scheduler.stats().drawn < 3:  # noqa: ASYNC110 - a thread counts
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    late = FakeReply()
    await studio.draw(late, Wish(prompt="a"), ASKER, kind="imagine")
    assert late.code == "queue_full_server"
    gate.set()
    await asyncio.gather(*drawing)
    assert all(reply.results for reply in replies)
    again = FakeReply()
    await studio.draw(again, Wish(prompt="a"), ASKER, kind="imagine")
    assert again.results


async def test_sources_on_their_way_are_bounded(
    make_studio: MakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Downloads wait in number, not in memory, and the next are told to come back."""
    monkeypatch.setattr(service, "MAX_TAKING_IN", 12)
    studio = await make_studio()
    fetch, gate = studio.service.fetcher.fetch, asyncio.Event()
    fetching: list[PictureSource] = []

    async def slow(source: PictureSource) -> bytes:
        fetching.append(source)
        await gate.wait()
        data: bytes = await fetch(source)
        return data

    monkeypatch.setattr(studio.service.fetcher, "fetch", slow)
    wish = Wish(prompt="snow", sources=(photo(64, 64),))
    replies = [FakeReply() for _ in range(12)]
    drawing = [
        asyncio.create_task(studio.draw(reply, wish, replace(ASKER, user_id=number), kind="remix"))
        for number, reply in enumerate(replies)
    ]
    while len(fetching) < service.AT_ONCE:  # noqa: ASYNC110 - another task counts
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    assert len(fetching) == service.AT_ONCE
    late = FakeReply()
    await studio.draw(late, wish, ASKER, kind="remix")
    assert late.code == "queue_full_server"
    gate.set()
    await asyncio.gather(*drawing)
    assert all(reply.results for reply in replies)


async def test_pictures_that_are_only_read_leave_room_for_those_drawn_from(
    make_studio: MakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No limit of images holds them: a few members could keep everyone's sources out."""
    monkeypatch.setattr(service, "MAX_TAKING_IN", 12)
    studio = await make_studio()
    fetch, gate = studio.service.fetcher.fetch, asyncio.Event()

    async def slow(source: PictureSource) -> bytes:
        await gate.wait()
        data: bytes = await fetch(source)
        return data

    monkeypatch.setattr(studio.service.fetcher, "fetch", slow)
    reading = [asyncio.create_task(studio.read_metadata(photo(64, 64))) for _ in range(6)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await asyncio.wait_for(studio.read_metadata(photo(64, 64)), 5)
    reply = FakeReply()
    wish = Wish(prompt="snow", sources=(photo(64, 64),))
    drawing = asyncio.create_task(studio.draw(reply, wish, ASKER, kind="remix"))
    await asyncio.sleep(0.05)
    gate.set()
    assert await asyncio.gather(*reading) == [None] * 6
    await drawing
    assert reply.results
    assert await studio.read_metadata(photo(64, 64)) is None
