"""What Prometheus reads, parsed back as it would."""

from __future__ import annotations

import math
from types import SimpleNamespace

from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from bot.conversation import Outcome
from bot.door import Door
from bot.engine.picture_check import CheckStats, Side
from bot.errors import Flagged, QueueFull, RateLimited, TurbocordError
from bot.store import JobState
from bot.web.metrics import Metrics
from bot.web.parts import Parts
from tests.web.stand_ins import Arrivals, Client, result, stats

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(metrics: Metrics) -> Series:
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float:
    return series[name, frozenset(labels.items())]


def refused(error: TurbocordError) -> Outcome:
    return Outcome("imagine", "j", JobState.REFUSED, code=error.code)


def test_a_finished_request_counts_its_pictures_and_stages() -> None:
    metrics = Metrics(Parts())
    metrics.observe(Outcome("remix", "j", JobState.DONE, result=result()))
    seen = scrape(metrics)
    assert value(seen, "turbocord_requests_total", outcome="done", kind="remix", code="") == 1
    assert value(seen, "turbocord_pictures_total", kind="remix") == 2
    stage = "turbocord_stage_seconds"
    assert math.isclose(value(seen, f"{stage}_sum", stage="pipeline"), 0.08)
    assert value(seen, f"{stage}_bucket", stage="pipeline", le="0.075") == 0
    assert value(seen, f"{stage}_bucket", stage="pipeline", le="0.1") == 1
    assert value(seen, f"{stage}_count", stage="total") == 1


def test_refusals_are_told_apart_and_limits_by_whose_they_are() -> None:
    metrics = Metrics(Parts())
    assert value(scrape(metrics), "turbocord_rate_limited_total", scope="guild") == 0
    metrics.observe(refused(RateLimited("guild", retry_after=3, limit=1, per_seconds=60)))
    metrics.observe(refused(RateLimited("member", retry_after=None, limit=1, per_seconds=60)))
    metrics.observe(refused(QueueFull("guild", retry_after=3)))
    seen = scrape(metrics)
    assert value(seen, "turbocord_rate_limited_total", scope="guild") == 1
    assert value(seen, "turbocord_rate_limited_total", scope="member") == 1
    code = "queue_full_guild"
    requests = "turbocord_requests_total"
    assert value(seen, requests, outcome="refused", kind="imagine", code=code) == 1


def test_nothing_tells_who_asked_or_for_what() -> None:
    metrics = Metrics(Parts())
    metrics.observe(Outcome("imagine", "0123456789ab", JobState.DONE, result=result()))
    text = generate_latest(metrics.registry).decode()
    for private in ("secret", "424242", "717171", "0123456789ab"):
        assert private not in text


def test_batches_are_a_histogram() -> None:
    metrics = Metrics(Parts(engine=lambda: stats(batch_sizes={1: 4, 3: 2, 100: 1})))
    seen = scrape(metrics)
    assert value(seen, "turbocord_batch_pictures_bucket", le="1.0") == 4
    assert value(seen, "turbocord_batch_pictures_bucket", le="3.0") == 6
    assert value(seen, "turbocord_batch_pictures_bucket", le="64.0") == 6
    assert value(seen, "turbocord_batch_pictures_count") == 7
    assert value(seen, "turbocord_batch_pictures_sum") == 110


def test_the_engine_is_read_at_each_scrape() -> None:
    parts = Parts(engine=lambda: stats(waiting=5, running=2, drawn=9, peak_memory_bytes=1 << 30))
    metrics = Metrics(parts)
    seen = scrape(metrics)
    assert value(seen, "turbocord_queue_pictures", state="waiting") == 5
    assert value(seen, "turbocord_queue_pictures", state="running") == 2
    assert value(seen, "turbocord_engine_pictures_total", outcome="drawn") == 9
    assert value(seen, "turbocord_engine_memory_peak_bytes") == 1 << 30
    assert value(seen, "turbocord_engine_info", model="tiny", devices="cpu") == 1
    parts.engine = lambda: stats(waiting=6)
    assert value(scrape(metrics), "turbocord_queue_pictures", state="waiting") == 6


def test_a_gateway_without_a_heartbeat_yet_has_no_latency() -> None:
    client = Client(latency=math.nan, malformed_events=3, arrivals=Arrivals(4, 5))
    metrics = Metrics(Parts(gateway=client))
    seen = scrape(metrics)
    assert value(seen, "turbocord_gateway_connected") == 1
    assert value(seen, "turbocord_malformed_events_total") == 3
    assert value(seen, "turbocord_repeated_events_total") == 4
    assert value(seen, "turbocord_undecided_events_total") == 5
    assert value(seen, "turbocord_guilds") == 2
    assert ("turbocord_gateway_latency_seconds", frozenset()) not in seen
    client.latency = 0.05
    assert value(scrape(metrics), "turbocord_gateway_latency_seconds") == 0.05


def test_who_came_in_a_rush_is_counted() -> None:
    door = Door()
    metrics = Metrics(Parts(door=door))
    assert value(scrape(metrics), "turbocord_rushed_requests_total") == 0
    door.rushed = 7
    assert value(scrape(metrics), "turbocord_rushed_requests_total") == 7


def test_what_was_taken_over_is_counted() -> None:
    seen = scrape(Metrics(Parts(requests=SimpleNamespace(running=2, taken_over=4))))
    assert value(seen, "turbocord_requests_running") == 2
    assert value(seen, "turbocord_taken_over_requests_total") == 4


def test_the_process_s_own_memory_is_told() -> None:
    assert value(scrape(Metrics(Parts())), "process_resident_memory_bytes") > 1_000_000


def test_openmetrics_reads_it_too() -> None:
    metrics = Metrics(Parts(engine=lambda: stats(batch_sizes={2: 1}), gateway=Client()))
    metrics.observe_lag(0.003)
    families = list(parse_openmetrics(generate_openmetrics(metrics.registry).decode()))
    assert {"turbocord_batch_pictures", "turbocord_loop_lag_seconds"} <= {
        family.name for family in families
    }


def test_the_picture_check_tells_what_it_judged_and_what_was_refused_for_it() -> None:
    judged = {(Side.INPUT, True): 2, (Side.OUTPUT, False): 7}
    check = CheckStats(device_name="CPU", waiting=3, failures=1, judged=judged)
    metrics = Metrics(Parts(check=lambda: check))
    metrics.observe(refused(Flagged(drawn=True, elsewhere=False)))
    seen = scrape(metrics)
    name = "turbocord_check_pictures_total"
    assert value(seen, name, side="input", verdict="flagged") == 2
    assert value(seen, name, side="output", verdict="clean") == 7
    assert value(seen, name, side="output", verdict="flagged") == 0
    assert value(seen, "turbocord_check_waiting") == 3
    assert value(seen, "turbocord_check_failures_total") == 1
    code = {"outcome": "refused", "kind": "imagine", "code": "flagged_output"}
    assert value(seen, "turbocord_requests_total", **code) == 1


def test_a_shared_picture_counts_once_more_but_its_time_does_not() -> None:
    metrics = Metrics(Parts())
    metrics.observe(Outcome("live", "j", JobState.DONE, result=result()))
    metrics.observe(Outcome("share", "k", JobState.DONE, result=result()))
    seen = scrape(metrics)
    assert value(seen, "turbocord_pictures_total", kind="share") == 2
    assert value(seen, "turbocord_stage_seconds_count", stage="total") == 1
