"""Styles with a LoRA and the option `model`, from the command to the pixels, with real weights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bot.app import connected
from bot.engine.pipeline import TurboPipeline
from bot.imaging.metadata import Metadata, read_metadata
from bot.models.loader import load_model
from bot.models.random_weights import build_random_pipeline
from bot.models.tiny import TINY, build_tiny
from bot.request import Draw, Lora, Pixels, WeightSet
from bot.sandbox import Sandbox
from tests.e2e import MESSAGE_CONTENT, Town, eventually, items, settings_for, words
from tests.engine.loras import save_peft
from tests.pictures import pixels_of

STYLES = """
[papercut]
prompt = "{prompt}, papercut"
lora = "papercut.safetensors"
lora_weight = 0.8
[lost]
lora = "lost.safetensors"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models, of 512 and of 1024 pixels, a styles file and its LoRAs."""
    home = tmp_path_factory.mktemp("home")
    build_tiny(home)
    large = build_random_pipeline(replace(TINY, unet={**TINY.unet, "sample_size": 128}), seed=3)
    large.save_pretrained(home / "large")
    save_peft(large, home / "papercut.safetensors")
    save_peft(large, home / "lost.safetensors")
    (home / "styles.toml").write_text(STYLES)
    return home


@pytest.fixture
async def studio(home: Path, tmp_path: Path) -> AsyncIterator[Town]:
    """Yield a town whose bot draws with both models; a third one's folder is empty."""
    async with (
        Sandbox(privileged_intents=MESSAGE_CONTENT) as sandbox,
        sandbox.client() as member,
    ):
        settings = settings_for(
            sandbox,
            tmp_path,
            models=f"{home / 'large'},{home / 'hollow'}",
            styles=home / "styles.toml",
            message_content=True,
            cache_dir=home,
            device="cpu",
            max_batch=2,
        )
        async with connected(settings) as app:
            yield Town(sandbox, app, member)


def reference(folder: Path, draw: Draw, lora: Lora | None = None) -> Pixels:
    pipeline = TurboPipeline(load_model(folder, device=torch.device("cpu")))
    pipeline.use(WeightSet(lora=lora))
    (sample,) = pipeline.start([draw])
    while sample.steps_left:
        pipeline.step([sample])
    (pixels,) = pipeline.decode([sample]).collect()
    assert pixels is not None
    return pixels


async def drawn(place: Town, text: str, user: str = "ada") -> dict[str, Any]:
    """Send a command and return its record once there is a picture, however long it waits."""
    interaction = await place.member.command(text, user=user, channel="general")
    return await place.member.wait_response(interaction, until="files", timeout=60)


async def rerolled(place: Town, message_id: str) -> dict[str, Any]:
    """Press Reroll and return the record once there is a picture."""
    pressed = await place.member.press(message_id, "Reroll", user="ada")
    return await place.member.wait_response(pressed, until="files", timeout=60)


async def picture(place: Town, record: dict[str, Any]) -> tuple[Pixels, Metadata]:
    assert record["response"]["files"], words(record["response"])
    data = await place.member.download(record["response"]["files"][0])
    metadata = read_metadata(data)
    assert metadata is not None
    return pixels_of(data), metadata


def assert_same(ours: Pixels, theirs: Pixels) -> None:
    assert np.abs(ours.astype(int) - theirs).max() <= 1


async def test_a_style_draws_with_its_lora_on_any_model(studio: Town, home: Path) -> None:
    lora = Lora(str(home / "papercut.safetensors"), 0.8)
    plain = await drawn(studio, "/imagine prompt:a cat, papercut seed:7 steps:1")
    styled = await drawn(studio, "/imagine prompt:a cat seed:7 style:papercut steps:1")
    again = await drawn(studio, "/imagine prompt:a cat, papercut seed:7 steps:1")
    draw = Draw("a cat, papercut", 7, num_inference_steps=1)
    pixels, metadata = await picture(studio, styled)
    assert_same(pixels, reference(build_tiny(home), draw, lora))
    assert (metadata.lora, metadata.lora_weight) == ("papercut", 0.8)
    assert (metadata.style, metadata.model) == ("papercut", "tiny")
    before, told = await picture(studio, plain)
    assert np.array_equal(before, (await picture(studio, again))[0])
    assert np.abs(before.astype(int) - pixels).mean() > 1
    assert told.lora is None

    other = await drawn(studio, "/imagine prompt:a cat seed:7 style:papercut model:large steps:1")
    pixels, metadata = await picture(studio, other)
    large = replace(draw, width=1024, height=1024)
    assert_same(pixels, reference(home / "large", large, lora))
    assert (metadata.model, metadata.lora) == ("large", "papercut")
    assert "large" in words(other["response"])
    listed = await studio.command("/styles")
    assert "LoRA papercut" in words(listed["response"])


