"""Which models members can choose, and what each is made for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.app import defaults_of, scheduler_of
from bot.config import load_settings
from bot.engine.remote import RemoteScheduler
from bot.errors import StartupError
from bot.models.catalog import CATALOG
from bot.models.choices import model_choices


def folder(path: Path, sample_size: object = 128) -> Path:
    for part, values in {
        "unet": {"sample_size": sample_size},
        "vae": {"block_out_channels": [1, 2, 3, 4]},
    }.items():
        (path / part).mkdir(parents=True)
        (path / part / "config.json").write_text(json.dumps(values))
    return path


def test_the_first_has_no_key_and_the_rest_are_called_by_their_names(tmp_path: Path) -> None:
    large = folder(tmp_path / "large")
    choices = model_choices(
        "starter", ["sdxl-lightning", str(large), "x/sd_xl_turbo_1.0.safetensors"]
    )
    assert list(choices) == ["starter", "sdxl-lightning", "large", "sd_xl_turbo_1.0"]
    assert [one.key for one in choices.values()] == ["", *list(choices)[1:]]
    lightning = choices["sdxl-lightning"]
    assert (lightning.steps, lightning.max_steps, lightning.guidance) == (4, 4, 0.0)
    assert (lightning.size, lightning.scale) == (1024, 2)
    # A folder that the catalogue does not know says its size, and nothing of steps.
    assert (choices["large"].size, choices["large"].steps) == (1024, None)
    # A single file is known by its published name.
    turbo = choices["sd_xl_turbo_1.0"]
    assert (turbo.steps, turbo.size, turbo.scale) == (1, 512, 1)


@pytest.mark.parametrize("sample_size", [None, [64, 96], "large"])
def test_a_folder_that_says_nothing_of_use_is_taken_for_512(
    tmp_path: Path, sample_size: object
) -> None:
    choices = model_choices("starter", [str(folder(tmp_path / "odd", sample_size))])
    assert (choices["odd"].size, choices["odd"].scale) == (None, 1)


def test_two_of_one_name_and_too_many_are_refused() -> None:
    with pytest.raises(StartupError, match="both a/sdxl and b/sdxl would be called sdxl"):
        model_choices("a/sdxl", ["b/sdxl"])
    with pytest.raises(StartupError, match="26 models"):
        model_choices("starter", [f"model{number}" for number in range(25)])


def test_the_setting_is_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURBOCORD_MODELS", "sdxl-turbo, /models/large ,")
    assert load_settings().models == ("sdxl-turbo", "/models/large")


def test_what_the_operator_chose_goes_before_what_the_catalogue_says() -> None:
    (lightning,) = model_choices("sdxl-lightning-8step").values()
    usual = defaults_of(load_settings(), lightning)
    assert (usual.num_inference_steps, usual.max_steps, usual.model) == (8, 8, lightning)
    chosen = defaults_of(load_settings(default_steps=3, max_steps=3), lightning)
    assert (chosen.num_inference_steps, chosen.max_steps) == (3, 3)
    (turbo,) = model_choices("sdxl-turbo").values()
    assert defaults_of(load_settings(), turbo).num_inference_steps == 2


def test_an_own_catalogue_says_what_its_models_are_made_for(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    text = CATALOG.read_text(encoding="utf-8").replace("sd_xl_turbo_1.0", "mine")
    own.write_text(text.replace("[sdxl-turbo", "[own").replace("[[sdxl-turbo", "[[own"))
    for source in ("own", "x/mine.safetensors"):
        assert model_choices(source)[source.split("/")[-1].split(".")[0]].steps is None
        (choice,) = model_choices(source, extra=own).values()
        assert (choice.steps, choice.size) == (1, 512)
    with pytest.raises(StartupError, match=r"The catalogue \S+absent\.toml cannot be read"):
        model_choices("starter", extra=tmp_path / "absent.toml")


def test_the_engines_of_a_cluster_find_models_as_the_settings_say(tmp_path: Path) -> None:
    settings = load_settings(ray_address="auto", models_dir=tmp_path, catalog=tmp_path / "own.toml")
    scheduler = scheduler_of(settings, model_choices("starter"), {})
    assert isinstance(scheduler, RemoteScheduler)
    told = scheduler._build.keywords  # type: ignore[attr-defined]  # a partial
    assert (told["models_dir"], told["catalog"]) == (tmp_path, tmp_path / "own.toml")
