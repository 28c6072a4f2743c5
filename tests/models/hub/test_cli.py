from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.models.catalog import CATALOG
from bot.models.cli import app
from bot.models.loader import resolve_model
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


@pytest.mark.parametrize("own", [False, True], ids=["shipped", "own catalogue"])
def test_what_fetch_tells_to_set_can_be_loaded(hub: Hub, tmp_path: Path, own: bool) -> None:
    catalog = tmp_path / "own.toml"
    shipped = CATALOG.read_text(encoding="utf-8")
    catalog.write_text(shipped.replace('folder = "stabilityai/', 'folder = "flat-'))
    more = ["--catalog", str(catalog)] if own else []

    done = run(hub, tmp_path, "fetch", "sdxl-turbo", "--variant", "single-fp16", *more)

    assert done.returncode == 0, done.stderr
    told = dict(re.findall(r"(TURBOCORD_[A-Z]+)=(\S+)", done.stdout))
    file = "sd_xl_turbo_1.0_fp16.safetensors"
    folder = tmp_path / ("flat-sdxl-turbo" if own else "stabilityai/sdxl-turbo")
    assert told.pop("TURBOCORD_MODEL") == str(resolve_model(str(folder / file)))
    assert told == ({"TURBOCORD_CATALOG": str(catalog)} if own else {})
    # Its configuration beside it is no second model.
    listed = CliRunner().invoke(
        app, ["list", "--into", str(tmp_path), *more], env={"COLUMNS": "300"}
    )
    assert str(folder) in listed.output
    assert "not in the catalogue" not in listed.output


def test_the_settings_say_where_and_from_which_catalogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = CATALOG.read_text(encoding="utf-8").replace("[sdxl-turbo", "[mine")
    (tmp_path / "own.toml").write_text(own.replace("[[sdxl-turbo", "[[mine"))
    (tmp_path / ".env").write_text("TURBOCORD_MODELS_DIR=kept\nTURBOCORD_CATALOG=own.toml\n")
    folder = tmp_path / "kept/stabilityai/sdxl-turbo"
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    runner = CliRunner()

    listed = runner.invoke(app, ["list"], env={"COLUMNS": "300", "TURBOCORD_MODEL": "mine"})
    assert listed.exit_code == 0, listed.output
    (row,) = [line.split() for line in listed.output.splitlines() if " mine " in line]
    assert row[0] == "✓"
    assert "first" in row
    absent = runner.invoke(app, ["verify", "sdxl-lightning"])
    assert f"sdxl-lightning is not in {tmp_path / 'kept'}" in absent.output
    refused = runner.invoke(app, ["list"], env={"TURBOCORD_MODEL_DIR": "kept"})
    assert refused.exit_code == 64
    assert "TURBOCORD_MODEL_DIR is no setting" in refused.output


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
