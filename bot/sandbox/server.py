"""The sandbox as a server: one port for REST, gateway, CDN and control."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from bot.sandbox import cdn_server, control, pages
from bot.sandbox.client import SandboxClient
from bot.sandbox.clock import Clock
from bot.sandbox.core import MAX_REQUEST_BYTES, Core
from bot.sandbox.faults import Faults
from bot.sandbox.rest import commands, directory, interactions, messages
from bot.sandbox.rest.pipeline import register
from bot.sandbox.state import State, default_world
from bot.sandbox.traffic import Traffic

log = logging.getLogger(__name__)

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Sandbox:
    """A Discord server in a box, for one bot and any number of members.

    Use it as an async context manager, or call `start` and `stop`. It binds the loopback only:
    its control API lets anyone who reaches it act as anyone. `world` False starts it empty;
    `keep_bytes` of attachments and `keep_traffic` entries of the log are the most it remembers.

    Raises ValueError for any other host.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        clock: Clock | None = None,
        bot_name: str = "turbocord",
        token: str | None = None,
        privileged_intents: int = 0,
        rate_limits: bool = True,
        heartbeat_interval_s: float = 41.25,
        keep_bytes: int = 1 << 30,
        keep_traffic: int = 20_000,
        world: bool = True,
    ) -> None:
        if host not in LOOPBACK:
            raise ValueError(f"the sandbox serves this machine only, not {host}")
        self._host, self._port = host, port
        self.clock = clock or Clock()
        self.core = Core(
            self.clock,
            bot_name=bot_name,
            token=token,
            privileged_intents=privileged_intents,
            rate_limits=rate_limits,
            heartbeat_interval_s=heartbeat_interval_s,
            keep_bytes=keep_bytes,
            keep_traffic=keep_traffic,
        )
        if world:
            default_world(self.core.state)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Bind the port and serve. Raises OSError where it is taken."""
        core = self.core
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_get("/gateway", core.gateway.serve)
        app.router.add_get("/gateway/", core.gateway.serve)
        cdn_server.add_routes(app, core)
        control.add_routes(app, core)
        pages.add_routes(app)
        register(
            app,
            core,
            [
                *directory.ENDPOINTS,
                *commands.ENDPOINTS,
                *interactions.ENDPOINTS,
                *messages.ENDPOINTS,
            ],
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=1024)
        await site.start()
        self._port = self._runner.addresses[0][1]
        core.base_url = core.cdn.base_url = self.base_url
        core.gateway.url = self.gateway_url
        log.info("sandbox listens on %s", self.base_url)

    async def stop(self) -> None:
        """Close every connection and free the port."""
        await self.core.gateway.stop()
        self.clock.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def base_url(self) -> str:
        """The origin of API, CDN and control; the REST API is this and /api/v10."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def gateway_url(self) -> str:
        """The address of the gateway's WebSocket."""
        return f"{self.base_url.replace('http', 'ws', 1)}/gateway"

    @property
    def token(self) -> str:
        """The bot token this server accepts."""
        return self.core.token

    @property
    def application_id(self) -> int:
        """The id of the application and its bot user."""
        return self.core.state.application_id

    @property
    def state(self) -> State:
        """Everything that exists on this server."""
        return self.core.state

    @property
    def faults(self) -> Faults:
        """The faults in force."""
        return self.core.faults

    @property
    def traffic(self) -> Traffic:
        """The log of the wire."""
        return self.core.traffic

    def client(self) -> SandboxClient:
        """Return a client of the control API, to be entered as an async context manager."""
        return SandboxClient(self.base_url)
