"""What was drawn comes back as the wish it was, its model as far as it is still there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.imaging.metadata import Metadata, from_json, from_parameters, to_json, to_parameters
from bot.recall import parameters_of, wish_of_job, wish_of_metadata
from bot.request import SIZES, ImageRequest, ModelChoice, Style
from bot.store import Job, JobState

LARGE = ModelChoice("large", "/models/large", "large", size=1024)
STYLE = Style("cut", lora="/loras/cut.safetensors", lora_weight=-0.5)
REQUEST = ImageRequest("a cat", 1, 7, size=SIZES["wide"], model=LARGE, style=STYLE)


def job_of(parameters: dict[str, Any]) -> Job:
    return Job("0123456789ab", "imagine", JobState.DONE, 7, 0.0, 0.0, parameters=parameters)


def test_a_job_keeps_model_and_lora() -> None:
    kept = parameters_of(REQUEST)
    assert (kept["model"], kept["lora"], kept["lora_weight"]) == ("large", "cut", -0.5)
    wish = wish_of_job(job_of(kept), models=["tiny", "large"])
    assert (wish.model, wish.style, wish.size, wish.seed) == ("large", "cut", "wide", 7)
    assert wish_of_job(job_of(kept), models=["tiny"]).model is None
    # What an earlier release wrote knows no models.
    del kept["model"]
    assert wish_of_job(job_of(kept), models=["tiny"]).model is None


METADATA = Metadata(
    "a cat", 7, 1408, 768, 1, style="cut", lora="cut", lora_weight=-0.5, model="large"
)


def test_a_picture_tells_its_model_and_lora() -> None:
    for read in (from_json(to_json(METADATA)), from_parameters(to_parameters(METADATA))):
        assert read is not None
        assert (read.lora, read.lora_weight, read.model) == ("cut", -0.5, "large")
        wish = wish_of_metadata(read, models=["large"])
        assert (wish.model, wish.style, wish.size) == ("large", "cut", "wide")
        assert wish_of_metadata(read).model is None


@pytest.mark.parametrize(
    "changes",
    [{"lora_weight": float("nan")}, {"lora_weight": 1e9}, {"lora_weight": None}, {"lora": ""}],
)
def test_a_wild_lora_is_passed_over_and_the_rest_believed(changes: dict[str, object]) -> None:
    wild = to_json(METADATA).replace('"lora":"cut"', f'"lora":"{changes.get("lora", "cut")}"')
    if "lora_weight" in changes:
        weight = {None: "null"}.get(changes["lora_weight"], changes["lora_weight"])  # type: ignore[call-overload]
        wild = wild.replace('"lora_weight":-0.5', f'"lora_weight":{weight}'.replace("nan", "NaN"))
    read = from_json(wild)
    assert read == replace(METADATA, lora=None, lora_weight=None)
