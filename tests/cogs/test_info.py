"""Picture info over the wire: whole, short enough, and nothing where there is nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from bot.imaging.metadata import Metadata, png_texts
from bot.imaging.png_chunks import with_chunks
from bot.imaging.png_writer import write_png
from tests.e2e import Town, words
from tests.pictures import png

TWO = {"image1": ("a.png", png()), "image2": ("b.png", png(colour=(200, 0, 0)))}


async def info(place: Town, message: dict[str, Any]) -> str:
    opened = await place.member.context_menu("Picture info", message=message["id"], user="cleo")
    return words((await place.member.wait_response(opened))["response"])


async def test_the_style_is_told_and_a_prompt_that_is_empty_is_not(place: Town) -> None:
    record = await place.command("/blend seed:3 style:pixel", files=TWO)
    text = await info(place, record["response"])
    assert "style pixel" in text
    assert "seed 3" in text
    assert "**" not in text


def crafted(seed: int) -> bytes:
    prompt = "(((a))):1.4, [[[b]]], " * 20
    metadata = Metadata(
        prompt=prompt,
        seed=seed,
        width=512,
        height=512,
        num_inference_steps=20,
        negative_prompt=prompt,
        guidance_scale=7.0,
        style="_" * 60,
        lora="_" * 60,
        lora_weight=-0.123456789,
        model="dream_shaper-8.0_fp16_vae_fix_pruned_ema_only",
    )
    return with_chunks(write_png(np.full((64, 64, 3), seed, np.uint8)), png_texts(metadata))


async def test_four_pictures_full_of_brackets_fit_one_message(place: Town) -> None:
    message = await place.member.send(
        "x",
        user="ben",
        channel="general",
        files={f"{number}.png": crafted(number) for number in range(4)},
    )
    text = await info(place, message)
    assert [f"seed {number}" in text for number in range(4)] == [True] * 4
    assert text.count("without: ") == 4
    assert 3000 < len(text) < 4000
    (file, *_) = message["files"]
    one = await place.member.send(
        "x",
        user="ben",
        channel="general",
        files={"0.png": await place.member.download(file)},
    )
    assert len(await info(place, one)) > len(text) / 4
