"""When the bot says that it is ready, and why it is not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bot.engine.picture_check import CheckStats
from bot.web.parts import Parts
from bot.web.readiness import QueueWatch, reasons_not_alive, reasons_not_ready
from tests.web.stand_ins import Client, Connection, stats


def reasons(parts: Parts, queue: QueueWatch | None = None, now: float = 0.0) -> list[str]:
    return reasons_not_ready(parts, queue or QueueWatch(), now)


def test_a_process_that_starts_is_alive_but_not_ready() -> None:
    assert reasons(Parts()) == ["engine: starting", "gateway: starting"]
    assert reasons_not_alive(Parts()) == []


def test_engine_and_gateway_make_it_ready() -> None:
    assert reasons(Parts(engine=stats, gateway=Client())) == []


def test_a_page_without_discord_needs_no_gateway() -> None:
    assert reasons(Parts(engine=stats, needs_gateway=False)) == []


@pytest.mark.parametrize("state", ["starting", "stopping", "stopped", "failed"])
def test_an_engine_that_cannot_draw_is_named_by_its_state(state: str) -> None:
    parts = Parts(engine=lambda: stats(ready=False, state=state), gateway=Client())
    assert reasons(parts) == [f"engine: {state}"]
    assert bool(reasons_not_alive(parts)) == (state == "failed")


@pytest.mark.parametrize(
    "client",
    [
        Client(ready=False),
        Client(shards={}),
        Client(shards={0: Connection(), 1: Connection(closed=True)}),
    ],
    ids=["before READY", "no shard yet", "one shard reconnects"],
)
def test_every_shard_must_be_connected(client: Client) -> None:
    assert reasons(Parts(engine=stats, gateway=client)) == ["gateway: not connected"]


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"call_s": 59.0}, None),
        ({"call_s": 61.0}, "no answer for 61 s"),
        ({"unanswered": 2}, None),
        ({"unanswered": 3, "unanswered_s": 299.0}, "no verdict for the last 3 requests"),
        ({"unanswered": 3, "unanswered_s": 301.0}, None),
        ({"unanswered": 9, "call_s": 90.0}, "no answer for 90 s"),
    ],
    ids=str,
)
def test_a_check_without_verdicts_is_named(trouble: dict[str, float], reason: str | None) -> None:
    check = CheckStats("cpu", 0, 0, {}, **trouble)  # type: ignore[arg-type]  # ints and floats
    parts = Parts(engine=stats, check=lambda: check, gateway=Client())
    assert reasons(parts) == ([f"picture check: {reason}"] if reason else [])
    assert reasons_not_alive(parts) == []


def test_a_process_that_takes_no_more_is_not_ready() -> None:
    studio = SimpleNamespace(is_draining=False, running=2, taken_over=0)
    parts = Parts(engine=stats, requests=studio, gateway=Client())
    assert reasons(parts) == []
    studio.is_draining = True
    assert reasons(parts) == ["requests: stopping"]


class TestQueue:
    """A watch with 60 seconds of patience."""

    def test_what_waits_without_any_progress_is_stuck(self) -> None:
        queue = QueueWatch(stuck_seconds=60)
        busy = stats(waiting=3, running=1, drawn=7)
        for now in range(0, 61, 10):
            queue.look(busy, now)
            assert not queue.is_stuck(now)
        parts = Parts(engine=lambda: busy, gateway=Client())
        assert reasons(parts, queue, 61) == ["queue: nothing moved for 61 s with 4 pictures in it"]

    @pytest.mark.parametrize(
        "progress", [{"drawn": 8}, {"failed": 1}, {"batch_sizes": {1: 1}}], ids=str
    )
    def test_a_picture_or_a_call_is_progress(self, progress: dict[str, object]) -> None:
        queue = QueueWatch(stuck_seconds=60)
        queue.look(stats(waiting=3, drawn=7), 0)
        queue.look(stats(waiting=3, **{"drawn": 7, **progress}), 50)
        assert not queue.is_stuck(100)
        assert queue.is_stuck(111)

    def test_a_member_who_gives_up_is_not_progress(self) -> None:
        queue = QueueWatch(stuck_seconds=60)
        queue.look(stats(waiting=3), 0)
        queue.look(stats(waiting=2, abandoned=1), 50)
        assert queue.is_stuck(61)

    def test_a_long_idle_time_does_not_count(self) -> None:
        queue = QueueWatch(stuck_seconds=60)
        queue.look(stats(drawn=7), 0)
        queue.look(stats(drawn=7), 1000)
        queue.look(stats(drawn=7, waiting=1), 1001)
        assert not queue.is_stuck(1060)
        assert queue.is_stuck(1062)
