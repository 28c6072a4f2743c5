"""What the README says of the settings is what the settings say of themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.config import Settings, settings_table

ROOT = Path(__file__).resolve().parents[1]
READMES = [path.name for path in sorted(ROOT.glob("README*.md"))]


def between(text: str, marker: str) -> str:
    """Return what stands between `<!-- marker -->` and `<!-- /marker -->`."""
    found = re.search(rf"<!-- {marker} -->\n(.*?)<!-- /{marker} -->", text, re.DOTALL)
    assert found is not None, f"the markers of {marker} are missing"
    return found[1].strip()


def cells(row: str) -> list[str]:
    """Return a Markdown row's cells; an escaped bar does not end one."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))]


def test_the_readme_s_table_is_the_generated_one() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    # `turbocord settings` prints it.
    assert between(text, "settings") == settings_table()


@pytest.mark.parametrize("name", READMES)
def test_every_readme_names_every_setting_with_its_default(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    ours = [cells(row)[:2] for row in settings_table().splitlines()[2:]]
    theirs = [cells(row)[:2] for row in between(text, "settings").splitlines()[2:]]
    assert theirs == ours


def test_the_table_has_three_cells_in_every_row_and_every_setting_once() -> None:
    rows = [cells(row) for row in settings_table().splitlines()]
    assert {len(row) for row in rows} == {3}
    variables = [row[0] for row in rows[2:]]
    assert len(variables) == len(set(variables)) == len(Settings.model_fields)
    assert all(meaning for _, _, meaning in rows)
