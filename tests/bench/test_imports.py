"""The engine and the bench run where nothing but the model libraries is installed."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def modules_of_other_packages() -> set[str]:
    """Return the modules that are installed, but not by the model libraries or what they need."""
    needed: set[str] = set()
    waiting = ["torch", "diffusers", "transformers", "accelerate", "pillow"]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in needed:
            continue
        needed.add(name)
        with suppress(metadata.PackageNotFoundError):
            wanted = [Requirement(line) for line in metadata.requires(name) or []]
            waiting += [one.name for one in wanted if "extra" not in str(one.marker)]
    return {
        module
        for module, owners in metadata.packages_distributions().items()
        if not {canonicalize_name(owner) for owner in owners} & needed
        and module.isidentifier()
        and module not in {"bot", "cogs", "tests"}
    }


def test_needs_only_the_model_libraries() -> None:
    absent = tuple(sorted(modules_of_other_packages()))
    assert {"aiohttp", "discord", "sqlalchemy", "alembic", "limits"} <= set(absent)
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
