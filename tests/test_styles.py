from __future__ import annotations

from pathlib import Path

import pytest

from bot import exit_codes
from bot.errors import StartupError
from bot.styles import load_styles


def test_ours_wrap_the_prompt() -> None:
    styles = load_styles()
    assert styles["watercolour"].apply("a {odd} cat") == "a {odd} cat, as a watercolour"
    assert all(style.name == name for name, style in styles.items())


def test_a_file_adds_and_overrides(tmp_path: Path) -> None:
    path = tmp_path / "styles.toml"
    path.write_text('[Ink]\nprompt = "brush {prompt}"\n[mine]\nstrength = 1\n')
    styles = load_styles(path)
    assert styles["ink"].prompt == "brush {prompt}"
    assert styles["mine"].strength == 1
    assert "pixel" in styles


@pytest.mark.parametrize(
    "text",
    ['[a]\nprompt = "no spot"', '[a]\ncolour = "red"', "[a]\nstrength = 'x'", "a = 1", "[broken"],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "styles.toml"
    path.write_text(text)
    with pytest.raises(StartupError, match="styles") as caught:
        load_styles(path)
    assert caught.value.exit_code == exit_codes.CONFIG
