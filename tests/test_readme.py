"""What the README says of the settings is what the settings say of themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from bot.__main__ import app
from bot.config import Settings, settings_table
from bot.styles import load_styles
from bot.words import catalogue

ROOT = Path(__file__).resolve().parents[1]
MAIN = "README.md"
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


DISCORDS = {"The application did not respond", "应用程序没有响应", "Missing Access"}
"""Sentences that are Discord's own."""

TOP = 4
"""Among so many first lines each README links to the other."""

HEADING = re.compile(r"^## .*$", flags=re.MULTILINE)
SETTINGS = re.compile(r"<!-- settings -->.*<!-- /settings -->", flags=re.DOTALL)
COMMAND = r"(?m)(?:^|[`/])((?:turbocord|make) [a-z]+(?: [a-z]+)?)"


def told(text: str) -> dict[str, set[str]]:
    """Return what a reader would type or follow, outside the table of all settings."""
    prose = SETTINGS.sub("", text)
    code = re.findall(r"```sh\n(.*?)```", prose, re.DOTALL)
    return {
        "commands": set(re.findall(COMMAND, prose)),
        "slash commands": set(re.findall(r"`(/[a-z]+)", prose)),
        "extras": set(re.findall(r"\.\[([a-z,]+)\]", prose)),
        "variables": set(re.findall(r"\b(?:TURBOCORD|DISCORD)_[A-Z_]+", prose)),
        "links": {link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", prose)},
        "exit codes": set(re.findall(r"^\| (\d+) \|", prose, flags=re.MULTILINE)),
        # The comments of shell code are translated.
        "code": {re.sub(r" +#.*", "", block) for block in code},
    }


def differences(original: str, translation: str, *, names: tuple[str, str]) -> list[str]:
    """Return what one of two READMEs tells and the other does not; `names` are their files'."""
    ours, theirs = told(original), told(translation)
    found = []
    for text, read, other in ((original, ours, names[1]), (translation, theirs, names[0])):
        if f"]({other})" not in "".join(text.splitlines()[:TOP]):
            found.append(f"link to {other}")
        read["links"].discard(other)
    found += [f"{kind}: {each}" for kind in ours for each in ours[kind] ^ theirs[kind]]
    if len(HEADING.findall(original)) != len(HEADING.findall(translation)):
        found.append("headings")
    return found


def both(name: str) -> tuple[str, str]:
    """Return the texts of the README and of its translation `name`."""
    original, translation = ((ROOT / each).read_text(encoding="utf-8") for each in (MAIN, name))
    return original, translation


translated = pytest.mark.parametrize("name", [name for name in READMES if name != MAIN])


@translated
def test_a_translation_tells_the_same(name: str) -> None:
    original, translation = both(name)
    assert differences(original, translation, names=(MAIN, name)) == []


@translated
def test_what_is_left_out_of_either_is_found(name: str) -> None:
    original, translation = both(name)
    kinds = told(original)
    assert all(kinds.values())
    left_out = [
        *(
            re.compile(rf"(?<![A-Za-z_/]){re.escape(each)}(?![A-Z_])")
            for each in kinds["variables"]
        ),
        *(re.compile(rf"\]\({re.escape(each)}(#[^)]*)?\)") for each in kinds["links"] - {name}),
        *(re.compile(re.escape(each) + r"(?![a-z])") for each in kinds["commands"]),
        *(re.compile(re.escape(f"`{each}") + r"(?![a-z])") for each in kinds["slash commands"]),
        *(re.compile(re.escape(f"[{each}]")) for each in kinds["extras"]),
        *(re.compile(rf"^\| {each} \|.*\n", re.MULTILINE) for each in kinds["exit codes"]),
    ]
    assert len(left_out) > 60
    for each in left_out:
        assert differences(original, each.sub("", translation), names=(MAIN, name)), each
        assert differences(each.sub("", original), translation, names=(MAIN, name)), each
    without_heading = HEADING.sub("", translation, count=1)
    assert differences(original, without_heading, names=(MAIN, name)) == ["headings"]
    unlinked = translation.replace(f"]({MAIN})", "", 1)
    assert differences(original, unlinked, names=(MAIN, name)) == [f"link to {MAIN}"]


@pytest.mark.parametrize("name", READMES)
def test_what_a_readme_links_to_is_there(name: str) -> None:
    links = told((ROOT / name).read_text(encoding="utf-8"))["links"]
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert len(local) > 10
    assert [link for link in local if link and not (ROOT / link).exists()] == []


@pytest.mark.parametrize("name", READMES)
def test_what_a_readme_tells_to_type_exists(name: str) -> None:
    found = told((ROOT / name).read_text(encoding="utf-8"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE)
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group
    for program, command, *further in (each.split(" ") for each in found["commands"]):
        assert command in (targets if program == "make" else commands), command
        if command == "model":
            assert set(further) <= set(commands[command].commands), further
    known = {cells(row)[0].strip("`") for row in settings_table().splitlines()[2:]}
    assert found["variables"] <= known


@pytest.mark.parametrize("name", READMES)
def test_the_command_is_installed_before_it_is_called(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    steps = next(part for part in HEADING.split(text) if "\n1. " in part)
    assert steps.index("`make install`") < steps.index(".venv/bin/turbocord")
    assert steps.index(".venv/bin/turbocord") < steps.index("`turbocord ")
    # Without a target it starts the demo.
    assert "`make`" not in text
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^install: \$\(STAMP\)  ## ", makefile, re.MULTILINE)


@pytest.mark.parametrize(("name", "locale"), [("README.md", "en"), ("README.zh-CN.md", "zh-CN")])
def test_the_symptoms_are_worded_as_members_read_them(name: str, locale: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    sentences = " ".join(catalogue(locale).values())
    table = re.search(r"^\| (?:what you see|看到的现象) \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    assert table is not None
    symptoms = [cells(row)[0] for row in table[0].strip().splitlines()[2:]]
    quoted = {each for row in symptoms for each in re.findall(r"[\"“]([^\"”]+)[\"”]", row)}
    ours = {each for each in quoted if each.strip() not in DISCORDS}
    assert len(ours) >= 4
    assert {each for each in ours if each not in sentences} == set()


@pytest.mark.parametrize("name", READMES)
def test_the_example_of_a_style_can_be_loaded(name: str, tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL)
    file = tmp_path / "styles.toml"
    file.write_text(example + "\n[bare]\n", encoding="utf-8")
    styles = load_styles(file, find_loras=False)
    assert styles["papercut"].lora == str(tmp_path / "papercut.safetensors")
    assert styles["papercut"].num_inference_steps == 2
    assert styles["bare"].apply("a cat") == "a cat"
