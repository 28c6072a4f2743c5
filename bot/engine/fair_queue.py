"""A queue that is fair over guilds, then over members of a guild; its unit is one picture.

Each guild, and each member within one, carries a counter of pictures served. The next picture is
the least-served guild's, and within it the least-served member's. Whoever returns after a pause is
lifted to the least counter of those waiting, so a pause earns no credit (the virtual token counter
of Sheng et al., "Fairness in Serving Large Language Models", 2024).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from bot.errors import QueueFull

T = TypeVar("T", bound=Hashable)


class FairQueue(Generic[T]):
    """Waiting pictures of many guilds and members. Not thread-safe, reads no clock.

    `max_pictures`, `max_per_guild` and `max_per_member` bound how many may wait; a member counts in
    all guilds together, or one account could fill the queue from many.
    """

    def __init__(
        self, *, max_pictures: int = 1024, max_per_guild: int = 256, max_per_member: int = 32
    ) -> None:
        self.max_pictures = max_pictures
        self.max_per_guild = max_per_guild
        self.max_per_member = max_per_member
        self._turns = TurnTaking()
        self._guilds: dict[Hashable, _Guild[T]] = {}
        self._homes: dict[T, tuple[Hashable, Hashable]] = {}
        self._of_members: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        return len(self._homes)

    def __contains__(self, item: object) -> bool:
        return item in self._homes

    @property
    def guilds(self) -> int:
        """How many guilds have pictures waiting."""
        return len(self._guilds)

    def push(
        self,
        items: Sequence[T],
        *,
        guild: Hashable,
        member: Hashable,
        seconds_each: float = 1.0,
    ) -> None:
        """Add all `items` of one request, or none.

        Raises QueueFull with scope "member", "guild" or "server"; its `retry_after` takes
        `seconds_each` for every picture that must leave first.
        """
        if not items:
            return
        home = self._guilds.get(guild)
        for scope, waiting, bound in (
            ("member", self._of_members[member], self.max_per_member),
            ("guild", home.size if home else 0, self.max_per_guild),
            ("server", len(self), self.max_pictures),
        ):
            excess = waiting + len(items) - bound
            if excess > 0:
                raise QueueFull(scope, retry_after=max(1.0, excess * seconds_each))
        if home is None:
            home = self._guilds[guild] = _Guild()
        self._turns.enter(guild)
        home.add(items, member)
        self._of_members[member] += len(items)
        self._homes.update(dict.fromkeys(items, (guild, member)))

    def peek(self, among: Callable[[T], bool] | None = None) -> T | None:
        """Return the next picture in fair order, of those `among` allows; None without any."""
        for guild in self._turns.order():
            if (item := self._guilds[guild].peek(among)) is not None:
                return item
        return None

    def pop(
        self,
        accepts: Callable[[T], bool] | None = None,
        *,
        among: Callable[[T], bool] | None = None,
    ) -> T | None:
        """Take the next picture in fair order; None when empty or when `accepts` refuses it.

        With `among` the others are passed over, which costs them nothing: who goes before them is
        charged for it as ever.
        """
        item = self.peek(among)
        if item is None or (accepts is not None and not accepts(item)):
            return None
        guild, member = self._homes[item]
        self._guilds[guild].take(item, member)
        self._turns.serve(guild)
        self._forget(item, guild)
        return item

    def remove(self, item: T) -> bool:
        """Take one picture out unserved; False when it is not waiting."""
        if item not in self._homes:
            return False
        guild, member = self._homes[item]
        self._guilds[guild].remove(item, member)
        self._forget(item, guild)
        return True

    def clear(self) -> list[T]:
        """Take everything out unserved, in no particular order."""
        items = list(self._homes)
        for item in items:
            self.remove(item)
        return items

    def ahead(self, item: T) -> int:
        """Return how many waiting pictures would be taken before `item` if nobody else came.

        Whom `among` passes over is not foreseen.
        """
        guild, member = self._homes[item]
        place = self._guilds[guild].ahead(item, member)
        return self._turns.before(guild, place, {g: home.size for g, home in self._guilds.items()})

    def _forget(self, item: T, guild: Hashable) -> None:
        _, member = self._homes.pop(item)
        self._of_members[member] -= 1
        if not self._of_members[member]:
            del self._of_members[member]
        if not self._guilds[guild].size:
            del self._guilds[guild]
            self._turns.leave(guild)


class _Guild(Generic[T]):
    """One guild's waiting pictures: a line per member."""

    def __init__(self) -> None:
        self.lines: dict[Hashable, deque[T]] = {}
        self.size = 0
        self._turns = TurnTaking()

    def add(self, items: Sequence[T], member: Hashable) -> None:
        self.lines.setdefault(member, deque()).extend(items)
        self._turns.enter(member)
        self.size += len(items)

    def peek(self, among: Callable[[T], bool] | None) -> T | None:
        for member in self._turns.order():
            for item in self.lines[member]:
                if among is None or among(item):
                    return item
        return None

    def take(self, item: T, member: Hashable) -> None:
        self.lines[member].remove(item)
        self._turns.serve(member)
        self._settle(member)

    def remove(self, item: T, member: Hashable) -> None:
        self.lines[member].remove(item)
        self._settle(member)

    def ahead(self, item: T, member: Hashable) -> int:
        place = self.lines[member].index(item)
        return self._turns.before(member, place, {m: len(li) for m, li in self.lines.items()})

    def _settle(self, member: Hashable) -> None:
        self.size -= 1
        if not self.lines[member]:
            del self.lines[member]
            self._turns.leave(member)


