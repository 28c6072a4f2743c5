from __future__ import annotations

import socket

import pytest

from bot.models.catalog import ModelError, Source
from bot.models.catalog_hubs import list_files
from tests.models.hub.conftest import TURBO, TURBO_MODELSCOPE, UNET
from tests.models.hub.server import Hub


def test_huggingface_lists_sizes_and_hashes_of_one_commit(hub: Hub) -> None:
    listing = list_files("huggingface", TURBO, "main", endpoint=hub.url)

    files = {file.path: file for file in listing.files}
    assert listing.revision == hub.commit(TURBO)
    assert files.keys() == hub.repos[TURBO].keys()
    assert files[UNET].size == len(hub.repos[TURBO][UNET])
    assert len(files[UNET].sha256 or "") == 64
    assert len(files["vae/config.json"].git_sha1 or "") == 40
    assert hub.commit(TURBO) in files[UNET].url


def test_modelscope_lists_files_without_folders(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSCOPE_DOMAIN", hub.url)

    listing = list_files("modelscope", TURBO_MODELSCOPE, "ignored")

    assert {file.path for file in listing.files} == hub.repos[TURBO_MODELSCOPE].keys()
    assert all(file.sha256 for file in listing.files)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("huggingface", "no repository nobody/nothing, or it is private"),
        ("modelscope", "ModelScope has no repository nobody/nothing"),
    ],
)
def test_an_unknown_repository_is_named(hub: Hub, source: Source, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        list_files(source, "nobody/nothing", "main", endpoint=hub.url)


def test_a_gated_repository_says_what_to_accept(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated.add(TURBO)
    with pytest.raises(ModelError, match=r"licence to be accepted.* set HF_TOKEN"):
        list_files("huggingface", TURBO, "main", endpoint=hub.url)

    monkeypatch.setenv("HF_TOKEN", "hf_accepted")
    assert list_files("huggingface", TURBO, "main", endpoint=hub.url).files


def test_an_unknown_revision_is_named(hub: Hub) -> None:
    with pytest.raises(ModelError, match="has no revision 0123abc"):
        list_files("huggingface", TURBO, "0123abc", endpoint=hub.url)


@pytest.mark.parametrize("source", ["huggingface", "modelscope"])
def test_a_hub_that_is_not_there_is_named(source: Source) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(
            ModelError, match=f"hub {source} cannot be reached .* take the other hub"
        ):
            list_files(source, TURBO, "main", endpoint=f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("listing", [{}, [], {"id": TURBO, "siblings": [{"rfilename": "a"}]}])
def test_an_answer_of_another_kind_is_not_believed(hub: Hub, listing: object) -> None:
    hub.listing = listing

    with pytest.raises(ModelError, match="HF_ENDPOINT does not point at a huggingface hub"):
        list_files("huggingface", TURBO, "main", endpoint=hub.url)
