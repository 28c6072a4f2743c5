"""A running batch never waits longer than one step for those who come or go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.costs import AT_ONCE, Costs, running_average

seconds = st.floats(1e-4, 10.0)


@given(step=seconds, each=seconds, most=st.integers(1, 32))
def test_what_fits_between_two_steps(step: float, each: float, most: int) -> None:
    count = Costs(step=step).chunk(each, most, running=True)
    assert 1 <= count <= min(most, AT_ONCE)
    assert count == 1 or count * each <= step


def test_nobody_waits_when_nothing_runs() -> None:
    assert Costs(step=0.01).chunk(1.0, 16, running=False) == 16


def test_one_at_a_time_while_nothing_is_known() -> None:
    assert Costs().chunk(0.0, 16, running=True) == 1
    assert Costs(step=1.0).chunk(0.0, 16, running=True) == 1


def test_averages_follow() -> None:
    assert running_average(0.0, 5.0) == 5.0
    assert running_average(1.0, 2.0) == pytest.approx(1.3)