class TurnTaking:
    """Whose turn it is among clients that wait, by how much each has been served."""

    def __init__(self) -> None:
        # Of each waiting client: units served, and when it was last served or came; the second
        # makes ties first come, first served.
        self._waiting: dict[Hashable, tuple[int, int]] = {}
        self._gone: dict[Hashable, int] = {}
        self._floor = 0
        self._clock = 0

    def enter(self, client: Hashable) -> None:
        """Let `client` wait; a newcomer starts level with the least served of those waiting."""
        if client in self._waiting:
            return
        served = max(self._gone.pop(client, 0), self._least())
        self._waiting[client] = (served, self._tick())

    def order(self) -> Iterator[Hashable]:
        """Yield the waiting clients, the one whose turn it is first."""
        if self._waiting:
            yield (first := min(self._waiting, key=self._waiting.__getitem__))
            others = sorted(self._waiting, key=self._waiting.__getitem__)
            yield from (client for client in others if client != first)

    def serve(self, client: Hashable) -> None:
        """Count one unit for `client`."""
        self._waiting[client] = (self._waiting[client][0] + 1, self._tick())

    def leave(self, client: Hashable) -> None:
        """Let `client` wait no longer; what it had beyond the others is remembered."""
        served, _ = self._waiting.pop(client)
        if not self._waiting:
            # Nobody is owed anything once nobody waits.
            self._floor = served
            self._gone.clear()
            return
        self._gone[client] = served
        if len(self._gone) > 2 * len(self._waiting) + 16:
            least = self._least()
            self._gone = {gone: kept for gone, kept in self._gone.items() if kept > least}

    def before(self, client: Hashable, place: int, sizes: Mapping[Hashable, int]) -> int:
        """Return how many units are served before unit number `place` (from 0) of `client`.

        `sizes` tells how many units each client has waiting. Exact as long as nobody comes or goes.
        """
        mine = self._waiting[client]
        total = place
        for other, theirs in self._waiting.items():
            if other != client:
                # Level clients keep their order; one that is caught up with goes first.
                goes_first = theirs > mine
                if theirs[0] == mine[0]:
                    goes_first = theirs[1] < mine[1]
                lead = mine[0] + place - theirs[0] + goes_first
                total += min(sizes[other], max(0, lead))
        return total

    def _least(self) -> int:
        return min((served for served, _ in self._waiting.values()), default=self._floor)

    def _tick(self) -> int:
        self._clock += 1
        return self._clock
