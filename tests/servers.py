"""Real Redis and PostgreSQL servers for tests, on free ports, with nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import psutil
import pytest

START_SECONDS = 20.0


def free_port() -> int:
    """Return a TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def find_program(name: str) -> str | None:
    """Return the path of a server program; Debian keeps PostgreSQL's off the PATH."""
    found = shutil.which(name)
    if found is None:
        versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        found = str(versions[-1]) if versions else None
    return found


needs_redis = pytest.mark.skipif(
    find_program("redis-server") is None, reason="redis-server is not installed"
)
needs_postgres = pytest.mark.skipif(
    find_program("postgres") is None, reason="PostgreSQL is not installed"
)


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once something accepts connections on `port`; fail if the process ends first."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


class RedisServer:
    """A redis-server that keeps nothing on disk."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address as `RateLimiter` takes it."""
        return f"async+redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, or start again, empty."""
        program = find_program("redis-server")
        assert program is not None
        self.process = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *self.options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=tempfile.gettempdir(),
        )
        wait_for_port(self.port, self.process)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Stop it from answering while its connections stay open."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class PostgresServer:
    """A PostgreSQL cluster of its own in a temporary folder, trusting local users.

    The server refuses to run as root, so root lends it to an unprivileged user.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="turbocord-pg-"))
        self.user = "nobody" if os.geteuid() == 0 else None
        self.process: subprocess.Popen[bytes] | None = None
        self._schemas = 0

    def url(self, user: str = "turbocord", database: str = "postgres") -> str:
        """The address as `Store.open` takes it."""
        return f"postgresql+asyncpg://{user}@127.0.0.1:{self.port}/{database}"

    def create_schema(self) -> str:
        """Create an empty schema with a user whose tables all go there; return the address.

        To a client it is as good as a database of its own, and made a hundred times faster.
        """
        self._schemas += 1
        name = f"test_{self._schemas}"
        self.execute(f"CREATE ROLE {name} LOGIN; CREATE SCHEMA AUTHORIZATION {name}")
        return self.url(name)

    def execute(self, statements: str) -> None:
        """Run SQL as the owner of the cluster."""
        self._run(
            *("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"),
            *("-p", str(self.port), "-U", "turbocord", "-d", "postgres", "-c", statements),
        )

    def _run(self, name: str, *arguments: str) -> None:
        program = find_program(name)
        assert program is not None
        subprocess.run(
            [program, *arguments], check=True, capture_output=True, user=self.user, cwd=self.folder
        )

    def create(self) -> None:
        """Make the cluster's files."""
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        self._run(
            *("initdb", "-D", str(self.folder / "data"), "-U", "turbocord"),
            *("--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"),
        )

    def start(self) -> None:
        """Start, or start again with what is there."""
        program = find_program("postgres")
        assert program is not None
        settings = {"fsync": "off", "full_page_writes": "off", "max_connections": "60"}
        self.process = subprocess.Popen(
            [
                *(program, "-D", str(self.folder / "data"), "-p", str(self.port)),
                *("-c", "listen_addresses=127.0.0.1", "-k", str(self.folder)),
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self.user,
            cwd=self.folder,
        )
        wait_for_port(self.port, self.process)
        self._wait_for_recovery()

    def _wait_for_recovery(self) -> None:
        """Return once queries are answered, which after a crash is later than connections are."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.execute("SELECT 1")
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it at once, cutting every connection."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
            self.process = None

    def signal_all(self, number: signal.Signals) -> None:
        """Signal the server and the process of every connection: SIGSTOP makes it hang."""
        assert self.process is not None
        server = psutil.Process(self.process.pid)
        for process in (server, *server.children(recursive=True)):
            process.send_signal(number)

    def __enter__(self) -> Self:
        self.create()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)
