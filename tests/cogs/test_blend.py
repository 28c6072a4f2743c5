"""/blend over the wire."""

from __future__ import annotations

from tests.e2e import Town, words
from tests.pictures import png

TWO = {"image1": ("a.png", png()), "image2": ("b.png", png(colour=(200, 0, 0)))}


async def test_pictures_blend_without_a_prompt(place: Town) -> None:
    record = await place.command("/blend seed:3", files=TWO)
    assert len(record["response"]["files"]) == 1
    assert "strength 0.6" in words(record["response"])


async def test_weights_have_to_match_the_pictures(place: Town) -> None:
    record = await place.command("/blend weights:1,2,3", files=TWO)
    assert "2 numbers" in words(record["response"])
    record = await place.command("/blend weights:2;1 prompt:both", files=TWO)
    assert record["response"]["files"]


async def test_one_bad_picture_is_told(place: Town) -> None:
    record = await place.command("/blend", files={**TWO, "image3": ("c.txt", b"hello there")})
    assert "PNG, JPEG, WebP, GIF" in words(record["response"])