async def test_what_goes_on_from_a_picture_keeps_its_model(studio: Town, home: Path) -> None:
    first = await drawn(studio, "/imagine prompt:a cat seed:7 model:large size:wide steps:1")
    pixels, _ = await picture(studio, first)
    assert pixels.shape == (768, 1408, 3)
    again = await rerolled(studio, first["response"]["id"])
    pixels, metadata = await picture(studio, again)
    assert metadata.model == "large"
    assert pixels.shape == (768, 1408, 3)
    draw = Draw("a cat", metadata.seed, 1408, 768, num_inference_steps=1)
    assert_same(pixels, reference(home / "large", draw))
    # The store may have lost it: the picture itself tells.
    await studio.app.store.delete_jobs_of_user(int(first["user_id"]))
    recalled = await rerolled(studio, first["response"]["id"])
    pixels, metadata = await picture(studio, recalled)
    assert (metadata.model, pixels.shape) == ("large", (768, 1408, 3))


async def test_a_server_has_its_usual_model(studio: Town) -> None:
    panel = (await studio.command("/settings"))["response"]
    message = await studio.member.message(panel["id"], user="ada")
    select = items(message["components"], 3)[1]
    assert [one["label"] for one in select["options"]] == [
        "Model: the operator’s (tiny)",
        "Model: tiny",
        "Model: large",
        "Model: hollow",
    ]
    pressed = await studio.member.select(panel["id"], select["custom_id"], ["2"], user="ada")
    await studio.member.wait_response(pressed)
    _, metadata = await picture(studio, await drawn(studio, "/imagine prompt:a steps:1", "cleo"))
    assert (metadata.model, metadata.width) == ("large", 1024)
    chosen = await drawn(studio, "/imagine prompt:a model:tiny steps:1", "cleo")
    _, metadata = await picture(studio, chosen)
    assert (metadata.model, metadata.width) == ("tiny", 512)


async def test_what_cannot_be_had_is_a_sentence_and_harms_nobody(studio: Town, home: Path) -> None:
    broken = await studio.command("/imagine prompt:a model:hollow")
    assert "The model `hollow` cannot be loaded" in words(broken["response"])
    lost = home / "lost.safetensors"
    kept = lost.read_bytes()
    lost.unlink()
    try:
        gone = await studio.command("/imagine prompt:a style:lost")
    finally:
        lost.write_bytes(kept)
    assert "`lost`, is not where it should be" in words(gone["response"])
    await picture(studio, await drawn(studio, "/imagine prompt:a steps:1"))
    status = await studio.command("/status")
    assert "tiny, large, hollow" in words(status["response"])


async def test_mentions_can_name_a_model(studio: Town) -> None:
    bot = studio.app.bot.user
    assert bot is not None
    await studio.member.send(f"<@{bot.id}> a cat --model nothing", user="ada", channel="general")

    async def answered() -> bool:
        messages = await studio.member.messages("general", user="ada")
        return any(
            "`model` cannot be nothing: tiny, large, hollow" in words(one) for one in messages
        )

    await eventually(answered)


async def test_the_option_is_there_where_there_is_a_choice(studio: Town, place: Town) -> None:
    for town, expected in ((studio, ["tiny", "large", "hollow"]), (place, None)):
        commands = (await town.member.world(user="ada"))["commands"]
        for name in ("imagine", "remix"):
            (command,) = [one for one in commands if one["name"] == name]
            options = {one["name"]: one for one in command["options"]}
            if expected is None:
                assert "model" not in options
            else:
                assert [one["value"] for one in options["model"]["choices"]] == expected
