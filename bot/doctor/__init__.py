"""What `turbocord doctor` looks at: one list of findings, each with what to do about it."""

from __future__ import annotations

import asyncio

from bot.config import Settings
from bot.doctor.account import check_account, check_intent, check_token
from bot.doctor.check import Check, Grade, healthy, render
from bot.doctor.machine import check_device, check_packages, check_python
from bot.doctor.model import check_model, together
from bot.doctor.safety import check_safety
from bot.doctor.services import check_disk, check_limits, check_page, check_port, check_store
from bot.doctor.styles import check_choices, check_styles
from bot.models.device import device_facts

__all__ = ["Check", "Grade", "healthy", "render", "run_doctor"]


def run_doctor(settings: Settings, *, online: bool) -> list[Check]:
    """Look at everything a start depends on; `online` also asks Discord about the token.

    Blocks, and must not be called where
    an event loop runs. Never raises for what it finds.
    """
    facts = device_facts()
    on_cpu = settings.device == "cpu" or facts.kind == "cpu"
    sources = (settings.model, *settings.models)
    where = {"root": settings.models_dir, "extra": settings.catalog}
    found = [check_model(source, **where, on_cpu=on_cpu) for source in sources]
    weights = together([each for _, each in found], waiting_bytes=settings.models_waiting_bytes)
    return [
        check_python(),
        *check_packages(),
        *check_device(settings.device, facts, weights),
        *(check for check, _ in found),
        *check_choices(settings),
        check_styles(settings),
        check_safety(settings.safety_checker),
        check_disk(settings.cache_dir),
        *asyncio.run(_reachable(settings, online=online)),
        check_port(settings),
        check_page(settings),
    ]


async def _reachable(settings: Settings, *, online: bool) -> list[Check]:
    token = check_token(settings.token.get_secret_value())
    # A compatible API may have tokens of its own shape; it decides when it is asked.
    askable = online and (token.grade is Grade.OK or not settings.is_discord)
    account = await check_account(settings) if askable else [check_intent(settings)]
    return [
        token,
        *account,
        await check_store(settings.database_url),
        await check_limits(settings.limits_url),
    ]
