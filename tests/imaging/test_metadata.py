"""What made a picture: written for two kinds of reader, read back from anyone's file."""

from __future__ import annotations

import io
import json
import tracemalloc
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bot.imaging.metadata import (
    MAX_BYTES,
    Metadata,
    exif_bytes,
    from_json,
    from_parameters,
    png_texts,
    read_metadata,
    to_json,
    to_parameters,
)
from bot.imaging.metadata_fields import MAX_TEXT
from bot.imaging.png_chunks import with_chunks
from bot.request import MAX_SEED
from tests.imaging.pictures import encode, gradient, png_chunk, with_chunk

CAT = Metadata(
    prompt="a cat, sitting",
    negative_prompt="dogs",
    seed=7,
    width=512,
    height=512,
    num_inference_steps=2,
    guidance_scale=1.5,
    strength=0.7,
    style="oil: thick, dark",
    model="sdxl-turbo",
    job_id="a1b2c3",
)
PNG = encode(gradient(), "PNG")
FILES = {
    "PNG": lambda m: with_chunks(PNG, png_texts(m)),
    "WEBP": lambda m: encode(gradient(), "WEBP", exif=exif_bytes(m)),
    "JPEG": lambda m: encode(gradient(), "JPEG", exif=exif_bytes(m)),
}

prompts = st.text(max_size=200).map(
    lambda text: "".join(letter for letter in text if letter.isprintable()).strip()
)
metadatas = st.builds(
    Metadata,
    prompt=prompts,
    negative_prompt=prompts,
    seed=st.integers(0, MAX_SEED),
    width=st.integers(1, 65_535),
    height=st.integers(1, 65_535),
    num_inference_steps=st.integers(1, 1000),
    guidance_scale=st.integers(0, 100).map(float),
    strength=st.none() | st.integers(0, 100).map(lambda n: n / 100),
    style=st.none() | prompts.filter(bool).map(lambda text: text[:90].strip()),
    model=st.from_regex(r"[a-z0-9.-]{1,40}", fullmatch=True),
    job_id=st.from_regex(r"[a-f0-9]{12}", fullmatch=True),
)


def test_the_text_is_what_other_programs_write() -> None:
    assert to_parameters(CAT) == (
        "a cat, sitting\n"
        "Negative prompt: dogs\n"
        "Steps: 2, Sampler: Euler a, CFG scale: 1.5, Seed: 7, Size: 512x512, Model: sdxl-turbo, "
        'Denoising strength: 0.7, Style: "oil: thick, dark", Version: ' + CAT.version
    )
    plain = Metadata("a cat", 7, 512, 512, 2, model="x")
    assert to_parameters(plain) == (
        "a cat\nSteps: 2, Sampler: Euler a, CFG scale: 0, Seed: 7, Size: 512x512, Model: x, "
        "Version: " + CAT.version
    )


@pytest.mark.parametrize("kind", FILES)
def test_every_format_carries_both_forms(kind: str) -> None:
    data = FILES[kind](CAT)
    assert read_metadata(data) == CAT
    text = from_parameters(to_parameters(CAT))
    assert text == replace(CAT, job_id="")


def test_other_programs_find_the_text_where_they_look() -> None:
    png = Image.open(io.BytesIO(FILES["PNG"](CAT)))
    assert png.info["parameters"] == to_parameters(CAT)
    assert json.loads(png.info["turbocord"])["schema"] == 1
    webp = Image.open(io.BytesIO(FILES["WEBP"](CAT)))
    comment = webp.getexif().get_ifd(0x8769)[0x9286]
    assert comment == b"UNICODE\0" + to_parameters(CAT).encode("utf-16-be")


@settings(max_examples=50, deadline=None)
@given(metadatas)
def test_our_form_comes_back_as_it_was(metadata: Metadata) -> None:
    assert from_json(to_json(metadata)) == metadata


@settings(max_examples=40, deadline=None)
@given(metadatas, st.sampled_from(list(FILES)))
def test_files_come_back_as_they_were(metadata: Metadata, kind: str) -> None:
    assert read_metadata(FILES[kind](metadata)) == metadata


