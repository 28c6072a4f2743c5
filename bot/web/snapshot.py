"""The state of engine, gateway, limits and process as metrics, read at each scrape."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import psutil  # type: ignore[import-untyped]  # it ships no stubs
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bot.engine.picture_check import CheckStats, Side
from bot.engine.scheduler import EngineStats
from bot.web.parts import Gateway, Limiter, Parts, is_connected

BATCH_BUCKETS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


class Snapshot(Collector):
    """Tells the numbers that the parts keep themselves; a part not built yet has none."""

    def __init__(self, parts: Parts, *, version: str) -> None:
        self.parts = parts
        self.version = version
        self._process = psutil.Process()

    def describe(self) -> Iterator[Metric]:
        """Name nothing in advance: which parts there are is known at the scrape."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it stands now."""
        yield InfoMetricFamily(
            "turbocord_build", "The running version.", value={"version": self.version}
        )
        yield from self._of_process()
        if self.parts.engine is not None:
            yield from _of_engine(self.parts.engine())
        if self.parts.check is not None:
            yield from _of_check(self.parts.check())
        if self.parts.gateway is not None:
            yield from _of_gateway(self.parts.gateway)
        if self.parts.limiter is not None:
            yield from _of_limiter(self.parts.limiter)
        if self.parts.requests is not None:
            requests = self.parts.requests
            yield _gauge("turbocord_requests_running", "Requests under way.", requests.running)
            yield _counter(
                "turbocord_taken_over_requests",
                "Requests that a process had accepted which is no more.",
                requests.taken_over,
            )
        if self.parts.door is not None:
            yield _counter(
                "turbocord_rushed_requests",
                "Requests that waited until all who came in the same rush were acknowledged.",
                self.parts.door.rushed,
            )

    def _of_process(self) -> Iterator[Metric]:
        # psutil tells these on every system, where the library's own collector needs /proc.
        with self._process.oneshot():
            memory = self._process.memory_info().rss
            cpu = self._process.cpu_times()
            threads = self._process.num_threads()
            born = self._process.create_time()
        yield _gauge("process_resident_memory_bytes", "Resident memory.", memory)
        yield _gauge("process_threads", "Threads.", threads)
        yield _gauge("process_start_time_seconds", "Unix time of the start.", born)
        yield _counter("process_cpu_seconds", "CPU time, user and system.", cpu.user + cpu.system)


def _of_engine(stats: EngineStats) -> Iterator[Metric]:
    depth = GaugeMetricFamily(
        "turbocord_queue_pictures", "Pictures in the engine.", labels=("state",)
    )
    depth.add_metric(("waiting",), stats.waiting)
    depth.add_metric(("running",), stats.running)
    yield depth
    ended = CounterMetricFamily(
        "turbocord_engine_pictures", "Pictures the engine is done with.", labels=("outcome",)
    )
    for outcome in ("drawn", "failed", "abandoned"):
        ended.add_metric((outcome,), getattr(stats, outcome))
    yield ended
    yield _batches(stats.batch_sizes)
    yield _counter("turbocord_engine_stalls", "Devices that had to be replaced.", stats.stalls)
    yield _gauge("turbocord_engine_ready", "Whether pictures can be drawn.", stats.ready)
    yield _gauge(
        "turbocord_engine_full_speed", "Whether nothing is left to compile.", stats.full_speed
    )
    yield _gauge(
        "turbocord_engine_picture_seconds",
        "Seconds between finished pictures when all devices are busy.",
        stats.seconds_per_picture,
    )
    yield _gauge(
        "turbocord_engine_memory_peak_bytes",
        "Most device memory in use so far, on the fullest device.",
        stats.peak_memory_bytes,
    )
    rows = GaugeMetricFamily(
        "turbocord_engine_max_rows", "UNet rows that one call may have.", labels=("device",)
    )
    for number, limit in enumerate(stats.max_rows):
        rows.add_metric((str(number),), limit)
    yield rows
    yield InfoMetricFamily(
        "turbocord_engine",
        "The model and where it runs.",
        value={"model": stats.model_name, "devices": ", ".join(stats.device_names)},
    )


def _batches(sizes: dict[int, int]) -> Metric:
    """Return the histogram of pictures in one UNet call."""
    buckets = [
        (str(float(edge)), float(sum(calls for size, calls in sizes.items() if size <= edge)))
        for edge in BATCH_BUCKETS
    ]
    buckets.append(("+Inf", float(sum(sizes.values()))))
    return HistogramMetricFamily(
        "turbocord_batch_pictures",
        "Pictures that share one UNet call.",
        buckets=buckets,
        sum_value=float(sum(size * calls for size, calls in sizes.items())),
    )


def _of_check(stats: CheckStats) -> Iterator[Metric]:
    judged = CounterMetricFamily(
        "turbocord_check_pictures", "Pictures judged.", labels=("side", "verdict")
    )
    for side in Side:
        for flagged, verdict in ((False, "clean"), (True, "flagged")):
            judged.add_metric((side.value, verdict), stats.judged.get((side, flagged), 0))
    yield judged
    yield _gauge("turbocord_check_waiting", "Pictures waiting to be judged.", stats.waiting)
    yield _counter("turbocord_check_failures", "Judgements that failed.", stats.failures)


def _of_gateway(gateway: Gateway) -> Iterator[Metric]:
    yield _gauge(
        "turbocord_gateway_connected", "Whether every shard is connected.", is_connected(gateway)
    )
    yield _gauge("turbocord_guilds", "Guilds the bot is in.", len(gateway.guilds))
    yield _counter(
        "turbocord_malformed_events",
        "Gateway events that could not be read.",
        gateway.malformed_events,
    )
    yield _counter(
        "turbocord_repeated_events",
        "Requests left out: another process, or this one before, has taken them.",
        gateway.arrivals.repeated,
    )
    yield _counter(
        "turbocord_undecided_events",
        "Requests acted on without the store's word that nobody else does.",
        gateway.arrivals.undecided,
    )
    # Unknown until the first heartbeat is answered; a gap in the graph says so better than NaN.
    if math.isfinite(gateway.latency):
        yield _gauge("turbocord_gateway_latency_seconds", "Answer to a heartbeat.", gateway.latency)


def _of_limiter(limiter: Limiter) -> Iterator[Metric]:
    yield _gauge("turbocord_limits_degraded", "Whether Redis is away.", limiter.degraded)
    yield _counter("turbocord_limits_outages", "Times Redis went away.", limiter.outages)
    yield _gauge("turbocord_limits_windows", "Windows held in memory.", limiter.tracked)


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=float(value))


def _counter(name: str, documentation: str, value: float) -> Metric:
    return CounterMetricFamily(name, documentation, value=float(value))
