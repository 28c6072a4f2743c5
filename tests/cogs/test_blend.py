"""/blend over the wire."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from tests.e2e import Town, words
from tests.pictures import png, sideways_photo

TWO = {"image1": ("a.png", png()), "image2": ("b.png", png(colour=(200, 0, 0)))}


async def test_pictures_blend_without_a_prompt(place: Town) -> None:
    record = await place.command("/blend seed:3", files=TWO)
    assert len(record["response"]["files"]) == 1
    assert "strength 0.6" in words(record["response"])


async def test_five_pictures_of_any_size_are_one_size_when_they_are_mixed(place: Town) -> None:
    seen: list[Any] = []
    submit = place.app.scheduler.submit

    def noting(draws: Any, **options: Any) -> Any:
        seen.extend(draws[0].sources)
        return submit(draws, **options)

    place.app.scheduler.submit = noting  # type: ignore[method-assign]  # the test listens in
    glass = io.BytesIO()
    Image.new("RGBA", (300, 40), (200, 0, 0, 0)).save(glass, "PNG")
    files = {
        "image1": ("wide.png", png(700, 380)),
        "image2": ("photo.jpg", sideways_photo()),
        "image3": ("glass.png", glass.getvalue()),
        "image4": ("dot.png", png(1, 1, (0, 0, 200))),
        "image5": ("tall.png", png(60, 2000)),
    }
    record = await place.command("/blend prompt:soup weights:5,4,3,2,1 seed:3", files=files)
    assert "704×384" in words(record["response"])
    assert [(one.mode, one.size) for one in seen] == [("RGB", (704, 384))] * 5
    # What is see-through is not the colour that is stored under it.
    assert seen[2].getpixel((350, 190)) != (200, 0, 0)
    assert seen[3].getpixel((350, 190)) == (0, 0, 200)


async def test_weights_have_to_match_the_pictures(place: Town) -> None:
    record = await place.command("/blend weights:1,2,3", files=TWO)
    assert "2 numbers" in words(record["response"])
    record = await place.command("/blend weights:2;1 prompt:both", files=TWO)
    assert record["response"]["files"]


async def test_one_bad_picture_is_told(place: Town) -> None:
    record = await place.command("/blend", files={**TWO, "image3": ("c.txt", b"hello there")})
    assert "PNG, JPEG, WebP, GIF" in words(record["response"])
