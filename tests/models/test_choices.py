"""Which models members can choose, and what each is made for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.app import defaults_of
from bot.config import load_settings
from bot.errors import StartupError
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
