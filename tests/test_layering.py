"""Rules that hold the house up, read off the imports and the tracked files themselves."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*ROOT.glob("bot/**/*.py"), *ROOT.glob("cogs/**/*.py")])

HEAVY = {"torch", "diffusers", "transformers"}
HEAVY_ROOMS = ("bot/engine/", "bot/models/", "bot/bench/")
DISCORD_ROOMS = ("bot/client.py", "bot/shard.py", "bot/replies.py", "cogs/")
SANDBOX_DOORS = {"bot/__main__.py", "bot/sandboxed.py"}


def imported(path: Path) -> set[str]:
    """Return the dotted name of every module that `path` imports, wherever in the file."""
    return imported_from(path.read_text(encoding="utf-8"), path)


def imported_from(source: str, path: Path) -> set[str]:
    """Return what `source` imports if it stood at `path`."""
    package = path.relative_to(ROOT).parent.parts
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, node.module)) if node.module else ".".join(base)
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_only_the_engine_side_imports_torch(path: Path) -> None:
    used = {name.split(".")[0] for name in imported(path)} & HEAVY
    assert not used or relative(path).startswith(HEAVY_ROOMS)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_only_the_edge_imports_discord(path: Path) -> None:
    uses = "discord" in {name.split(".")[0] for name in imported(path)}
    assert not uses or relative(path).startswith(DISCORD_ROOMS)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_the_sandbox_stands_alone(path: Path) -> None:
    names = imported(path)
    inside = relative(path).startswith("bot/sandbox/")
    if inside:
        ours = {name for name in names if name.split(".")[0] in {"bot", "cogs"}}
        assert all(name.startswith("bot.sandbox") for name in ours)
        assert "discord" not in {name.split(".")[0] for name in names}
    elif relative(path) not in SANDBOX_DOORS:
        assert not any(name.startswith("bot.sandbox") for name in names)


def test_the_walk_sees_imports_wherever_they_hide() -> None:
    source = "def f():\n    from torch import nn\n    import discord.ui\n"
    assert imported_from(source, ROOT / "bot" / "config.py") == {"torch", "torch.nn", "discord.ui"}


def test_nothing_points_out_of_the_tree() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = ["git", "ls-files", "--stage"]
    tracked = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    # A link to another machine's folder (an environment, say) breaks every clone but one's own.
    assert [line for line in tracked.splitlines() if line.startswith("120000")] == []
