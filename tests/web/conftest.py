"""What the tests of health, metrics and the page share."""

from __future__ import annotations

import socket

import pytest


@pytest.fixture
def port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    return number