@settings(max_examples=50, deadline=None)
@given(metadatas)
def test_the_text_comes_back_but_for_the_job(metadata: Metadata) -> None:
    expected = replace(metadata, job_id="")
    # One-line prompts that begin like the other prompt have no form of their own in the text.
    if not metadata.prompt.startswith("Negative prompt:"):
        assert from_parameters(to_parameters(expected)) == expected


@pytest.mark.parametrize(
    "prompt",
    [
        "a cat\nNegative prompt: everything\nSteps: 1, Seed: 1, Size: 1x1",
        'quotes " and \\ and \nlines',
        "Steps: 9, Sampler: x, CFG scale: 9, Seed: 9, Size: 9x9",
        "猫 🐈 naïve, (weights:1.3) <lora:x:1>",
    ],
)
def test_a_prompt_that_quotes_parameters_stays_a_prompt(prompt: str) -> None:
    tricky = replace(CAT, prompt=prompt, negative_prompt=prompt)
    assert read_metadata(FILES["PNG"](tricky)) == tricky
    read = from_parameters(to_parameters(tricky))
    assert read is not None
    assert (read.seed, read.width, read.num_inference_steps) == (7, 512, 2)


def test_a_file_does_not_tell_the_hosts_folders() -> None:
    for model in ("/srv/secret/sdxl-turbo/", "C:\\secret\\sdxl-turbo.safetensors", "o/sdxl-turbo"):
        data = FILES["PNG"](replace(CAT, model=model))
        assert b"secret" not in data
        read = read_metadata(data)
        assert read is not None
        assert read.model == "sdxl-turbo"


A1111 = (
    "a castle, (detailed:1.2)\nsecond line\n"
    "Negative prompt: blurry,\nugly\n"
    "Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 2895103445, Size: 768x512, "
    'Model hash: 6ce0161689, Model: v1-5-pruned, Lora hashes: "a: 12, b: 34", Version: v1.6.0'
)


@pytest.mark.parametrize(
    "data",
    [
        with_chunk(PNG, b"tEXt", b"parameters\0" + A1111.encode("latin-1")),
        with_chunk(PNG, b"iTXt", b"parameters\0\0\0\0\0" + A1111.encode()),
        with_chunk(PNG, b"iTXt", b"parameters\0\1\0\0\0" + zlib.compress(A1111.encode())),
        with_chunk(PNG, b"zTXt", b"parameters\0\0" + zlib.compress(A1111.encode())),
        PNG[:-12] + png_chunk(b"tEXt", b"parameters\0" + A1111.encode()) + PNG[-12:],
    ],
)
def test_other_programs_pictures_are_read(data: bytes) -> None:
    assert read_metadata(data) == Metadata(
        prompt="a castle, (detailed:1.2)\nsecond line",
        negative_prompt="blurry,\nugly",
        seed=2895103445,
        width=768,
        height=512,
        num_inference_steps=20,
        guidance_scale=7.0,
        model="v1-5-pruned",
        version="v1.6.0",
    )


@pytest.mark.parametrize("order", ["utf-16-be", "utf-16-le"])
def test_comments_of_either_byte_order_are_read(order: str) -> None:
    block = Image.Exif()
    block.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + A1111.encode(order)
    read = read_metadata(encode(gradient(), "JPEG", exif=block.tobytes()))
    assert read is not None
    assert read.seed == 2895103445


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"schema": True},
        {"schema": None},
        {"seed": -1},
        {"seed": MAX_SEED + 1},
        {"seed": 10**400},
        {"seed": 1.0},
        {"seed": True},
        {"seed": "7"},
        {"width": 0},
        {"height": 65_536},
        {"num_inference_steps": 1001},
        {"guidance_scale": -0.1},
        {"guidance_scale": 10**400},
        {"guidance_scale": float("nan")},
        {"guidance_scale": float("inf")},
        {"guidance_scale": True},
        {"strength": 1.01},
        {"strength": "0.7"},
        {"style": 5},
        {"prompt": None},
        {"prompt": ["a"]},
        {"model": {}},
        {"job_id": 1},
    ],
)
def test_wrong_types_and_wild_values_are_refused(change: dict[str, Any]) -> None:
    fields = json.loads(to_json(CAT))
    assert from_json(json.dumps(fields)) == CAT
    assert from_json(json.dumps(fields | change)) is None


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "7", "{", '"x"', "[" * 60_000, '{"a":' * 20_000, "1" * 10_000, "\0"],
)
def test_other_json_is_nothing(text: str) -> None:
    assert from_json(text) is None


