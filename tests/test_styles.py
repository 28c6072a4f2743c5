from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

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


def lora_file(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    save_file({"weight": np.zeros(4)}, path)
    return path


def test_a_lora_lies_beside_the_file_or_in_its_own_folder(tmp_path: Path) -> None:
    path = tmp_path / "styles.toml"
    path.write_text('[cut]\nlora = "cut.safetensors"\nlora_weight = 0.5\n')
    beside = lora_file(tmp_path / "cut.safetensors")
    style = load_styles(path)["cut"]
    assert style.adapter is not None
    assert (style.adapter.path, style.adapter.weight) == (str(beside), 0.5)
    assert style.adapter.name == "cut"
    elsewhere = lora_file(tmp_path / "loras" / "cut.safetensors")
    assert load_styles(path, loras=tmp_path / "loras")["cut"].lora == str(elsewhere)
    path.write_text(f'[cut]\nlora = "{elsewhere}"\n')
    assert load_styles(path)["cut"].lora == str(elsewhere)
    assert load_styles()["ink"].adapter is None


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('lora = "none.safetensors"', "which is not there"),
        ('lora = "cut.ckpt"', "not a .safetensors file"),
        ('lora = "broken.safetensors"', "not a safetensors file"),
        ('lora = "cut.safetensors"\nlora_weight = 9', "from -4 to 4"),
        ('lora = "cut.safetensors"\nlora_weight = nan', "from -4 to 4"),
        ('lora = "cut.safetensors"\nlora_weight = "much"', "needs float"),
        ("lora_weight = 1.0", "without a lora"),
    ],
)
def test_a_lora_that_cannot_be_is_refused_by_name(tmp_path: Path, table: str, words: str) -> None:
    lora_file(tmp_path / "cut.safetensors")
    (tmp_path / "cut.ckpt").write_bytes(b"\x80\x04pickle")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing of the kind")
    path = tmp_path / "styles.toml"
    path.write_text(f"[mine]\n{table}\n")
    with pytest.raises(StartupError, match=words) as caught:
        load_styles(path)
    assert "'mine'" in str(caught.value)
    assert caught.value.exit_code == exit_codes.CONFIG


def test_files_on_other_machines_are_not_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "styles.toml"
    path.write_text('[cut]\nlora = "none.safetensors"\n')
    style = load_styles(path, find_loras=False)["cut"]
    assert style.lora == str(tmp_path / "none.safetensors")
