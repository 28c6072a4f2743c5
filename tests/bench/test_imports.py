"""The engine and the bench run where nothing but the model libraries is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

BARE = """
import sys

# None is how Python itself marks a module that cannot be imported.
sys.modules.update(dict.fromkeys({absent!r}))
{imports}
print(*(name for name in {watched!r} if sys.modules.get(name)))
"""


def modules_after(imports: str, *, absent: tuple[str, ...], watched: tuple[str, ...]) -> str:
    code = BARE.format(imports=imports, absent=absent, watched=watched)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_needs_only_the_model_libraries() -> None:
    absent = (
        "aiohttp",
        "alembic",
        "discord",
        "limits",
        "pydantic",
        "pydantic_settings",
        "rich",
        "sqlalchemy",
        "typer",
    )
    imports = (
        "import bot.bench.cli, bot.bench.measure, bot.bench.weights, bot.engine.launch\n"
        "from bot.bench import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0"
    )
    assert "usage: turbocord bench" in modules_after(imports, absent=absent, watched=())


def test_the_scheduler_needs_no_torch() -> None:
    imports = "import bot.engine.scheduler, bot.engine.launch, bot.engine.null"
    libraries = ("torch", "diffusers", "transformers")
    assert modules_after(imports, absent=libraries, watched=libraries) == ""
