"""An engine's room is divided by how many guilds wait at each front."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.engine.remote_shares import Shares


def test_one_front_has_everything() -> None:
    shares = Shares(16)
    assert shares.hear("a", 0, now=0.0) == 16
    assert shares.hear("a", 500, now=0.0) == 16


def test_fronts_share_by_waiting_guilds() -> None:
    shares = Shares(16)
    shares.hear("a", 30, now=0.0)
    assert shares.hear("b", 10, now=0.0) == 4
    assert shares.hear("a", 30, now=0.0) == 12


def test_an_idle_front_leaves_its_share_and_can_begin_at_once() -> None:
    shares = Shares(16)
    shares.hear("busy", 7, now=0.0)
    assert shares.hear("idle", 0, now=0.0) == 2
    assert shares.hear("busy", 7, now=0.0) == 16


def test_the_silent_and_the_gone_do_not_count() -> None:
    shares = Shares(8, forget_seconds=10.0)
    shares.hear("a", 1, now=0.0)
    assert shares.hear("b", 1, now=10.0) == 4
    assert shares.hear("b", 1, now=10.1) == 8
    shares.hear("a", 1, now=11.0)
    shares.leave("a")
    assert shares.hear("b", 1, now=11.0) == 8
    assert not shares.alone(now=21.0)
    assert shares.alone(now=21.1)


@given(
    rows=st.integers(1, 64),
    demands=st.lists(st.integers(1, 50), min_size=1, max_size=8),
)
def test_everybody_gets_a_row_and_the_sum_stays_in_bounds(rows: int, demands: list[int]) -> None:
    shares = Shares(rows)
    for number, demand in enumerate(demands):
        shares.hear(str(number), demand, now=0.0)
    credits = [shares.hear(str(n), demand, now=0.0) for n, demand in enumerate(demands)]
    assert min(credits) >= 1
    assert sum(credits) <= rows + len(demands)
