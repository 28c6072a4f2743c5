"""A visitor's newest wish wins, and the page has one guild's share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.conversation import Outcome
from bot.engine.null import NullPipeline
from bot.engine.picture_check import PictureCheck
from bot.engine.safety_model import SafetyModel
from bot.policy import Defaults
from bot.ratelimit import Quota
from bot.request import PictureSource, Wish
from bot.service import ImageService
from bot.store import JobState
from bot.web.sentences import error_sentence
from bot.web.visitor import Frame, Visitor, Visitors
from tests.pictures import png
from tests.safety import RED, ColourPipeline, build_checker
from tests.web.conftest import AMPLE, service_of


class BrokenPipeline(NullPipeline):
    """Fails on every picture."""

    def step(self, samples: object) -> None:
        raise ValueError("kernel went wrong")


@pytest.fixture
async def service() -> AsyncIterator[ImageService]:
    async with service_of(lambda: NullPipeline(step_seconds=0.05)) as made:
        yield made


def visitor(service: ImageService, outcomes: list[Outcome], quota: Quota = AMPLE) -> Visitor:
    return Visitor(service, Defaults(), quota=quota, observe=outcomes.append, settle_s=0.01)


async def frames(visitor: Visitor, wish: Wish, stamp: float = 1.0) -> list[Frame]:
    return [frame async for frame in visitor.draw(wish, stamp=stamp)]


async def test_wishes_in_between_cost_nothing(service: ImageService) -> None:
    outcomes: list[Outcome] = []
    one = visitor(service, outcomes)
    drawn = await asyncio.gather(
        *(frames(one, Wish(prompt="a" * (number + 1), seed=1), number) for number in range(20))
    )
    assert not any(drawn[:-1])
    (last,) = drawn[-1]
    assert last.result is not None
    assert last.result.request.prompt == "a" * 20
    assert len(outcomes) == 1


async def test_the_picture_being_drawn_is_shown_before_the_newest(service: ImageService) -> None:
    outcomes: list[Outcome] = []
    one = visitor(service, outcomes)
    first = asyncio.create_task(frames(one, Wish(prompt="first"), 1))
    while not service.scheduler.stats().running:  # noqa: ASYNC110  the engine has its own thread
        await asyncio.sleep(0.001)
    middle = asyncio.create_task(frames(one, Wish(prompt="middle"), 2))
    await asyncio.sleep(0)
    last = asyncio.create_task(frames(one, Wish(prompt="last"), 3))
    assert len(await first) == 1
    assert await middle == []
    assert len(await last) == 1
    prompts = [one.result.request.prompt for one in outcomes if one.result]
    assert prompts == ["first", "last"]


async def test_a_wish_that_comes_late_does_not_undo_a_newer_one(service: ImageService) -> None:
    outcomes: list[Outcome] = []
    one = visitor(service, outcomes)
    newest = asyncio.create_task(frames(one, Wish(prompt="a cat"), 20))
    await asyncio.sleep(0)
    assert await frames(one, Wish(prompt="a ca"), 10) == []
    (frame,) = await newest
    assert frame.result is not None
    assert frame.result.request.prompt == "a cat"


async def test_a_limit_is_waited_for_unless_it_never_ends(service: ImageService) -> None:
    outcomes: list[Outcome] = []
    one = visitor(service, outcomes, Quota(1, 4))
    await frames(one, Wish(prompt="one"), 1)
    waiting, done = await frames(one, Wish(prompt="two"), 2)
    assert waiting.waiting
    assert done.result is not None
    assert [each.code for each in outcomes] == [None, "rate_limited_member", None]


async def test_who_goes_on_typing_while_waiting_gets_the_newest(service: ImageService) -> None:
    outcomes: list[Outcome] = []
    one = visitor(service, outcomes, Quota(1, 4))
    await frames(one, Wish(prompt="one"), 1)
    overtaken = asyncio.create_task(frames(one, Wish(prompt="two"), 2))
    async with asyncio.timeout(10):
        while len(outcomes) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    newest = await frames(one, Wish(prompt="three"), 3)
    assert [frame.waiting for frame in await overtaken] == [True]
    assert newest[-1].result is not None
    assert newest[-1].result.request.prompt == "three"


async def test_all_visitors_together_have_one_guild_s_share(service: ImageService) -> None:
    service.limiter.guild = Quota(2, 60)
    outcomes: list[Outcome] = []
    for number in range(2):
        (frame,) = await frames(visitor(service, outcomes), Wish(prompt=f"a {number}"))
        assert frame.result is not None
    third = visitor(service, outcomes)
    waiting = await anext(third.draw(Wish(prompt="a"), stamp=1.0))
    assert waiting.waiting
    assert outcomes[-1].code == "rate_limited_guild"


async def test_what_is_wrong_is_told_and_counted(service: ImageService) -> None:
    outcomes: list[Outcome] = []
    one = visitor(service, outcomes)
    for number, wish in enumerate(
        (
            Wish(prompt="  "),
            Wish(prompt="a", sources=(PictureSource(data=b"not a picture"),)),
            Wish(prompt="a", num_inference_steps=99),
        )
    ):
        (frame,) = await frames(one, wish, number)
        assert frame.result is None
        assert frame.error is not None
    assert {each.state for each in outcomes} == {JobState.REFUSED}


async def test_a_failing_engine_is_our_fault() -> None:
    outcomes: list[Outcome] = []
    async with service_of(BrokenPipeline) as broken:
        (frame,) = await frames(visitor(broken, outcomes), Wish(prompt="a"))
    assert outcomes[0].state is JobState.FAILED
    assert outcomes[0].code == "engine_failed"
    assert frame.job_id == outcomes[0].job_id


async def test_a_tab_keeps_its_visitor_while_it_is_among_the_newest(service: ImageService) -> None:
    visitors = Visitors(lambda: visitor(service, []), most=2)
    first, second = visitors.of("a"), visitors.of("b")
    assert visitors.of("a") is first
    visitors.of("c")
    assert visitors.of("a") is first
    assert visitors.of("b") is not second
    visitors.forget("b")
    assert first.asker.user_id != second.asker.user_id


async def test_what_the_picture_check_flags_is_refused_on_the_page_too(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = build_checker(tmp_path_factory.mktemp("checker"))
    check = PictureCheck(lambda: SafetyModel(folder, device="cpu"))
    await check.start()
    async with service_of(ColourPipeline, check=check) as service:
        outcomes: list[Outcome] = []
        one = visitor(service, outcomes)
        (drawn,) = await frames(one, Wish(prompt="red"))
        source = PictureSource(data=png(colour=RED))
        (given,) = await frames(one, Wish(prompt="blue", sources=(source,)), 2.0)
        (fine,) = await frames(one, Wish(prompt="blue"), 3.0)
    await check.stop()
    sentences = [
        error_sentence(frame.error, locale="en", job_id=frame.job_id)
        for frame in (drawn, given)
        if frame.error is not None
    ]
    assert "came out as one for adults" in sentences[0]
    assert "looks like one for adults" in sentences[1]
    assert fine.result is not None
    assert [outcome.code for outcome in outcomes] == ["flagged_output", "flagged_input", None]
