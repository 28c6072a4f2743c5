from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from rich.console import Console

import bot.doctor
from bot.config import Settings
from bot.doctor import Check, Grade, healthy, render, run_doctor
from bot.models.catalog import CATALOG

FINDINGS = [
    Check("Port", Grade.OK, "127.0.0.1:8080 is free"),
    Check("Disk", Grade.WARN, "1.0 GB free at [/data]", "Make room."),
    Check("Token", Grade.FAIL, "DISCORD_TOKEN is not set", "Copy one."),
]


def settings(tmp_path: Path, **values: object) -> Settings:
    """Return settings that leave this machine's own folders alone."""
    defaults = {
        "cache_dir": tmp_path / "cache",
        "database_url": f"sqlite+aiosqlite:///{tmp_path}/turbocord.db",
        "model": "tiny",
        "token": "",
    }
    return Settings.model_validate({**defaults, **values})


def test_everything_is_looked_at_once_and_in_order(tmp_path: Path) -> None:
    checks = run_doctor(settings(tmp_path, device="cpu"), online=False)

    assert [check.name for check in checks] == [
        "Python",
        "Packages",
        "torch",
        "Device",
        "Memory",
        "Model",
        "Styles",
        "Picture check",
        "Disk",
        "Token",
        "Intents",
        "Store",
        "Limits",
        "Port",
        "Live page",
    ]
    assert not healthy(checks)
    assert [check.name for check in checks if check.grade is Grade.FAIL] == ["Token"]
    assert all(check.advice for check in checks if check.grade is not Grade.OK)
    assert not list(tmp_path.iterdir())


def test_models_and_loras_are_looked_at(tmp_path: Path) -> None:
    styles = tmp_path / "styles.toml"
    styles.write_text('[cut]\nlora = "cut.safetensors"\n')
    found = {"models": f"{tmp_path / 'a' / 'x'},{tmp_path / 'b' / 'x'}", "styles": styles}
    checks = run_doctor(settings(tmp_path, device="cpu", **found), online=False)
    by_name = [(check.name, check.grade, check.detail) for check in checks]
    models = [detail for name, grade, detail in by_name if (name, grade) == ("Model", Grade.FAIL)]
    assert ["there is nothing" in detail for detail in models] == [True, True]
    (same,) = [detail for name, _, detail in by_name if name == "Models"]
    assert "would be called x" in same
    (lost,) = [detail for name, _, detail in by_name if name == "Styles"]
    assert "'cut'" in lost
    assert "not there" in lost

    found = {"ray_address": "auto", "styles": styles, "models": "sdxl-turbo"}
    checks = run_doctor(settings(tmp_path, device="cpu", **found), online=False)
    details = {check.name: check.detail for check in checks if check.grade is Grade.OK}
    assert details["Models"] == "members choose between tiny, sdxl-turbo"
    assert "cut; their files must be at the same paths on every node" in details["Styles"]


def test_models_are_looked_for_as_the_settings_say(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(CATALOG.read_text(encoding="utf-8").replace("sdxl-turbo", "mine"))
    where = {"models_dir": tmp_path / "kept", "catalog": own}
    checks = run_doctor(settings(tmp_path, device="cpu", model="mine", **where), online=False)
    details = {check.name: check.detail for check in checks}
    assert details["Model"] == f"mine is not in {tmp_path / 'kept'}"

    where["catalog"] = tmp_path / "absent.toml"
    checks = run_doctor(settings(tmp_path, device="cpu", models="starter", **where), online=False)
    failed = [check.name for check in checks if "absent.toml cannot be read" in check.detail]
    assert failed == ["Model", "Model", "Models"]


def test_a_bad_token_is_not_sent_to_discord(tmp_path: Path) -> None:
    checks = run_doctor(settings(tmp_path, token="nonsense"), online=True)

    assert "Account" not in {check.name for check in checks}


def test_a_compatible_api_judges_its_own_tokens(tmp_path: Path) -> None:
    checks = run_doctor(
        settings(tmp_path, token="nonsense", api_base="http://127.0.0.1:1"), online=True
    )

    assert next(check for check in checks if check.name == "Account").grade is Grade.FAIL


def test_only_failures_make_it_unhealthy() -> None:
    assert healthy(FINDINGS[:2])
    assert not healthy(FINDINGS)


def test_the_table_shows_marks_details_and_advice() -> None:
    console = Console(width=60, force_terminal=False)
    with console.capture() as captured:
        console.print(render(FINDINGS))

    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert lines == [
        "✓  Port   127.0.0.1:8080 is free",
        "!  Disk   1.0 GB free at [/data]",
        "          → Make room.",
        "✗  Token  DISCORD_TOKEN is not set",
        "          → Copy one.",
    ]


def test_the_doctor_itself_needs_neither_torch_nor_discord() -> None:
    """A broken torch must be a finding, not a traceback."""
    program = (
        "import sys\n"
        "import bot.doctor, bot.models.cli\n"
        "assert not {'torch', 'diffusers', 'transformers', 'discord'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    for path in Path(bot.doctor.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"torch", "discord"}, path
