"""Fairness of the queue: by example, and by properties over random histories."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.engine.fair_queue import FairQueue, TurnTaking
from bot.errors import QueueFull

Item = tuple[str, str, int]


def queue_of(*lines: tuple[str, str, int]) -> FairQueue[Item]:
    queue: FairQueue[Item] = FairQueue()
    for guild, member, count in lines:
        queue.push([(guild, member, n) for n in range(count)], guild=guild, member=member)
    return queue


def drain(queue: FairQueue[Item], limit: int = 10_000) -> list[Item]:
    taken: list[Item] = []
    while len(taken) < limit and (item := queue.pop()) is not None:
        taken.append(item)
    return taken


def test_guilds_take_turns_whatever_their_size() -> None:
    queue = queue_of(("big", "a", 20), ("small", "b", 2))
    assert [item[0] for item in drain(queue, 5)] == ["big", "small", "big", "small", "big"]


def test_members_take_turns_inside_a_guild() -> None:
    queue = queue_of(("g", "greedy", 4), ("g", "other", 1), ("g", "third", 1))
    assert [item[1] for item in drain(queue)] == [
        "greedy",
        "other",
        "third",
        "greedy",
        "greedy",
        "greedy",
    ]


def test_many_members_do_not_outweigh_another_guild() -> None:
    queue = queue_of(*(("crowd", f"m{n}", 1) for n in range(10)), ("lone", "x", 3))
    assert Counter(item[0] for item in drain(queue, 6)) == {"crowd": 3, "lone": 3}


def test_a_pause_earns_no_credit() -> None:
    queue = queue_of(("steady", "a", 32))
    drain(queue, 20)
    queue.push([("late", "b", n) for n in range(32)], guild="late", member="b")
    assert Counter(item[0] for item in drain(queue, 10)) == {"steady": 5, "late": 5}


def test_leaving_and_returning_does_not_wipe_the_slate() -> None:
    queue = queue_of(("a", "x", 1), ("b", "y", 10))
    drain(queue, 1)
    queue.push([("a", "x", 9)], guild="a", member="x")
    # a was served once and came back at once; b, served never, goes first.
    assert [item[0] for item in drain(queue, 2)] == ["b", "a"]


@pytest.mark.parametrize(
    ("bounds", "scope"),
    [
        ({"max_per_member": 3}, "member"),
        ({"max_per_guild": 3}, "guild"),
        ({"max_pictures": 3}, "server"),
    ],
)
def test_refuses_whole_requests_and_says_when_to_come_back(
    bounds: dict[str, int], scope: str
) -> None:
    queue: FairQueue[int] = FairQueue(**bounds)
    queue.push([1, 2], guild="g", member="m")
    with pytest.raises(QueueFull, match=f"queue_full_{scope}") as caught:
        queue.push([3, 4], guild="g", member="m", seconds_each=7.0)
    assert caught.value.retry_after == 7.0
    assert len(queue) == 2
    queue.push([3], guild="g", member="m")


def test_a_member_counts_in_all_guilds_together() -> None:
    queue: FairQueue[int] = FairQueue(max_per_member=3)
    queue.push([1, 2], guild="g", member="m")
    with pytest.raises(QueueFull, match="queue_full_member"):
        queue.push([3, 4], guild="h", member="m")
    queue.push([3, 4], guild="h", member="n")
    queue.pop()
    queue.push([5, 6], guild="h", member="m")
    queue.clear()
    assert not queue._of_members


def test_what_does_not_fit_stays_first() -> None:
    queue = queue_of(("g", "m", 2))
    assert queue.pop(lambda item: item[2] > 0) is None
    assert queue.pop() == ("g", "m", 0)


def test_remembers_no_more_clients_than_needed() -> None:
    turns = TurnTaking()
    turns.enter("steady")
    for number in range(1000):
        turns.enter(number)
        turns.serve(number)
        turns.serve("steady")
        turns.leave(number)
    assert len(turns._gone) < 50


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(1, 5)), max_size=12
    ),
    st.integers(0, 20),
)
def test_ahead_tells_the_exact_place(lines: list[tuple[str, str, int]], served: int) -> None:
    queue: FairQueue[int] = FairQueue()
    numbers = iter(range(1000))
    for guild, member, count in lines:
        queue.push([next(numbers) for _ in range(count)], guild=guild, member=member)
    for _ in range(served):
        queue.pop()
    places = {item: queue.ahead(item) for item in list(queue._homes)}
    order = []
    while (item := queue.pop()) is not None:
        order.append(item)
    assert [places[item] for item in order] == list(range(len(order)))


class Histories(RuleBasedStateMachine):
    """Any order of coming, leaving and being served keeps every promise."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[int] = FairQueue(max_pictures=40, max_per_guild=20, max_per_member=8)
        self.next = 0
        self.homes: dict[int, tuple[int, int]] = {}
        self.gone: set[int] = set()
        # For each guild that has been waiting without a break: pictures of others taken since its
        # own last one.
        self.passed: Counter[int] = Counter()

    @rule(guild=st.integers(0, 4), member=st.integers(0, 3), count=st.integers(1, 4))
    def push(self, guild: int, member: int, count: int) -> None:
        items = list(range(self.next, self.next + count))
        try:
            self.queue.push(items, guild=guild, member=(guild, member))
        except QueueFull:
            return
        self.next += count
        self.homes.update(dict.fromkeys(items, (guild, member)))

    @precondition(lambda self: self.homes)
    @rule()
    def pop(self) -> None:
        waiting = {guild for guild, _ in self.homes.values()}
        item = self.queue.pop()
        assert item is not None
        assert item not in self.gone
        guild, member = self.homes.pop(item)
        self.gone.add(item)
        # First come, first served for one member.
        assert not any(
            home == (guild, member) and other < item for other, home in self.homes.items()
        )
        self.passed[guild] = 0
        for other in waiting - {guild}:
            self.passed[other] += 1
        # No starvation: with 5 guilds, newcomers level at most, two rounds always suffice.
        assert max(self.passed.values()) <= 10

    @precondition(lambda self: self.homes)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(sorted(self.homes)))
        assert self.queue.remove(item)
        assert not self.queue.remove(item)
        del self.homes[item]
        self.gone.add(item)

    @invariant()
    def holds_what_was_put_in(self) -> None:
        assert len(self.queue) == len(self.homes)
        assert all(item in self.queue for item in self.homes)
        for guild in list(self.passed):
            if not any(home[0] == guild for home in self.homes.values()):
                del self.passed[guild]

    @invariant()
    def stays_within_bounds(self) -> None:
        assert len(self.homes) <= 40
        per_guild = Counter(guild for guild, _ in self.homes.values())
        assert max(per_guild.values(), default=0) <= 20


TestHistories = Histories.TestCase
