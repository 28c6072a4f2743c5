"""The command line as a process: what it prints, and the exit codes it documents."""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from bot import exit_codes

ROOT = Path(__file__).resolve().parents[1]


def turbocord(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bot", *arguments],
        cwd=ROOT,
        env={**os.environ, "DISCORD_TOKEN": "", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_wrong_setting_ends_with_its_name_and_code() -> None:
    done = turbocord("run", TURBOCORD_MAX_STEPS="99")
    assert done.returncode == exit_codes.CONFIG
    assert "TURBOCORD_MAX_STEPS" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_token_is_said_before_anything_is_loaded() -> None:
    done = turbocord("run", TURBOCORD_MODEL="/nowhere")
    assert done.returncode == exit_codes.CONFIG
    assert "DISCORD_TOKEN" in done.stderr


def test_the_invite_asks_for_what_is_needed_and_no_more() -> None:
    head = base64.urlsafe_b64encode(b"123456789012345678").decode().rstrip("=")
    done = turbocord("invite", DISCORD_TOKEN=f"{head}.aaaaaa.{'b' * 38}")
    assert done.returncode == exit_codes.OK
    assert "client_id=123456789012345678" in done.stdout
    permissions = int(re.search(r"permissions=(\d+)", done.stdout)[1])  # type: ignore[index]
    send, attach, administrator = 1 << 11, 1 << 15, 1 << 3
    assert permissions & send
    assert permissions & attach
    assert not permissions & administrator
    assert turbocord("invite", DISCORD_TOKEN="nonsense").returncode == exit_codes.CONFIG


def test_the_sandbox_runs_alone_and_ends_when_told() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "sandbox", "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        address = lines[0].split()[1]
        with urllib.request.urlopen(f"{address}/sandbox", timeout=10) as answer:
            assert lines[2].split()[1] in answer.read().decode()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == exit_codes.OK


@pytest.mark.parametrize("command", ["version", "settings"])
def test_small_commands_print_and_end(command: str) -> None:
    done = turbocord(command)
    assert done.returncode == exit_codes.OK
    assert done.stdout.strip()


def test_the_doctor_prints_what_it_looked_at(tmp_path: Path) -> None:
    done = turbocord(
        "doctor", TURBOCORD_DATABASE_URL=f"sqlite+aiosqlite:///{tmp_path}/turbocord.db"
    )
    assert done.returncode == exit_codes.CONFIG, done.stderr
    for check in ("Python", "Model", "Token", "Store"):
        assert re.search(rf"^\S +{check} ", done.stdout, re.MULTILINE), done.stdout
    assert "DISCORD_TOKEN is not set" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["bench"], ["--weights", "--device", "--rounds"]),
        (["bench", "soak"], ["--interactions", "--guilds", "--seed"]),
    ],
    ids=["bench", "bench soak"],
)
def test_a_bench_lists_its_own_options(arguments: list[str], options: list[str]) -> None:
    done = turbocord(*arguments, "--help")
    assert done.returncode == exit_codes.OK, done.stderr
    assert [one for one in options if one not in done.stdout] == []
