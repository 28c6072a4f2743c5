"""The endpoint over a real socket, and the check that asks it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest

from bot import exit_codes
from bot.engine.null import NullPipeline
from bot.engine.scheduler import BatchScheduler
from bot.errors import StartupError
from bot.request import Draw
from bot.web.check import probe, ready_url
from bot.web.health import serve_ops
from bot.web.parts import Parts
from tests.e2e import eventually, town
from tests.web.stand_ins import Client, Connection, stats

HOST = "127.0.0.1"


async def get(port: int, path: str, **headers: str) -> tuple[int, str, str]:
    url = f"http://{HOST}:{port}{path}"
    async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_it_tells_of_the_start_and_then_of_being_ready(port: int) -> None:
    async with serve_ops(HOST, port) as ops:
        assert (await get(port, "/healthz"))[0] == 200
        status, _, text = await get(port, "/readyz")
        assert status == 503
        assert "engine: starting" in text
        ok, why = await probe(ready_url("0.0.0.0", port))
        assert (ok, why) == (False, "not ready: engine: starting; gateway: starting")
        ops.parts.engine, ops.parts.gateway = stats, Client()
        assert await probe(ready_url(HOST, port)) == (True, "ready")
    ok, why = await probe(ready_url(HOST, port))
    assert not ok
    assert why.startswith(f"no answer from http://{HOST}:{port}/readyz")


async def test_a_shard_that_drops_makes_it_unready(port: int) -> None:
    shard = Connection()
    client = Client(shards={0: shard})
    async with serve_ops(HOST, port, Parts(engine=stats, gateway=client)):
        assert (await probe(ready_url(HOST, port)))[0]
        shard.closed = True
        assert await probe(ready_url(HOST, port)) == (False, "not ready: gateway: not connected")


async def test_no_device_left_asks_for_a_new_process(port: int) -> None:
    parts = Parts(engine=lambda: stats(ready=False, state="failed"), gateway=Client())
    async with serve_ops(HOST, port, parts):
        status, _, text = await get(port, "/healthz")
        assert status == 503
        assert "no device is left" in text


async def test_metrics_come_in_the_format_that_is_asked_for(port: int) -> None:
    async with serve_ops(HOST, port, Parts(engine=stats)):
        status, kind, text = await get(port, "/metrics")
        assert (status, kind.split(";")[0]) == (200, "text/plain")
        assert "turbocord_engine_ready 1.0" in text
        _, kind, text = await get(
            port, "/metrics", Accept="application/openmetrics-text; version=1.0.0"
        )
        assert kind.startswith("application/openmetrics-text")
        assert text.endswith("# EOF\n")


async def test_the_queue_of_a_real_engine_is_watched_between_probes(port: int) -> None:
    scheduler = BatchScheduler([lambda: NullPipeline(step_seconds=0.6)])
    await scheduler.start()
    parts = Parts(engine=scheduler.stats, needs_gateway=False)
    async with serve_ops(HOST, port, parts) as ops:
        ops.lag.interval_s = 0.01
        ops.queue.stuck_seconds = 0.1
        ticket = scheduler.submit([Draw("a", 1)], guild_id=1, user_id=1)

        async def stuck() -> bool:
            return "queue: nothing moved" in (await get(port, "/readyz"))[2]

        async def ready() -> bool:
            return (await probe(ready_url(HOST, port)))[0]

        # The first measurement was due at the default interval.
        await eventually(stuck)
        await ticket.result()
        await eventually(ready)
    await scheduler.stop(0)


async def test_a_port_in_use_is_refused_by_name(port: int) -> None:
    with socket.socket() as other:
        other.bind((HOST, port))
        other.listen()
        with pytest.raises(StartupError, match="TURBOCORD_HTTP_PORT") as failure:
            async with serve_ops(HOST, port):
                pass
    assert failure.value.exit_code == exit_codes.CONFIG


async def test_port_0_listens_nowhere_but_counts() -> None:
    async with serve_ops(HOST, 0) as ops:
        tasks = {task.get_name() for task in asyncio.all_tasks()}
        assert "loop-lag" in tasks
        assert ops.metrics.registry is not None
    assert "loop-lag" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_a_server_that_never_answers_is_given_up() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silence, HOST, 0)
    async with server:
        url = ready_url(HOST, server.sockets[0].getsockname()[1])
        assert await probe(url, timeout_s=0.1) == (False, f"no answer from {url} within 0.1 s")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:80/readyz"),
        ("127.0.0.1", "http://127.0.0.1:80/readyz"),
        ("::", "http://[::1]:80/readyz"),
        ("fd00::2", "http://[fd00::2]:80/readyz"),
        ("localhost", "http://localhost:80/readyz"),
    ],
)
def test_the_check_asks_an_address_that_can_be_asked(host: str, url: str) -> None:
    assert ready_url(host, 80) == url


async def test_a_real_bot_is_ready_until_it_stops_and_its_gateway_drops(
    tmp_path: Path, port: int
) -> None:
    async with town(tmp_path) as place:
        app = place.app
        parts = Parts(
            engine=app.scheduler.stats,
            gateway=app.bot,
            limiter=app.studio.service.limiter,
            requests=app.studio,
        )
        async with serve_ops(HOST, port, parts) as ops:
            app.studio.observers.append(ops.metrics.observe)
            assert await probe(ready_url(HOST, port)) == (True, "ready")
            await place.command("/imagine prompt:a cat")
            counted = 'turbocord_requests_total{code="",kind="imagine",outcome="done"} 1.0'

            # The member has the picture a moment before the request is over.
            async def over() -> bool:
                return counted in (await get(port, "/metrics"))[2]

            await eventually(over)
            assert "turbocord_gateway_connected 1.0" in (await get(port, "/metrics"))[2]
            await app.studio.drain(0)
            assert await probe(ready_url(HOST, port)) == (False, "not ready: requests: stopping")
            await app.bot.close()
            assert (await probe(ready_url(HOST, port)))[0] is False
