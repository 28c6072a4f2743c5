from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bot.models.catalog import CATALOG, ModelError
from bot.models.catalog_fetch import fetch
from bot.models.catalog_manifest import MANIFEST
from bot.models.catalog_verify import FileCheck, State, published_sha1, verify
from tests.models.hub.conftest import UNET, weights
from tests.models.hub.server import Hub


def states(checks: list[FileCheck]) -> dict[str, State]:
    return {check.path: check.state for check in checks}


@pytest.fixture
def folder(hub: Hub, tmp_path: Path) -> Path:
    """A fetched SDXL Turbo."""
    return fetch("sdxl-turbo", target=tmp_path, endpoint=hub.url)


def test_what_was_fetched_is_right(folder: Path) -> None:
    seen: list[FileCheck] = []

    checks = verify(folder, checked=seen.append)

    assert seen == checks
    assert len(checks) == 19
    assert set(states(checks).values()) == {State.OK}


def test_one_changed_byte_is_found(folder: Path) -> None:
    data = bytearray((folder / UNET).read_bytes())
    data[-1] ^= 1
    (folder / UNET).write_bytes(data)

    bad = [check for check in verify(folder) if check.bad]

    assert states(bad) == {UNET: State.DAMAGED}
    assert bad[0].detail.startswith("sha256 is ")


def test_a_lost_and_a_cut_file_are_found(folder: Path) -> None:
    (folder / "vae/config.json").unlink()
    (folder / UNET).write_bytes((folder / UNET).read_bytes()[:-100])

    bad = [check for check in verify(folder) if check.bad]

    assert states(bad) == {"vae/config.json": State.MISSING, UNET: State.DAMAGED}
    assert "its header says" in bad[0].detail


def test_a_folder_of_other_origin_is_checked_as_far_as_possible(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    (folder / "unet/extra.bin").write_bytes(b"\x80\x04pickle")
    (folder / "text_encoder/model.fp16.safetensors").write_text("<html>not found</html>")
    (folder / "tokenizer_2/merges.txt").unlink()

    found = states(verify(folder))

    assert found[UNET] is State.UNKNOWN
    assert found["unet/extra.bin"] is State.PICKLE
    assert found["text_encoder/model.fp16.safetensors"] is State.DAMAGED
    assert MANIFEST not in found


def test_parts_that_the_index_names_must_be_there(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    for file in (folder / "tokenizer").iterdir():
        file.unlink()
    (folder / UNET).unlink()

    bad = [check for check in verify(folder) if check.bad]

    assert states(bad) == {"tokenizer/": State.MISSING, "unet/*.safetensors": State.MISSING}


def test_the_published_sha1_is_that_of_the_article() -> None:
    assert published_sha1() == {
        "sd_xl_turbo_1.0.safetensors": "b60babf652bedb03098c03b889293de84a8294f2",
        "sd_xl_turbo_1.0_fp16.safetensors": "285e9cfa0c674009912559242027b3bc2dceb3f2",
    }


def test_a_published_sha1_decides_without_a_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    file = folder / "sd_xl_turbo_1.0_fp16.safetensors"
    file.write_bytes(weights(7, 1000))

    (check,) = verify(file)
    assert check.state is State.DAMAGED
    assert check.detail.endswith("expected 285e9cfa0c67…")

    published, own = published_sha1()[file.name], tmp_path / "own.toml"
    found = hashlib.sha1(file.read_bytes()).hexdigest()
    own.write_text(CATALOG.read_text(encoding="utf-8").replace(published, found))
    (check,) = verify(file, extra=own)
    assert check.state is State.OK
    (check,) = verify(folder, extra=own)
    assert check.state is State.OK


def test_nothing_to_verify_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is nothing at"):
        verify(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="is empty"):
        verify(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2}', "[]", '{"format": 1, "files": []}'])
def test_a_damaged_manifest_is_named(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text)

    with pytest.raises(ModelError, match=r"turbocord\.json cannot be read .* delete it"):
        verify(folder)


def test_a_manifest_cannot_point_outside(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["../../escaped.json"] = {"size": 1, "sha256": "0" * 64}
    (folder / MANIFEST).write_text(json.dumps(manifest))

    bad = [check for check in verify(folder) if check.bad]

    assert states(bad) == {"../../escaped.json": State.MISSING}
