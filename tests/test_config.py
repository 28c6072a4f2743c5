from __future__ import annotations

from pathlib import Path

import pytest

from bot import exit_codes
from bot.config import NO_SETTINGS, Settings, load_settings, settings_table
from bot.errors import StartupError


@pytest.fixture(autouse=True)
def _no_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_environment_names_are_prefixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURBOCORD_MODEL", "sdxl-turbo")
    monkeypatch.setenv("DISCORD_TOKEN", "abc")
    monkeypatch.setenv("TURBOCORD_OWNERS", "1, 2")
    settings = load_settings()
    assert settings.model == "sdxl-turbo"
    assert settings.token.get_secret_value() == "abc"
    assert settings.owners == (1, 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TURBOCORD_MAX_STEPS", "99"),
        ("TURBOCORD_DEFAULT_SIZE", "round"),
        ("TURBOCORD_SHARDS", "0-4"),
        ("TURBOCORD_SHARDS", "0,4/4"),
        ("TURBOCORD_SHARDS", "0/0"),
        ("TURBOCORD_SHARDS", "1,1/4"),
        ("TURBOCORD_API_BASE", "discord.com"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(StartupError, match=name) as caught:
        load_settings()
    assert caught.value.exit_code == exit_codes.CONFIG


@pytest.mark.parametrize("dotenv", [False, True], ids=["environment", ".env"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("TURBOCORD_MEMBER_IMAGE", r"is no setting \(did you mean TURBOCORD_MEMBER_IMAGES\?\)"),
        ("TURBOCORD_SAFETY_CHEKER", r"is no setting \(did you mean TURBOCORD_SAFETY_CHECKER\?\)"),
        ("TURBOCORD_TOKEN", r"is no setting \(did you mean DISCORD_TOKEN\?\)"),
        ("turbocord_max_step", r"is no setting \(did you mean TURBOCORD_MAX_STEPS\?\)"),
        ("TURBOCORD_ZZZ", "is no setting$"),
    ],
)
def test_a_misspelt_setting_is_refused_by_name(
    name: str, words: str, dotenv: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if dotenv:
        (tmp_path / ".env").write_text(f"{name}=1\n")
    else:
        monkeypatch.setenv(name, "1")
    with pytest.raises(StartupError, match=f"{name.upper()} {words}") as caught:
        load_settings()
    assert caught.value.exit_code == exit_codes.CONFIG


def test_everything_wrong_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("TURBOCORD_MEMBER_IMAGE=5\n")
    monkeypatch.setenv("TURBOCORD_MAX_STEPS", "99")
    with pytest.raises(StartupError, match=r"TURBOCORD_MEMBER_IMAGE is .*; TURBOCORD_MAX_STEPS "):
        load_settings()


def test_what_is_not_ours_or_is_read_elsewhere_is_let_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = ("POSTGRES_PASSWORD=x", "TURBO_CORD=x", "TURBOCORD_MODELS_DIR=models", "TURBOCORD_X=")
    ours = (f"{name}=x" for name in NO_SETTINGS)
    (tmp_path / ".env").write_text("\n".join((*others, *ours)))
    for name in NO_SETTINGS:
        monkeypatch.setenv(name, "x")
    assert load_settings().models_dir == Path("models")


@pytest.mark.parametrize("dotenv", [False, True], ids=["environment", ".env"])
def test_a_token_of_something_else_is_not_the_bot_s(
    dotenv: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISCORD_TOKEN", raising=False)
    if dotenv:
        (tmp_path / ".env").write_text("TOKEN=somebody-else\n")
    else:
        monkeypatch.setenv("TOKEN", "somebody-else")
    assert load_settings().token.get_secret_value() == ""
    assert load_settings(token="ours").token.get_secret_value() == "ours"
    monkeypatch.setenv("DISCORD_TOKEN", "environment")
    assert load_settings().token.get_secret_value() == "environment"
    assert load_settings(token="ours").token.get_secret_value() == "ours"


def test_the_token_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "very-secret")
    assert "very-secret" not in repr(load_settings())


def test_the_table_describes_every_setting() -> None:
    table = settings_table()
    for name, field in Settings.model_fields.items():
        assert field.description, name
        variable = "DISCORD_TOKEN" if name == "token" else f"TURBOCORD_{name.upper()}"
        assert f"`{variable}`" in table
