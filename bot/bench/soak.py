"""`turbocord bench soak`: thousands of requests from many guilds through a storm of faults.

Every request has a seed of its own, which its picture carries in its file name: whatever is seen
twice or not at all can be told at the end by reading everything the sandbox holds. Sandbox, bot
and members share one process and its event loop, so memory and loop lag are those of all three.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bot.bench.lag import LoopLag, peak_memory_mib, percentile
from bot.errors import DeliveryFailed
from bot.studio import Outcome

CALLBACKS: Final = "*/callback"
EDITS: Final = "/webhooks/*"

STORM: Final[tuple[tuple[str, str, float, Mapping[str, Any]], ...]] = (
    (CALLBACKS, "error", 0.02, {"status": 503}),
    (CALLBACKS, "reset", 0.02, {}),
    (CALLBACKS, "reset", 0.02, {"moment": "after"}),
    (CALLBACKS, "rate_limit", 0.02, {"via": False, "retry_after": 0.2}),
    (CALLBACKS, "slow", 0.02, {"seconds": 0.5}),
    (EDITS, "error", 0.03, {"status": 503}),
    (EDITS, "error", 0.02, {"status": 500, "moment": "after"}),
    (EDITS, "reset", 0.03, {}),
    (EDITS, "reset", 0.03, {"moment": "after"}),
    (EDITS, "rate_limit", 0.03, {"via": True, "retry_after": 0.2}),
    (EDITS, "rate_limit", 0.03, {"via": False, "retry_after": 0.2}),
)
"""Route, kind, probability a call, options."""

BLOWS: Final = ("malformed", "reconnect", "malformed", "drop", "malformed", "reset")
BLOW_SECONDS: Final = 5.0

LONGEST_WAIT_SECONDS: Final = 120.0
POLL_SECONDS: Final = 0.05

FIRST_SEED: Final = 10_000_000
_SEED: Final = re.compile(r"-(\d+)\.[a-z]+$")


@dataclass(frozen=True, slots=True)
class SoakReport:
    """What came of a soak. `accepted` are requests the bot heard; every one must be answered.

    `unheard` reached no bot within Discord's three seconds, because the gateway was down just
    then: their members saw "did not respond", and nothing was drawn. Times are milliseconds.
    """

    interactions: int
    guilds: int
    members: int
    seed: int
    accepted: int
    answered: int
    refused: int
    kept: int
    unheard: int
    duplicates: int
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
        """Whether nothing was lost and nothing seen twice."""
        return self.lost == 0 and self.duplicates == 0

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return asdict(self)


@dataclass
class _Run:
    outcomes: list[Outcome] = field(default_factory=list)
    asked: dict[int, int] = field(default_factory=dict)
    """The first seed each interaction asked for, by its id."""


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
    """Run the storm against a started `Sandbox` and an `App` connected to it; return the report."""
    chance = random.Random(seed)
    run = _Run()
    app.studio.observers.append(run.outcomes.append)
    async with sandbox.client() as client:
        names = await _populate(client, guilds, members)
        blows = asyncio.create_task(_blow(client))
        await _order_storm(client, seed)
        room = asyncio.Semaphore(at_once)

        async def ask(number: int) -> None:
            async with room:
                first_seed = FIRST_SEED + 10 * number
                text = _request(chance, first_seed)
                guild = f"guild{chance.randrange(guilds)}"
                sent = await client.command(
                    text, user=chance.choice(names), guild=guild, channel=f"{guild}-art"
                )
                run.asked[int(sent)] = first_seed
                await _settled(sandbox.state.interactions[int(sent)])

        began = time.perf_counter()
        async with LoopLag() as lag:
            await asyncio.gather(*(ask(number) for number in range(interactions)))
            await app.studio.wait_until_idle(120)
        seconds = time.perf_counter() - began
        blows.cancel()
        hits = Counter[str]()
        for fault in await client.faults():
            hits[f"{fault['kind']} {fault['moment']}"] += fault["hits"]
        await client.clear_faults()
    app.studio.observers.remove(run.outcomes.append)
    return await _judge(
        sandbox,
        app,
        run,
        interactions=interactions,
        guilds=guilds,
        members=members,
        seed=seed,
        seconds=seconds,
        faults=dict(hits),
        lag=lag,
    )


async def _settled(interaction: Any) -> None:
    """Return once an interaction is answered or failed, or nobody need wait for it any longer."""
    until = time.perf_counter() + LONGEST_WAIT_SECONDS
    while interaction.answered_at is None and not interaction.failed:
        if time.perf_counter() > until:
            return
        # The record lives in the sandbox of this process; its own event serves one waiter.
        await asyncio.sleep(POLL_SECONDS)


async def _populate(client: Any, guilds: int, members: int) -> list[str]:
    """Create members and guilds with a channel each; return the members' names."""
    names = [f"member{number}" for number in range(members)]
    for name in names:
        await client.create_user(name)
    for number in range(guilds):
        guild = f"guild{number}"
        await client.create_guild(guild, owner="ada", channels=[f"{guild}-art"], members=names)
    return names


