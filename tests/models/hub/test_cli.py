from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.models.cli import app
from tests.models.hub.conftest import TURBO, UNET
from tests.models.hub.server import Hub


def run(hub: Hub, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `turbocord model` as its own process, so that HF_ENDPOINT is read as users set it."""
    return subprocess.run(
        [sys.executable, "-c", "from bot.models.cli import app; app()", *arguments],
        env=os.environ
        | {
            "HF_ENDPOINT": hub.url,
            "MODELSCOPE_DOMAIN": hub.url,
            "TURBOCORD_MODELS_DIR": str(root),
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_fetch_breaks_off_and_a_second_run_resumes(hub: Hub, tmp_path: Path) -> None:
    # One broken line, then a hub that lets nobody in: the process ends with part of the file.
    hub.breaks[UNET] = [1_000_000]
    hub.statuses[UNET] = [0, 403]
    unet = tmp_path / "stabilityai/sdxl-turbo" / UNET

    first = run(hub, tmp_path, "fetch")
    assert first.returncode == 66
    assert f"turbocord: The hub does not let us have {UNET} (403)" in first.stderr
    assert "Traceback" not in first.stderr
    (part,) = unet.parent.glob("*.part")
    have = part.stat().st_size
    assert 0 < have <= 1_000_000

    second = run(hub, tmp_path, "fetch", "sdxl-turbo", "--variant", "fp16")
    assert second.returncode == 0, second.stderr
    assert "SDXL Turbo (fp16), 19 files, 3 MB" in second.stdout
    assert "Licence: sai-nc-community." in second.stdout
    assert hub.fetched(UNET)[-1].range == f"bytes={have}-"
    assert unet.read_bytes() == hub.repos[TURBO][UNET]


def test_verify_and_list_find_what_was_fetched(hub: Hub, tmp_path: Path) -> None:
    assert run(hub, tmp_path, "fetch", "--from", "modelscope").returncode == 0
    runner = CliRunner()
    into = ["--into", str(tmp_path)]

    verified = runner.invoke(app, ["verify", *into])
    assert verified.exit_code == 0
    assert "19 of 19 files have the right hash, none is damaged." in verified.output

    listed = runner.invoke(app, ["list", *into], env={"COLUMNS": "300"})
    assert listed.exit_code == 0
    rows = [line.split() for line in listed.output.splitlines()]
    assert next(row for row in rows if "sdxl-turbo" in row)[0] == "✓"
    assert next(row for row in rows if "sdxl-lightning" in row)[0] == "sdxl-lightning"

    used = {
        "TURBOCORD_MODEL": str(tmp_path / "stabilityai/sdxl-turbo"),
        "TURBOCORD_MODELS": "starter",
        "COLUMNS": "300",
    }
    listed = runner.invoke(app, ["list", *into], env=used)
    assert (
        next(line for line in listed.output.splitlines() if "sdxl-turbo" in line).split()[-4]
        == "first"
    )

    (tmp_path / "stabilityai/sdxl-turbo/vae/config.json").write_text("{}")
    broken = runner.invoke(app, ["verify", "sdxl-turbo", *into])
    assert broken.exit_code == 66
    assert "✗ vae/config.json" in broken.output
    assert "1 of 19 files are damaged or missing" in broken.output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["fetch", "--from", "elsewhere"], 64, "--from must be huggingface or modelscope"),
        (["fetch", "nothing"], 64, "no model 'nothing'; it has sdxl-turbo"),
        (["verify", "sdxl-lightning"], 66, "fetch it with `turbocord model fetch sdxl-lightning`"),
        (["verify", "./nowhere"], 66, "There is nothing at nowhere"),
        (["list", "--catalog", "absent.toml"], 64, "The catalogue absent.toml cannot be read"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    result = CliRunner().invoke(app, [*arguments, "--into", str(tmp_path)])

    assert result.exit_code == code
    assert words in result.output
    assert len(result.output.splitlines()) == 1
