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


def told(text: str) -> dict[str, set[str]]:
    """Return what a reader would type or follow: commands, variables, local links."""
    prose = re.sub(r"<!-- settings -->.*<!-- /settings -->", "", text, flags=re.DOTALL)
    return {
        "commands": set(re.findall(r"(?m)(?:^|[`/])((?:turbocord|make) [a-z]+)", prose)),
        "slash commands": set(re.findall(r"`(/[a-z]+)", prose)),
        "variables": set(re.findall(r"(?:TURBOCORD|DISCORD)_[A-Z_]+", prose)),
        "links": {link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", prose)},
        "exit codes": set(re.findall(r"^\| (\d+) \|", prose, flags=re.MULTILINE)),
        "code": set(re.findall(r"```sh\n(.*?)```", prose, re.DOTALL)),
    }


def without_comments(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the same with the comments of shell code left out: they are translated."""
    code = {re.sub(r" +#.*", "", block) for block in found["code"]}
    return {**found, "code": code}


@pytest.mark.parametrize("name", [name for name in READMES if name != "README.md"])
def test_a_translation_tells_the_same_commands_variables_links_and_code(name: str) -> None:
    ours, theirs = ((ROOT / each).read_text(encoding="utf-8") for each in ("README.md", name))
    english, other = without_comments(told(ours)), without_comments(told(theirs))
    english["links"] -= {name}
    other["links"] -= {"README.md"}
    assert other == english
    assert f"]({name})" in ours
    assert "](README.md)" in theirs
    headings = [len(re.findall(r"^## ", text, flags=re.MULTILINE)) for text in (ours, theirs)]
    assert headings[0] == headings[1] > 5
    local = [link for link in other["links"] if not link.startswith("http")]
    assert [link for link in local if not (ROOT / link).exists()] == []
