"""`turbocord try` as a process of its own: sandbox, bot and a real model, over the wire."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot import exit_codes
from tests.pictures import pixels_of, sideways_photo

ROOT = Path(__file__).resolve().parents[1]


def try_command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bot", "try", *arguments, "--model", "tiny", "--out", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.fixture(scope="module")
def imagined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("out")
    done = try_command(folder, "/imagine prompt:a red circle on blue seed:7")
    assert done.returncode == exit_codes.OK, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return folder, report


def test_imagine_gives_a_picture_and_one_json_line(
    imagined: tuple[Path, dict[str, Any]],
) -> None:
    _, report = imagined
    (file,) = report["files"]
    assert pixels_of(Path(file).read_bytes()).shape == (512, 512, 3)
    assert Path(file).read_bytes().startswith(b"\x89PNG")
    assert report["parameters"]["seeds"] == [7]
    assert "a red circle on blue" in report["text"]
    assert set(report["timings"]) == {
        "ack_ms",
        "intake_ms",
        "queue_ms",
        "pipeline_ms",
        "encode_ms",
        "total_ms",
    }
    assert report["timings"]["ack_ms"] <= report["timings"]["total_ms"]
    assert report["rest_calls"][0].startswith("POST /interactions/")


def test_remix_of_a_turned_photo(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(sideways_photo())
    done = try_command(tmp_path / "out", "/remix prompt:snow strength:0.5", "--image", str(photo))
    assert done.returncode == exit_codes.OK, done.stderr
    report = json.loads(done.stdout)
    assert pixels_of(Path(report["files"][0]).read_bytes()).shape == (576, 448, 3)
    assert report["parameters"]["strength"] == 0.5


def test_a_refusal_is_the_exit_code_and_the_reason(tmp_path: Path) -> None:
    done = try_command(tmp_path, "/imagine prompt:a steps:8")
    assert done.returncode == exit_codes.REFUSED
    assert "cannot be 8" in done.stderr
    assert json.loads(done.stdout)["refused"] is True


def test_an_unknown_command_is_said(tmp_path: Path) -> None:
    done = try_command(tmp_path, "/imagin prompt:a")
    assert done.returncode == exit_codes.REFUSED
    assert "imagin" in done.stderr
    assert done.stdout == ""