async def _order_storm(client: Any, seed: int) -> None:
    for number, (route, kind, probability, options) in enumerate(STORM):
        await client.fault(
            "rest",
            kind,
            route=route,
            times=None,
            probability=probability,
            seed=seed + number,
            **options,
        )


async def _blow(client: Any) -> None:
    """Deal the gateway one blow after the other."""
    number = 0
    while True:
        await asyncio.sleep(BLOW_SECONDS)
        await client.gateway_fault(BLOWS[number % len(BLOWS)])
        number += 1


def _request(chance: random.Random, seed: int) -> str:
    """Return a command: mostly pictures, some private, some several, some to be refused."""
    kind = chance.random()
    if kind < 0.05:
        return f"/imagine prompt:a boat seed:{seed} style:nonsense"
    private = " private:true" if kind < 0.15 else ""
    count = f" count:{chance.randint(2, 4)}" if kind > 0.9 else ""
    return f"/imagine prompt:a boat at dusk seed:{seed}{private}{count}"


async def _judge(
    sandbox: Any,
    app: Any,
    run: _Run,
    *,
    interactions: int,
    guilds: int,
    members: int,
    seed: int,
    seconds: float,
    faults: dict[str, int],
    lag: LoopLag,
) -> SoakReport:
    seen, loose = _seen(sandbox)
    drawn = [
        picture.seed
        for outcome in run.outcomes
        if outcome.result is not None
        for picture in outcome.result.pictures
    ]
    records = [(sandbox.state.interactions[one], first) for one, first in run.asked.items()]
    answered = sum(1 for _, first in records if seen[first])
    refused = loose + sum(
        1 for one, first in records if one.answered_at is not None and not seen[first]
    )
    kept = await _kept(app, run.outcomes)
    acks = _ages_ms((one.created_at, one.acked_at) for one, _ in records)
    answers = _ages_ms((one.created_at, one.answered_at) for one, _ in records)
    return SoakReport(
        interactions=interactions,
        guilds=guilds,
        members=members,
        seed=seed,
        accepted=len(run.outcomes),
        answered=answered,
        refused=refused,
        kept=kept,
        unheard=interactions - len(run.outcomes),
        duplicates=sum(1 for count in seen.values() if count > 1),
        lost=sum(1 for one in drawn if not seen[one])
        + max(0, len(run.outcomes) - answered - refused - kept),
        outcomes=dict(Counter(str(one.code or one.state) for one in run.outcomes)),
        faults=faults,
        malformed_events=app.bot.malformed_events,
        repeated_events=app.bot.arrivals.repeated,
        taken_over=app.bot.get_cog("Recover").recovery.resumed,
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


def _seen(sandbox: Any) -> tuple[Counter[int], int]:
    """Return how many messages show each seed's picture, and how many bare sentences there are.

    Everything counts: channels, ephemeral messages, mail. A sentence is bare that belongs to no
    interaction, because its token had ended.
    """
    seen, loose = Counter[int](), 0
    for messages in sandbox.state.messages.values():
        for message in messages.values():
            names = [attachment.filename for attachment in message.attachments]
            seen.update({int(match[1]) for name in names if (match := _SEED.search(name))})
            loose += not names and message.interaction_id is None
    return seen, loose


async def _kept(app: Any, outcomes: Sequence[Outcome]) -> int:
    """Return how many requests could not be delivered and wait in their members' /me."""
    kept = 0
    for outcome in outcomes:
        if outcome.code == DeliveryFailed.default_code:
            job = await app.store.get_job(outcome.job_id)
            pictures = await app.store.kept_pictures(job.user_id) if job else []
            kept += any(picture.job_id == outcome.job_id for picture in pictures)
    return kept


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
