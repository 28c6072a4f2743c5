from __future__ import annotations

import fnmatch
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from bot.config import NO_SETTINGS, Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"


class Instruction(NamedTuple):
    """One instruction, its continuation lines joined; `stage` counts from 0."""

    stage: int
    name: str
    value: str


def parse(text: str) -> list[Instruction]:
    """Return the Dockerfile's instructions in order."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found: list[Instruction] = []
    stage = -1
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, value = line.partition(" ")
        stage += name == "FROM"
        found.append(Instruction(stage, name, value.strip()))
    return found


INSTRUCTIONS = parse(DOCKERFILE.read_text(encoding="utf-8"))
LAST = max(one.stage for one in INSTRUCTIONS)


def of(name: str, stage: int | None = None) -> list[str]:
    """Return the values of every instruction called `name`."""
    return [one.value for one in INSTRUCTIONS if one.name == name and stage in (None, one.stage)]


def environment() -> dict[str, str]:
    """Return the final image's environment."""
    return dict(pair.split("=", 1) for value in of("ENV", LAST) for pair in shlex.split(value))


def ignored(path: str) -> bool:
    """Return whether .dockerignore keeps `path` (a folder ends in /) from the builder."""
    verdict = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        kept = pattern.startswith("!")
        if fnmatch.fnmatch(path.rstrip("/"), pattern.removeprefix("!").rstrip("/")):
            verdict = not kept
    return verdict


def test_only_known_instructions_are_used() -> None:
    known = "ARG FROM ENV RUN WORKDIR COPY USER VOLUME EXPOSE STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD"
    assert {one.name for one in INSTRUCTIONS} <= set(known.split())


def test_every_stage_starts_from_the_base_that_can_be_pinned() -> None:
    assert of("ARG", -1) == ["BASE_IMAGE=python:3.11-slim-bookworm"]
    assert len(of("FROM")) == 2
    assert all(value.split()[0] == "${BASE_IMAGE}" for value in of("FROM"))


def test_every_copied_file_exists_and_reaches_the_builder() -> None:
    copied = [
        source
        for value in of("COPY")
        if not value.startswith("--from")
        for source in shlex.split(value)[:-1]
    ]
    assert {"bot/", "cogs/", "constraints.txt", "pyproject.toml"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists(), source
        assert source.endswith("/") == (ROOT / source).is_dir(), source
        assert not ignored(source), source


def test_what_the_build_needs_is_copied_before_it_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    copied = " ".join(of("COPY", 0))
    for file in (project["readme"], *project["license-files"]):
        assert file in copied


@pytest.mark.parametrize("path", [".env", ".git", "tests/", "data/", ".venv/", "stabilityai/"])
def test_secrets_and_the_rest_stay_out_of_the_context(path: str) -> None:
    assert ignored(path)


def test_what_is_copied_from_another_stage_is_made_there() -> None:
    (value,) = [value for value in of("COPY") if value.startswith("--from")]
    option, source, _ = value.split()
    assert option == "--from=build"
    assert of("FROM", 0)[0].endswith(" AS build")
    assert any(f"venv {source}" in run for run in of("RUN", 0))


def test_it_runs_as_a_numbered_user_who_is_not_root() -> None:
    (user,) = of("USER", LAST)
    uid, gid = user.split(":")
    assert int(uid) >= 1000
    assert int(gid) >= 1000
    order = [one.name for one in INSTRUCTIONS if one.stage == LAST]
    assert max(index for index, name in enumerate(order) if name == "RUN") < order.index("USER")
    assert any(f"--uid {uid}" in run and "/data/models" in run for run in of("RUN", LAST))


def test_everything_written_lies_under_data() -> None:
    paths = {name: value for name, value in environment().items() if value.startswith("/")}
    written = {name: value for name, value in paths.items() if name != "PATH"}
    assert len(written) >= 7
    assert all(value == "/data" or value.startswith("/data/") for value in written.values())
    assert environment()["TURBOCORD_DATABASE_URL"].startswith("sqlite+aiosqlite:////data/")
    assert of("VOLUME") == ["/data"]
    assert of("WORKDIR", LAST) == ["/data"]


def test_every_setting_exists_and_is_valid() -> None:
    ours = {name: value for name, value in environment().items() if name.startswith("TURBOCORD_")}
    fields = {f"TURBOCORD_{name.upper()}" for name in Settings.model_fields}
    assert ours.keys() <= fields | NO_SETTINGS
    values = {name.removeprefix("TURBOCORD_").lower(): value for name, value in ours.items()}
    settings = Settings.model_validate(
        {name: value for name, value in values.items() if name in Settings.model_fields}
    )
    assert of("EXPOSE") == [str(settings.http_port)]


def test_packages_are_pinned_and_leave_no_cache() -> None:
    installs = [run for run in of("RUN") if "pip install" in run]
    assert len(installs) == 2
    assert all("constraints.txt" in run for run in installs)
    assert "PIP_NO_CACHE_DIR=1" in " ".join(of("ENV", 0))
    for run in of("RUN"):
        if "apt-get install" in run:
            assert "--no-install-recommends" in run
            assert run.endswith("rm -rf /var/lib/apt/lists/*")


def test_the_extras_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = [value for value in of("ARG", 0) if value.startswith("EXTRAS=")]
    assert set(extras.removeprefix("EXTRAS=").split(",")) <= set(project["optional-dependencies"])


def test_a_mirror_is_an_argument_and_no_host_is_written_down() -> None:
    assert "PIP_INDEX_URL" in of("ARG", 0)
    assert "://" not in " ".join(of("ARG") + of("RUN"))


def test_it_starts_the_installed_program_and_asks_it_whether_it_is_ready() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (program,) = json.loads(of("ENTRYPOINT")[0])
    assert program in project["scripts"]
    assert json.loads(of("CMD", LAST)[-1]) == ["run"]
    (health,) = of("HEALTHCHECK")
    options, command = health.split(" CMD ")
    assert json.loads(command) == [program, "healthcheck"]
    assert "--start-period=10m" in options
    assert of("STOPSIGNAL") == ["SIGTERM"]
