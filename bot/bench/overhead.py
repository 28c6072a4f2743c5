"""`turbocord bench overhead`: what the bot itself costs, with a device that takes no time.

A null engine hands out photo-like pixels at once, so what is measured is ours: gateway, cogs,
queue, store, PNG encoding, multipart uploads. Sandbox and members are another process on the same
cores; the CPU times are those of the bot's process, and of its event loop's thread alone.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bot.bench.crowd import Round, Seen
from bot.bench.lag import LoopLag, peak_memory_mib, percentile
from bot.imaging.encode import make_filename
from bot.request import Drawn, ImageRequest, Picture

Play = Callable[[Round], Awaitable[Seen]]
"""Has the members ask for a round of pictures, and tells what they saw."""

BURST: Final = 200
BURSTS: Final = 3

TARGETS: Final = (
    ("pictures", "pictures_per_second", ">=", 30.0),
    ("ready made", "pictures_per_second", ">=", 100.0),
    ("burst", "ack_p99_ms", "<=", 500.0),
    ("pictures", "loop_cpu_ms", "<=", 8.0),
    ("alone", "direct_share", ">=", 1.0),
    ("device busy", "loop_lag_p99_ms", "<=", 20.0),
)
"""By round: a figure, and the bound that it should keep."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a round cost. Times are milliseconds; CPU times are per picture."""

    pictures: int
    at_once: int
    seconds: float
    pictures_per_second: float
    loop_cpu_ms: float
    """Of the event loop's thread."""
    process_cpu_ms: float
    """Of all threads of the bot."""
    ack_p50_ms: float
    ack_p99_ms: float
    answer_p50_ms: float
    answer_p99_ms: float
    direct_share: float
    """Pictures that were the first response, by one REST call."""
    loop_lag_p50_ms: float
    loop_lag_p99_ms: float
    loop_lag_max_ms: float
    megabytes_per_picture: float


async def overhead(
    app: Any, play: Play, *, pictures: int = 400, at_once: int = 32, burst: int = BURST
) -> dict[str, Cost]:
    """Have `play` ask a started `App` with a null engine for pictures; return the costs by round.

    Alone: one request after another. Pictures: `at_once` at any time. Burst: so many in one moment,
    the worst of several. Ready made: as "pictures", but with files encoded beforehand. Raises
    RuntimeError where a request did not end in a picture, since figures would mean nothing.
    """
    await play(Round(2))  # imports and caches are warm from here on
    alone = await measured(play, Round(max(1, pictures // 20)))
    encoded = await measured(play, Round(pictures, at_once))
    bursts = [await measured(play, Round(burst, 0)) for _ in range(BURSTS)]
    with ready_made(app):
        ready = await measured(play, Round(pictures, at_once))
    return {
        "alone": alone,
        "pictures": encoded,
        "burst": max(bursts, key=lambda each: each.ack_p99_ms),
        "ready made": ready,
    }


async def measured(play: Play, wanted: Round) -> Cost:
    """Play one round and return what it cost this process. Raises RuntimeError as `overhead`."""
    loop_cpu, all_cpu = time.thread_time(), time.process_time()
    async with LoopLag() as lag:
        seen = await play(wanted)
    loop_cpu, all_cpu = time.thread_time() - loop_cpu, time.process_time() - all_cpu
    if len(seen.sizes) != wanted.pictures:
        raise RuntimeError(
            f"{wanted.pictures} pictures were asked for and {len(seen.sizes)} came; {seen.failed} "
            "requests were not acknowledged within three seconds"
        )
    return Cost(
        pictures=wanted.pictures,
        at_once=wanted.at_once or wanted.pictures,
        seconds=round(seen.seconds, 2),
        pictures_per_second=round(wanted.pictures / seen.seconds, 1),
        loop_cpu_ms=round(loop_cpu * 1000 / wanted.pictures, 2),
        process_cpu_ms=round(all_cpu * 1000 / wanted.pictures, 2),
        ack_p50_ms=round(percentile(seen.acks_ms, 0.5), 1),
        ack_p99_ms=round(percentile(seen.acks_ms, 0.99), 1),
        answer_p50_ms=round(percentile(seen.answers_ms, 0.5), 1),
        answer_p99_ms=round(percentile(seen.answers_ms, 0.99), 1),
        direct_share=round(seen.direct / wanted.pictures, 3),
        loop_lag_p50_ms=round(percentile(lag.samples_ms, 0.5), 1),
        loop_lag_p99_ms=round(percentile(lag.samples_ms, 0.99), 1),
        loop_lag_max_ms=round(max(lag.samples_ms, default=0.0), 1),
        megabytes_per_picture=round(sum(seen.sizes) / len(seen.sizes) / 1e6, 3),
    )


@contextmanager
def ready_made(app: Any) -> Iterator[None]:
    """Let the service find its files ready, in place of encoding pixels."""
    service = app.studio.service
    honest, ready = service.encode, dict[tuple[int, ...], Picture]()

    def encode(request: ImageRequest, seed: int, drawn: Drawn, model: str) -> Picture:
        if drawn.pixels.shape not in ready:
            ready[drawn.pixels.shape] = honest(request, seed, drawn, model)
        filename = make_filename(request.job_id, seed, "png")
        return replace(ready[drawn.pixels.shape], filename=filename, seed=seed)

    service.encode = encode
    try:
        yield
    finally:
        service.encode = honest


def to_json(costs: Mapping[str, Cost]) -> dict[str, Any]:
    """Return the report as plain JSON."""
    rounds = {name.replace(" ", "_"): asdict(cost) for name, cost in costs.items()}
    return {"targets": verdicts(costs), **rounds, "peak_memory_mib": round(peak_memory_mib())}


def verdicts(costs: Mapping[str, Cost]) -> list[str]:
    """Return a line per target: what was reached and what was aimed at."""
    lines = []
    for name, figure, sense, bound in TARGETS:
        if name in costs:
            found = getattr(costs[name], figure)
            met = found >= bound if sense == ">=" else found <= bound
            wanted = f"at {'least' if sense == '>=' else 'most'} {bound:g}"
            verdict = "met" if met else "MISSED"
            lines.append(f"{name}, {figure.replace('_', ' ')}: {found:g} ({wanted}: {verdict})")
    return lines


def show(costs: Mapping[str, Cost]) -> None:
    """Print the costs as a table, a column a round, and the verdicts."""
    table = Table("", *costs, title="Overhead")
    for figure in asdict(next(iter(costs.values()))):
        row = [f"{getattr(cost, figure):g}" for cost in costs.values()]
        table.add_row(figure.replace("_", " "), *row)
    console = Console()
    console.print(table)
    for line in verdicts(costs):
        console.print(line, highlight=False)
