"""`turbocord bench overhead`: what the bot itself costs, with a device that takes no time.

A null engine hands out photo-like pixels at once, so everything measured is ours: gateway, cogs,
queue, PNG encoding, multipart uploads. The sandbox runs in the same process, so its share of the
CPU is in the figures; they are an upper bound of the bot's own.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bot.bench.lag import LoopLag, peak_memory_mib, percentile


@dataclass(frozen=True, slots=True)
class OverheadReport:
    """What a picture costs beside the device. Times are milliseconds, CPU time of all threads."""

    pictures: int
    at_once: int
    seconds: float
    pictures_per_second: float
    cpu_ms_per_picture: float
    ack_p50_ms: float
    ack_p99_ms: float
    answer_p50_ms: float
    answer_p99_ms: float
    loop_lag_p50_ms: float
    loop_lag_p99_ms: float
    loop_lag_max_ms: float
    megabytes_per_picture: float
    peak_memory_mib: float

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return asdict(self)


async def overhead(
    sandbox: Any, app: Any, *, pictures: int = 500, at_once: int = 32, members: int = 50
) -> OverheadReport:
    """Ask a started `App` connected to `sandbox` for `pictures`; return what they cost.

    Raises RuntimeError where a request did not end in a picture, since figures would mean nothing.
    """
    sent: list[int] = []
    async with sandbox.client() as client:
        names = [f"member{number}" for number in range(members)]
        for name in names:
            await client.create_user(name)
        for number in range(members):
            await client.create_guild(
                f"guild{number}", owner="ada", channels=[f"room{number}"], members=names
            )
        await _ask(client, sandbox, 0, names, sent)  # imports and caches are warm from here on
        sent.clear()
        numbers = iter(range(1, pictures + 1))

        async def member() -> None:
            for number in numbers:
                await _ask(client, sandbox, number, names, sent)

        cpu, began = time.process_time(), time.perf_counter()
        async with LoopLag() as lag:
            await asyncio.gather(*(member() for _ in range(at_once)))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    records = [sandbox.state.interactions[one] for one in sent]
    acks = [(one.acked_at - one.created_at) * 1000 for one in records]
    answers = [(one.answered_at - one.created_at) * 1000 for one in records]
    sizes = [
        attachment.size
        for one in records
        for attachment in sandbox.state.messages[one.channel_id][one.response_id].attachments
    ]
    if len(sizes) != pictures:
        raise RuntimeError(f"{pictures} pictures were asked for and {len(sizes)} came")
    return OverheadReport(
        pictures=pictures,
        at_once=at_once,
        seconds=round(seconds, 2),
        pictures_per_second=round(pictures / seconds, 1),
        cpu_ms_per_picture=round(cpu * 1000 / pictures, 1),
        ack_p50_ms=round(percentile(acks, 0.5), 1),
        ack_p99_ms=round(percentile(acks, 0.99), 1),
        answer_p50_ms=round(percentile(answers, 0.5), 1),
        answer_p99_ms=round(percentile(answers, 0.99), 1),
        loop_lag_p50_ms=round(percentile(lag.samples_ms, 0.5), 1),
        loop_lag_p99_ms=round(percentile(lag.samples_ms, 0.99), 1),
        loop_lag_max_ms=round(max(lag.samples_ms, default=0.0), 1),
        megabytes_per_picture=round(sum(sizes) / len(sizes) / 1e6, 3),
        peak_memory_mib=round(peak_memory_mib()),
    )


async def _ask(client: Any, sandbox: Any, number: int, names: list[str], sent: list[int]) -> None:
    place = number % len(names)
    interaction = await client.command(
        f"/imagine prompt:a boat at dusk seed:{number}",
        user=names[place],
        guild=f"guild{place}",
        channel=f"room{place}",
    )
    sent.append(int(interaction))
    record = await client.wait_response(interaction, timeout=120, until="files")
    if record["error"]:
        raise RuntimeError(record["error"])


def show(report: OverheadReport) -> None:
    """Print the report as a table."""
    table = Table(title="Overhead", show_header=False)
    for name, value in report.to_json().items():
        table.add_row(name.replace("_", " "), str(value))
    Console().print(table)
