"""Reading pictures away from the event loop, in bounded number and time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from bot.errors import BadPicture
from bot.imaging import intake as intake_module
from bot.imaging.intake import Intake
from tests.imaging.pictures import encode, gradient


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


class HeldDecoder:
    """Stands in for a slow decoder: holds each thread until told to go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.lock = threading.Lock()
        self.running = self.most = self.started = 0

    def __call__(self, data: bytes, **_: object) -> Image.Image:
        with self.lock:
            self.started += 1
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.go_on.wait(10)
        with self.lock:
            self.running -= 1
        return gradient()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldDecoder]:
    decoder = HeldDecoder()
    monkeypatch.setattr(intake_module, "open_picture", decoder)
    yield decoder
    decoder.go_on.set()


async def test_a_picture_is_opened_and_fitted(executor: ThreadPoolExecutor) -> None:
    intake = Intake(executor)
    picture = await intake.open(encode(gradient(), "PNG"))
    assert (await intake.fit(picture, 512, 512)).size == (512, 512)


async def test_refusals_pass_through(executor: ThreadPoolExecutor) -> None:
    intake = Intake(executor, max_pixels=100)
    with pytest.raises(BadPicture, match="picture_too_large"):
        await intake.open(encode(gradient(), "PNG"))
    with pytest.raises(BadPicture, match="picture_unknown"):
        await intake.open(b"hello")


async def test_the_loop_runs_on_and_only_so_many_decode_at_once(
    executor: ThreadPoolExecutor, held: HeldDecoder
) -> None:
    intake = Intake(executor, concurrency=2)
    opening = [asyncio.create_task(intake.open(b"x")) for _ in range(6)]
    async with asyncio.timeout(10):
        while held.started < 2:  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    assert held.started == 2
    held.go_on.set()
    await asyncio.gather(*opening)
    assert (held.started, held.most) == (6, 2)


async def test_time_up_is_a_sentence_and_the_turn_stays_taken(
    executor: ThreadPoolExecutor, held: HeldDecoder
) -> None:
    intake = Intake(executor, timeout_s=0.05, concurrency=1)
    for _ in range(2):
        with pytest.raises(BadPicture, match="picture_heavy"):
            await intake.open(b"x")
    assert held.started <= 1
    held.go_on.set()
    intake.timeout_s = 30
    assert (await intake.open(b"x")).size == gradient().size
    assert held.most == 1


async def test_what_a_picture_tells_is_read_away_from_the_loop_too(
    executor: ThreadPoolExecutor, held: HeldDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "read_metadata", held)
    intake = Intake(executor, timeout_s=0.05, concurrency=1)
    with pytest.raises(BadPicture, match="picture_heavy"):
        await intake.read(b"x")
    assert held.running == 1


async def test_a_cancelled_member_frees_nothing_too_early(
    executor: ThreadPoolExecutor, held: HeldDecoder
) -> None:
    intake = Intake(executor, concurrency=1)
    gone = asyncio.create_task(intake.open(b"x"))
    await asyncio.sleep(0.02)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    waiting = asyncio.create_task(intake.open(b"x"))
    await asyncio.sleep(0.02)
    assert held.started <= 1
    held.go_on.set()
    await waiting
    assert held.most == 1
