from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bot.models.catalog import ModelError
from bot.models.catalog_hubs import HubFile, list_files
from bot.models.catalog_transfer import TRIES, part_of, transfer
from tests.models.hub.conftest import TURBO, UNET, UNET_SIZE
from tests.models.hub.server import Hub


@pytest.fixture
def file(hub: Hub) -> HubFile:
    """The largest file, as the hub lists it."""
    listing = list_files("huggingface", TURBO, "main", endpoint=hub.url)
    return next(one for one in listing.files if one.path == UNET)


def ranges(hub: Hub) -> list[str | None]:
    """Return the ranges asked of the CDN, in order."""
    return [one.range for one in hub.fetched(UNET) if one.path.startswith("/cdn/")]


def test_a_broken_download_goes_on_where_it_stopped(
    hub: Hub, file: HubFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub.breaks[UNET] = [1_000_000, 500_000]
    target = tmp_path / "unet.safetensors"
    seen: list[int] = []

    transfer(file, target, received=seen.append, pause_s=0)

    assert target.read_bytes() == hub.repos[TURBO][UNET]
    first, second, third = ranges(hub)
    assert first is None
    assert second is not None
    assert third is not None
    assert 0 < start(second) <= 1_000_000
    assert start(second) < start(third) <= 1_500_000
    assert seen == sorted(seen)
    assert seen[-1] == file.size
    assert "interrupted" in caplog.text


def test_a_later_run_resumes_what_an_earlier_one_left(
    hub: Hub, file: HubFile, tmp_path: Path
) -> None:
    target = tmp_path / "unet.safetensors"
    part_of(file, target).write_bytes(hub.repos[TURBO][UNET][:2_000_000])

    transfer(file, target, pause_s=0)

    assert ranges(hub) == ["bytes=2000000-"]
    assert target.read_bytes() == hub.repos[TURBO][UNET]
    assert list(tmp_path.iterdir()) == [target]


def test_a_whole_part_needs_no_request(hub: Hub, file: HubFile, tmp_path: Path) -> None:
    target = tmp_path / "unet.safetensors"
    part_of(file, target).write_bytes(hub.repos[TURBO][UNET])

    transfer(file, target)

    assert ranges(hub) == []
    assert target.is_file()


def test_a_server_without_ranges_starts_over(hub: Hub, file: HubFile, tmp_path: Path) -> None:
    hub.ranges = False
    hub.breaks[UNET] = [1_000_000]
    target = tmp_path / "unet.safetensors"

    transfer(file, target, pause_s=0)

    assert target.read_bytes() == hub.repos[TURBO][UNET]


def test_a_wrong_hash_deletes_the_bytes_and_says_so(
    hub: Hub, file: HubFile, tmp_path: Path
) -> None:
    hub.served_instead[UNET] = bytes(file.size)

    with pytest.raises(ModelError, match=r"does not have the hash .* was deleted; run the same"):
        transfer(file, tmp_path / "unet.safetensors", pause_s=0)

    assert not list(tmp_path.iterdir())


def test_a_small_files_git_hash_is_checked_too(hub: Hub, tmp_path: Path) -> None:
    listing = list_files("huggingface", TURBO, "main", endpoint=hub.url)
    small = next(one for one in listing.files if one.path == "vae/config.json")
    assert small.sha256 is None
    hub.served_instead[small.path] = b"x" * small.size

    with pytest.raises(ModelError, match="does not have the hash"):
        transfer(small, tmp_path / "config.json", pause_s=0)


def test_more_than_was_listed_is_not_kept(hub: Hub, file: HubFile, tmp_path: Path) -> None:
    hub.served_instead[UNET] = hub.repos[TURBO][UNET] + bytes(5_000_000)

    with pytest.raises(ModelError, match="does not have the hash"):
        transfer(file, tmp_path / "unet.safetensors", pause_s=0)

    assert not list(tmp_path.iterdir())


def test_a_line_that_brings_nothing_is_given_up_and_the_part_kept(
    hub: Hub, file: HubFile, tmp_path: Path
) -> None:
    hub.breaks[UNET] = [1_000_000] + [0] * 20
    target = tmp_path / "unet.safetensors"

    with pytest.raises(ModelError, match="what has arrived is kept, so run the same command again"):
        transfer(file, target, pause_s=0)

    assert len(ranges(hub)) == TRIES + 1
    assert 0 < part_of(file, target).stat().st_size <= 1_000_000
    hub.breaks.clear()
    transfer(file, target)
    assert target.stat().st_size == file.size


def test_a_busy_hub_is_asked_again(hub: Hub, file: HubFile, tmp_path: Path) -> None:
    hub.statuses[UNET] = [503, 429]

    transfer(file, tmp_path / "unet.safetensors", pause_s=0)

    assert len(ranges(hub)) == 3


@pytest.mark.parametrize(
    ("status", "advice"), [(403, "set HF_TOKEN"), (404, "answered 404"), (416, "answered 416")]
)
def test_a_refusal_is_final(
    hub: Hub, file: HubFile, tmp_path: Path, status: int, advice: str
) -> None:
    hub.statuses[UNET] = [status]

    with pytest.raises(ModelError, match=advice):
        transfer(file, tmp_path / "unet.safetensors")

    assert len(ranges(hub)) == 1


def test_a_disk_that_fills_up_on_the_way_is_named(hub: Hub, file: HubFile, tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("this platform has no /dev/full")
    target = tmp_path / "unet.safetensors"
    part_of(file, target).symlink_to(full)

    with pytest.raises(ModelError, match="The disk became full while unet/diffusion"):
        transfer(file, target)


def test_neither_token_nor_signature_is_shown(
    hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("HF_TOKEN", "hf_accepted")
    hub.gated.add(TURBO)
    listing = list_files("huggingface", TURBO, "main", endpoint=hub.url)
    file = next(one for one in listing.files if one.path == UNET)
    hub.breaks[UNET] = [UNET_SIZE // 2]

    transfer(file, tmp_path / "unet.safetensors", pause_s=0)

    assert "hf_accepted" not in repr(file)
    assert "hf_accepted" not in caplog.text
    assert "Signature" not in caplog.text
    asked_hub = [one for one in hub.fetched(UNET) if "/resolve/" in one.path]
    asked_cdn = [one for one in hub.fetched(UNET) if one.path.startswith("/cdn/")]
    assert {one.authorization for one in asked_hub} == {"Bearer hf_accepted"}
    assert {one.authorization for one in asked_cdn} == {None}


def start(header: str) -> int:
    return int(header.removeprefix("bytes=").removesuffix("-"))
