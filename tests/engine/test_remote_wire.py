"""Draws, pictures and errors are the same after their journey."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bot.engine.null import photo_like
from bot.engine.remote_link import Codec
from bot.engine.remote_wire import (
    PackedDraw,
    Reply,
    pack_error,
    pack_picture,
    pack_source,
    unpack_draw,
    unpack_error,
    unpack_picture,
)
from bot.errors import (
    Abandoned,
    BadOutput,
    BadParameter,
    EngineError,
    EngineStalled,
    OutOfMemory,
    QueueFull,
    WeightsUnavailable,
)
from bot.request import Draw


@given(
    width=st.integers(1, 40), height=st.integers(1, 40), seed=st.integers(0, 99), flat=st.booleans()
)
def test_pictures_are_the_same_after_the_journey(
    width: int, height: int, seed: int, flat: bool
) -> None:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels = np.full_like(values, seed) if flat else values
    packed = pickle.loads(pickle.dumps(pack_picture(pixels)))
    assert np.array_equal(unpack_picture(packed), pixels)


def test_a_photograph_travels_as_fewer_bytes_than_it_has() -> None:
    pixels = photo_like(256, 256)
    before = pixels.copy()
    packed = pack_picture(pixels)
    assert len(packed.data) < 0.65 * pixels.nbytes
    assert np.array_equal(pixels, before)


def test_a_damaged_picture_is_told_from_a_whole_one() -> None:
    packed = pack_picture(photo_like(64, 64))
    for broken in (
        replace(packed, data=packed.data[:-8]),
        replace(packed, data=b"\xff" + packed.data[1:]),
        replace(packed, height=packed.height + 1),
        replace(packed, height=packed.height - 1),
    ):
        with pytest.raises(EngineError, match="arrived"):
            unpack_picture(broken)


async def test_sources_travel_beside_the_draw_and_are_packed_once() -> None:
    codec = Codec()
    source = Image.fromarray(photo_like(64, 96))
    draw = Draw("a", 1, 64, 96, sources=(source, source), weights=(1.0, 2.0), strength=0.5)
    packed = await codec.pack(draw)
    assert packed.draw.sources == ()
    assert packed.sources[0] is packed.sources[1]
    assert (await codec.pack(replace(draw, seed=2))).sources[0] is packed.sources[0]
    back = unpack_draw(pickle.loads(pickle.dumps(packed)))
    assert replace(back, sources=()) == replace(draw, sources=())
    assert [np.array_equal(each, source) for each in back.sources] == [True, True]
    codec.close()


def test_a_draw_without_sources_is_left_alone() -> None:
    draw = Draw("a", 1)
    assert unpack_draw(PackedDraw(draw)) == draw
    assert pack_source(Image.new("L", (8, 8), 7)).width == 8


@pytest.mark.parametrize(
    "error",
    [
        Abandoned(),
        BadOutput(),
        BadParameter(name="size", value=3),
        EngineError(reason="x"),
        EngineStalled(seconds=3.0),
        OutOfMemory(device="cuda:0"),
        WeightsUnavailable("lora_unfit", name="look", reason="it is a DoRA"),
    ],
)
def test_errors_arrive_as_what_they_were(error: EngineError) -> None:
    back = unpack_error(pickle.loads(pickle.dumps(pack_error(error))))
    assert type(back) is type(error)
    assert (back.code, back.details) == (error.code, error.details)


@pytest.mark.parametrize("error", [KeyError("x"), QueueFull("guild", retry_after=1.0)])
def test_other_errors_arrive_as_an_engine_error_with_their_name(error: Exception) -> None:
    back = unpack_error(pack_error(error))
    assert type(back) is EngineError
    assert back.details == {"reason": type(error).__name__}


async def test_an_empty_reply_is_an_error() -> None:
    codec = Codec()
    with pytest.raises(EngineError, match="empty reply"):
        await codec.unpack(Reply(credit=1))
    codec.close()
