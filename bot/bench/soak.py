"""`turbocord bench soak`: thousands of requests from many guilds through a storm of faults.

Every picture carries its seed in its file name, and every request is known by its interaction or
message: whatever is seen twice, run twice or not answered can be told at the end by reading
everything the sandbox holds. Sandbox, bot and members share one process and its event loop, so
memory and loop lag are those of all three.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bot.bench.asking import Asked, Member
from bot.bench.lag import LoopLag, peak_memory_mib, percentile
from bot.bench.storm import storm
from bot.bench.verdict import Fate, fate_of, seeds_of, shown_in
from bot.bench.watch import Watch


@dataclass(frozen=True, slots=True)
class SoakReport:
    """What came of a soak. `accepted` is what the bot heard; all of it must be answered.

    `unheard` reached no bot, because the gateway was down just then: nothing was drawn, and
    members of interactions saw "did not respond". `duplicates` are pictures and sentences seen
    twice, `second_runs` requests run again whatever was seen of it. Times are milliseconds.
    """

    interactions: int
    guilds: int
    members: int
    seed: int
    kinds: dict[str, int]
    accepted: int
    answered: int
    refused: int
    forms: int
    kept: int
    unheard: int
    duplicates: int
    second_runs: int
    lost: int
    outcomes: dict[str, int]
    faults: dict[str, int]
    malformed_events: int
    repeated_events: int
    taken_over: int
    seconds: float
    pictures_per_second: float
    ack_p50_ms: float
    ack_p99_ms: float
    answer_p50_ms: float
    answer_p99_ms: float
    loop_lag_p50_ms: float
    loop_lag_p99_ms: float
    loop_lag_max_ms: float
    peak_memory_mib: float

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, nothing seen twice and nothing run twice."""
        return self.lost == self.duplicates == self.second_runs == 0

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return asdict(self)


async def soak(
    sandbox: Any,
    app: Any,
    *,
    interactions: int = 5000,
    guilds: int = 500,
    members: int = 250,
    at_once: int = 64,
    seed: int = 7,
) -> SoakReport:
    """Run the storm against a started `Sandbox` and an `App` connected to it; return the report.

    A form that opens is submitted, which is an interaction more.
    """
    watch = Watch()
    async with sandbox.client() as client:
        names = await _populate(client, guilds, members)
        asking = [
            Member(client, sandbox, watch, names=names, guilds=guilds, seed=f"{seed}/{number}")
            for number in range(at_once)
        ]
        numbers = iter(range(interactions))
        async with storm(client, seed) as struck:
            began = time.perf_counter()
            with watch.over(app.studio):
                async with LoopLag() as lag:
                    await asyncio.gather(*(one.ask(numbers) for one in asking))
                    await app.studio.wait_until_idle(120)
            seconds = time.perf_counter() - began
    asked = [one for member in asking for one in member.asked]
    return await _judge(
        sandbox,
        app,
        watch,
        asked,
        guilds=guilds,
        members=members,
        seed=seed,
        seconds=seconds,
        faults=dict(sorted(struck.items())),
        lag=lag,
    )


async def _populate(client: Any, guilds: int, members: int) -> list[str]:
    """Create members and guilds with a channel each; return the members' names."""
    names = [f"member{number}" for number in range(members)]
    for name in names:
        await client.create_user(name)
    for number in range(guilds):
        guild = f"guild{number}"
        await client.create_guild(guild, owner="ada", channels=[f"{guild}-art"], members=names)
    return names


async def _judge(
    sandbox: Any,
    app: Any,
    watch: Watch,
    asked: list[Asked],
    *,
    guilds: int,
    members: int,
    seed: int,
    seconds: float,
    faults: dict[str, int],
    lag: LoopLag,
) -> SoakReport:
    shown = shown_in(sandbox)
    fates = Counter([await fate_of(one, sandbox, app, watch, shown) for one in asked])
    outcomes = [outcome for found in watch.outcomes.values() for outcome in found]
    drawn = seeds_of(outcomes)
    records = [sandbox.state.interactions[one.id] for one in asked if one.is_interaction]
    acks = _ages_ms((one.created_at, one.acked_at) for one in records)
    answers = _ages_ms((one.created_at, one.answered_at) for one in records)
    return SoakReport(
        interactions=len(asked),
        guilds=guilds,
        members=members,
        seed=seed,
        kinds=dict(sorted(Counter(one.kind for one in asked).items())),
        accepted=len(asked) - fates[Fate.UNHEARD],
        answered=fates[Fate.ANSWERED],
        refused=fates[Fate.REFUSED],
        forms=fates[Fate.FORM],
        kept=fates[Fate.KEPT],
        unheard=fates[Fate.UNHEARD],
        duplicates=shown.duplicates,
        second_runs=watch.second_runs,
        # A picture nobody sees is lost although its request was answered with another.
        lost=fates[Fate.LOST] + sum(1 for one in drawn if not shown.seeds[one]),
        outcomes=dict(sorted(Counter(str(one.code or one.state) for one in outcomes).items())),
        faults=faults,
        malformed_events=app.bot.malformed_events,
        repeated_events=app.bot.arrivals.repeated,
        taken_over=app.studio.taken_over,
        seconds=round(seconds, 1),
        pictures_per_second=round(len(drawn) / seconds, 1),
        ack_p50_ms=round(percentile(acks, 0.5), 1),
        ack_p99_ms=round(percentile(acks, 0.99), 1),
        answer_p50_ms=round(percentile(answers, 0.5), 1),
        answer_p99_ms=round(percentile(answers, 0.99), 1),
        loop_lag_p50_ms=round(percentile(lag.samples_ms, 0.5), 1),
        loop_lag_p99_ms=round(percentile(lag.samples_ms, 0.99), 1),
        loop_lag_max_ms=round(max(lag.samples_ms, default=0.0), 1),
        peak_memory_mib=round(peak_memory_mib(), 0),
    )


def _ages_ms(times: Iterable[tuple[float, float | None]]) -> list[float]:
    return [(end - start) * 1000 for start, end in times if end is not None]


def show(report: SoakReport) -> None:
    """Print the report as a table."""
    table = Table(title="Soak", show_header=False)
    for name, value in report.to_json().items():
        shown = (
            ", ".join(f"{key} {count}" for key, count in sorted(value.items()))
            if isinstance(value, dict)
            else str(value)
        )
        table.add_row(name.replace("_", " "), shown)
    Console().print(table)