def test_long_and_unprintable_texts_are_cut_and_cleaned() -> None:
    fields = json.loads(to_json(CAT))
    fields["prompt"] = "\u202e\ud800a\x00\x1b[31mb\n" + "x" * 50_000
    fields["job_id"] = "../../etc/passwd"
    read = from_json(json.dumps(fields))
    assert read is not None
    assert read.prompt.startswith("a  [31mb\nx")
    assert len(read.prompt) <= MAX_TEXT
    assert read.prompt.encode()
    assert read.job_id == ""


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_text_bombs_are_passed_over(kind: bytes) -> None:
    start = b"turbocord\0\1\0\0\0" if kind == b"iTXt" else b"turbocord\0\0"
    data = with_chunk(FILES["PNG"](CAT), kind, start + zlib.compress(bytes(50_000_000), 9))
    tracemalloc.start()
    assert read_metadata(data) == CAT
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_texts_over_the_cap_and_crowds_of_them_are_passed_over() -> None:
    long = with_chunk(PNG, b"tEXt", b"parameters\0" + b"x" * (MAX_BYTES + 1))
    assert read_metadata(long) is None
    crowd = PNG[:33] + png_chunk(b"tEXt", b"a\0b") * 100 + FILES["PNG"](CAT)[33:]
    assert read_metadata(crowd) is None
    chunks = PNG[:33] + png_chunk(b"abCd", b"") * 70_000 + FILES["PNG"](CAT)[33:]
    assert read_metadata(chunks) is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Steps: 2",
        "Steps: 2, Seed: 7, Size: x",
        "Steps: two, Seed: 7, Size: 1x1",
        "Steps: 2, Seed: -7, Size: 1x1",
        "Steps: 2, Seed: ７, Size: 1x1",
        "Steps: 2, Seed: 99999999999999999999, Size: 1x1",
        "Steps: 2, Seed: 7, Size: 1x1, CFG scale: 1e999",
        "Steps: 2, Seed: 7, Size: 1x1, CFG scale: nan",
        "a:" * 20_000,
        'a:"' * 20_000,
        'a: "' + "\\" * 20_000,
        " " * 50_000 + ":",
    ],
)
def test_broken_settings_are_nothing(line: str) -> None:
    assert from_parameters(f"a cat\n{line}") is None


@settings(max_examples=50, deadline=None)
@given(st.sampled_from([FILES[kind](CAT) for kind in FILES]), st.data())
def test_broken_files_never_raise(data: bytes, draw: st.DataObject) -> None:
    broken = bytearray(data)
    spots = st.integers(0, len(data) - 1)
    for spot in draw.draw(st.lists(spots, min_size=1, max_size=5)):
        broken[spot] = draw.draw(st.integers(0, 255))
    end = draw.draw(st.integers(0, len(data)))
    for attempt in (bytes(broken), bytes(broken[:end]), bytes(broken[end:])):
        read = read_metadata(attempt)
        assert read is None or 0 <= read.seed <= MAX_SEED


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP"]),
    st.binary(max_size=100),
)
def test_rubbish_says_nothing(magic: bytes, rubbish: bytes) -> None:
    assert read_metadata(magic + rubbish) is None


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_parameters_or_nothing(text: str) -> None:
    from_parameters(text)
    from_json(text)
    from_parameters(f"{text}\nSteps: 2, Seed: 7, Size: 1x1, {text}")
