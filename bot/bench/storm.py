"""The storm of a soak: faults on REST calls and downloads by chance, and blows to the gateway."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

CALLBACKS: Final = "*/callback"
EDITS: Final = "/webhooks/*"
MESSAGES: Final = "/channels/*/messages"

RULES: Final[tuple[tuple[str, str, str, float, Mapping[str, Any]], ...]] = (
    ("rest", CALLBACKS, "error", 0.02, {"status": 503}),
    ("rest", CALLBACKS, "reset", 0.02, {}),
    ("rest", CALLBACKS, "reset", 0.02, {"moment": "after"}),
    ("rest", CALLBACKS, "rate_limit", 0.02, {"via": False, "retry_after": 0.2}),
    ("rest", CALLBACKS, "slow", 0.02, {"seconds": 0.5}),
    ("rest", EDITS, "error", 0.03, {"status": 503}),
    ("rest", EDITS, "error", 0.02, {"status": 500, "moment": "after"}),
    ("rest", EDITS, "reset", 0.02, {}),
    ("rest", EDITS, "reset", 0.02, {"moment": "during"}),
    ("rest", EDITS, "reset", 0.03, {"moment": "after"}),
    ("rest", EDITS, "rate_limit", 0.03, {"via": True, "retry_after": 0.2}),
    ("rest", EDITS, "rate_limit", 0.03, {"via": False, "retry_after": 0.2}),
    ("rest", MESSAGES, "error", 0.03, {"status": 503, "method": "POST"}),
    ("rest", MESSAGES, "error", 0.02, {"status": 500, "moment": "after", "method": "POST"}),
    ("rest", MESSAGES, "reset", 0.02, {"method": "POST"}),
    ("rest", MESSAGES, "reset", 0.03, {"moment": "after", "method": "POST"}),
    ("rest", MESSAGES, "rate_limit", 0.02, {"via": False, "retry_after": 0.2, "method": "POST"}),
    ("rest", MESSAGES, "rate_limit", 0.005, {"is_global": True, "retry_after": 0.2}),
    ("cdn", "*", "error", 0.02, {"status": 404}),
    ("cdn", "*", "error", 0.03, {"status": 503}),
    ("cdn", "*", "expired", 0.02, {}),
    ("cdn", "*", "reset", 0.03, {}),
    ("cdn", "*", "truncate", 0.03, {}),
    ("cdn", "*", "length", 0.02, {}),
    ("cdn", "*", "type", 0.03, {}),
    ("cdn", "*", "slow", 0.02, {"bytes_per_second": 200_000}),
)
"""Target, route, kind, probability a call, options."""

BLOWS: Final = (
    "malformed",
    "reconnect",
    "malformed",
    "drop",
    "malformed",
    "reset",
    "reconnect",
    "malformed",
    "drop",
    "reset",
    "invalidate",
)
"""In turn; only the last loses what was sent meanwhile, and is as rare as in life it should be."""
BLOW_SECONDS: Final = 5.0


@asynccontextmanager
async def storm(client: Any, seed: int) -> AsyncIterator[Counter[str]]:
    """Let the storm rage while entered; afterwards the counter says what struck how often."""
    struck = Counter[str]()
    for number, (target, route, kind, probability, options) in enumerate(RULES):
        await client.fault(
            target,
            kind,
            **{"route": route, "probability": probability, "seed": seed + number, **options},
            times=None,
        )
    blows = asyncio.create_task(_blow(client, struck))
    try:
        yield struck
    finally:
        blows.cancel()
        for fault in await client.faults():
            moment = f" {fault['moment']}" if fault["target"] == "rest" else ""
            struck[f"{fault['target']} {fault['kind']}{moment}"] += fault["hits"]
        await client.clear_faults()


async def _blow(client: Any, struck: Counter[str]) -> None:
    """Deal the gateway one blow after the other."""
    for kind in itertools.cycle(BLOWS):
        await asyncio.sleep(BLOW_SECONDS)
        await client.gateway_fault(kind)
        struck[f"gateway {kind}"] += 1
