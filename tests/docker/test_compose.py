from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.app import KEEP_SECONDS
from bot.config import NO_SETTINGS, Settings
from bot.engine.scheduler import JOIN_SECONDS
from bot.studio import ANSWER_SECONDS

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker" / "compose.yaml"
TEXT = COMPOSE.read_text(encoding="utf-8")
PROJECT: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]
BOTS = ("bot", "bot-cpu", "bot-shared")
ENGINES = 8
"""As many GPUs as one machine has, or nearly all have."""

each_bot = pytest.mark.parametrize("name", BOTS)


def gpus(service: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the devices that the service reserves."""
    reserved = service.get("deploy", {}).get("resources", {}).get("reservations", {})
    devices: list[dict[str, Any]] = reserved.get("devices", [])
    return devices


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


def test_plain_up_starts_the_bot_on_the_gpu_alone() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["bot"]
    assert gpus(SERVICES["bot"]) == [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]


def test_the_cpu_profile_asks_for_no_gpu() -> None:
    service = SERVICES["bot-cpu"]
    assert service["profiles"] == ["cpu"]
    assert not gpus(service)
    assert service["environment"]["TURBOCORD_DEVICE"] == "cpu"
    assert service["image"] != SERVICES["bot"]["image"]


def test_the_shared_profile_brings_what_it_needs() -> None:
    service = SERVICES["bot-shared"]
    assert set(service["depends_on"]) == {"postgres", "redis"}
    for name, condition in service["depends_on"].items():
        assert condition == {"condition": "service_healthy"}
        assert SERVICES[name]["profiles"] == service["profiles"] == ["shared"]
        assert SERVICES[name]["healthcheck"]["test"]
    environment = service["environment"]
    assert re.search(r"@postgres:5432/turbocord$", environment["TURBOCORD_DATABASE_URL"])
    assert environment["TURBOCORD_LIMITS_URL"] == "async+redis://redis:6379/0"
    assert "ports" not in SERVICES["postgres"]
    assert "ports" not in SERVICES["redis"]


@each_bot
def test_each_bot_needs_its_token_and_nothing_else(name: str) -> None:
    environment = SERVICES[name]["environment"]
    assert environment["DISCORD_TOKEN"].startswith("${DISCORD_TOKEN:?")
    required = re.findall(r"\$\{([A-Z_]+):\?", TEXT)
    assert set(required) == {"DISCORD_TOKEN"}


@each_bot
def test_each_bots_settings_exist(name: str) -> None:
    fields = {f"TURBOCORD_{field.upper()}" for field in Settings.model_fields} | {"DISCORD_TOKEN"}
    assert SERVICES[name]["environment"].keys() <= fields
    # A variable in docker/.env reaches the bot too, so it must not refuse what compose reads.
    assert set(re.findall(r"\$\{(TURBOCORD_[A-Z_]+)", TEXT)) <= fields | NO_SETTINGS


@each_bot
def test_each_bot_is_locked_down(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"]
    assert "privileged" not in service


@each_bot
def test_each_bot_keeps_its_data_and_its_models(name: str) -> None:
    mounts = dict(mount.split(":") for mount in SERVICES[name]["volumes"])
    assert mounts == {"data": "/data", "models": "/data/models"}
    assert mounts.keys() <= PROJECT["volumes"].keys()


@each_bot
def test_each_bot_is_given_time_to_finish(name: str) -> None:
    grace = seconds(SERVICES[name]["stop_grace_period"])
    setting = Settings.model_fields["drain_seconds"]
    told = re.search(r"keep it (\d+) s below", setting.description or "")
    assert told is not None
    # Answers to what was not finished, keeping what did not arrive, the ends of page and health
    # (1 s each), and of each engine's thread.
    after = ANSWER_SECONDS + KEEP_SECONDS + 2 + ENGINES * JOIN_SECONDS
    assert after <= int(told[1]) <= grace - setting.default


@each_bot
def test_a_gpu_that_is_reserved_must_be_used(name: str) -> None:
    service = SERVICES[name]
    device = "${TURBOCORD_DEVICE:-cuda}" if "deploy" in service else "cpu"
    assert service["environment"]["TURBOCORD_DEVICE"] == device


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_comes_back_and_rotates_its_log(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}


@each_bot
def test_each_bot_is_built_from_our_dockerfile(name: str) -> None:
    build = SERVICES[name]["build"]
    assert (COMPOSE.parent / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    dockerfile = (ROOT / build["dockerfile"]).read_text(encoding="utf-8")
    declared = set(re.findall(r"^ARG ([A-Z_]+)", dockerfile, re.MULTILINE))
    assert build["args"].keys() == declared


def test_ports_are_open_to_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
