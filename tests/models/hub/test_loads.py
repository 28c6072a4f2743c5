"""What was fetched is what the engine loads: real weights, the real loader."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants, snapshot_download
from safetensors.torch import save_file

from bot import exit_codes
from bot.app import started
from bot.config import load_settings
from bot.errors import StartupError
from bot.models.catalog_fetch import fetch
from bot.models.loader import load_model, resolve_model
from bot.models.random_weights import build_random_pipeline
from bot.models.single_file import BASE
from bot.models.tiny import build_tiny
from tests.models.hub.server import Hub
from tests.models.single_file import save_single_file
from tests.models.test_single_file import ARCHITECTURE

CPU = torch.device("cpu")

CATALOGUE = """
[published-tiny]
title = "Tiny"
folder = "someone/tiny"
licence = "mit"
licence_note = ""
steps = 1
max_steps = 4
guidance = 0.0
size = 64
noise_schedule = "EulerDiscreteScheduler"
timestep_spacing = "trailing"
default_variant = "fp16"
[[published-tiny.parts]]
huggingface = "someone/tiny"
revision = "main"
files = ["*.json", "*/*.json"]
variants = { fp16 = ["*/*.fp16.safetensors"] }
"""


def test_a_fetched_folder_is_loaded_with_the_catalogues_noise_schedule(
    hub: Hub, tmp_path: Path
) -> None:
    built = build_tiny(tmp_path / "built")
    hub.repos["someone/tiny"] = {
        file.relative_to(built)
        .as_posix()
        .replace(".safetensors", ".fp16.safetensors"): file.read_bytes()
        for file in built.rglob("*")
        if file.is_file()
    }
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(CATALOGUE)

    folder = fetch("published-tiny", target=tmp_path / "models", endpoint=hub.url, extra=catalog)
    model = load_model(folder, device=torch.device("cpu"), dtype=torch.float16)

    stock = load_model(built, device=torch.device("cpu"), dtype=torch.float16)
    ours, theirs = model.unet.state_dict(), stock.unet.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert type(stock.pipeline.scheduler).__name__ == "EulerAncestralDiscreteScheduler"
    assert type(model.pipeline.scheduler).__name__ == "EulerDiscreteScheduler"


WHOLE = "tiny_whole.safetensors"
SINGLE = """
[own]
title = "Own"
folder = "someone/single"
licence = "mit"
licence_note = ""
steps = 3
max_steps = 4
guidance = 0.0
size = 64
noise_schedule = "EulerDiscreteScheduler"
timestep_spacing = "trailing"
default_variant = "single"
single_files = ["tiny_whole.safetensors"]
[[own.parts]]
huggingface = "someone/single"
revision = "main"
variants = { single = ["tiny_whole.safetensors", "*.json", "*/*.json"] }
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A model in one file and, as published ones have it, its configuration in folders."""
    folder = tmp_path_factory.mktemp("single")
    pipeline = build_random_pipeline(ARCHITECTURE, seed=5)
    pipeline.save_pretrained(folder)
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    save_single_file(pipeline, folder / WHOLE)
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.fixture
def cache(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Hugging Face cache, empty; whoever asks the network asks the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    return tmp_path / "cache"


def own_catalogue(folder: Path) -> Path:
    path = folder / "own.toml"
    path.write_text(SINGLE)
    return path


async def test_a_fetched_single_file_of_an_own_catalogue_starts_by_name_and_offline(
    hub: Hub,
    repository: dict[str, bytes],
    cache: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub.repos["someone/single"] = repository
    catalog, models = own_catalogue(tmp_path), tmp_path / "models"
    fetch("own", target=models, endpoint=hub.url, extra=catalog)
    hub.requests.clear()

    settings = load_settings(
        model="own",
        models_dir=models,
        catalog=catalog,
        device="cpu",
        max_batch=1,
        cache_dir=tmp_path / "kernels",
        database_url=f"sqlite+aiosqlite:///{tmp_path}/turbocord.db",
    )
    with caplog.at_level(logging.INFO):
        async with started(settings, with_gateway=False) as app:
            assert app.studio.defaults.num_inference_steps == 3

    assert f"{WHOLE} is the catalogue's own: EulerDiscreteScheduler, trailing" in caplog.text
    assert hub.requests == []


def test_a_single_file_without_configuration_says_so_and_asks_no_hub(
    hub: Hub, repository: dict[str, bytes], cache: Path, tmp_path: Path
) -> None:
    hub.repos[BASE] = repository
    (tmp_path / WHOLE).write_bytes(repository[WHOLE])

    with pytest.raises(StartupError, match=f"hf download {BASE} --include") as error:
        load_model(resolve_model(str(tmp_path / WHOLE)), device=CPU)

    assert error.value.exit_code == exit_codes.MODEL
    assert hub.requests == []


def test_a_single_file_takes_its_configuration_from_the_cache(
    hub: Hub, repository: dict[str, bytes], cache: Path, tmp_path: Path
) -> None:
    hub.repos[BASE] = {**repository, "vae_decoder/config.json": b"of no use here"}
    wanted = [path for path in repository if path.endswith(".json")]
    snapshot_download(BASE, allow_patterns=wanted, cache_dir=cache, endpoint=hub.url, max_workers=1)
    hub.requests.clear()
    (tmp_path / WHOLE).write_bytes(repository[WHOLE])

    model = load_model(tmp_path / WHOLE, device=CPU)

    assert model.pipeline.tokenizer("a cat").input_ids
    assert hub.requests == []


def test_a_cache_with_other_files_of_the_base_model_is_no_configuration(
    hub: Hub, repository: dict[str, bytes], cache: Path, tmp_path: Path
) -> None:
    hub.repos[BASE] = repository
    # As earlier clients left it, without a list of what the repository has.
    home = cache / f"models--{BASE.replace('/', '--')}"
    (home / "snapshots/abc/unet").mkdir(parents=True)
    (home / "snapshots/abc/unet/config.json").write_bytes(repository["unet/config.json"])
    (home / "refs").mkdir()
    (home / "refs/main").write_text("abc")
    save_file({"weight": torch.zeros(1)}, tmp_path / WHOLE)

    with pytest.raises(StartupError, match="no configuration or tokenizers"):
        load_model(tmp_path / WHOLE, device=CPU)

    assert hub.requests == []
