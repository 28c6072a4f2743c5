from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import snapshot_download

from bot.models.catalog import ModelError, installed_path, list_installed
from bot.models.catalog_fetch import carry_out, fetch, plan_fetch
from bot.models.catalog_manifest import MANIFEST, read_manifest
from bot.models.catalog_transfer import part_of
from bot.models.catalog_verify import State, verify
from bot.models.single_file import find_configuration
from tests.models.hub.conftest import TURBO, UNET, UNET_SIZE, weights
from tests.models.hub.server import Hub


def bring(hub: Hub, target: Path, name: str = "sdxl-turbo", **options: object) -> Path:
    """Fetch without waiting between attempts."""
    plan = plan_fetch(name, target=target, endpoint=hub.url, **options)  # type: ignore[arg-type]  # passed through
    return carry_out(plan, pause_s=0)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_fetches_only_what_the_variant_needs(hub: Hub, tmp_path: Path) -> None:
    folder = bring(hub, tmp_path)

    assert folder == tmp_path / "stabilityai" / "sdxl-turbo"
    wanted = {
        path
        for path in hub.repos[TURBO]
        if path not in ("README.md", "vae_decoder/model.onnx")
        and not path.startswith("sd_xl_turbo")
        and not path.endswith(".bin")
        and (".fp16." in path or not path.endswith(".safetensors"))
    }
    assert len(wanted) == 19
    assert files_in(folder) == wanted | {MANIFEST}
    for path in wanted:
        assert (folder / path).read_bytes() == hub.repos[TURBO][path]


def test_the_stock_client_gets_the_same_bytes(hub: Hub, tmp_path: Path) -> None:
    ours = bring(hub, tmp_path / "ours")
    stock = snapshot_download(
        TURBO,
        revision=hub.commit(TURBO),
        local_dir=tmp_path / "stock",
        endpoint=hub.url,
        max_workers=1,
        cache_dir=tmp_path / "cache",
    )

    for path in files_in(ours) - {MANIFEST}:
        assert (Path(stock) / path).read_bytes() == (ours / path).read_bytes()


@pytest.mark.parametrize(
    ("variant", "file"),
    [
        ("single-fp16", "sd_xl_turbo_1.0_fp16.safetensors"),
        ("single-fp32", "sd_xl_turbo_1.0.safetensors"),
    ],
)
def test_a_single_file_variant_is_one_file_with_its_configuration_in_a_folder_of_its_name(
    hub: Hub, tmp_path: Path, variant: str, file: str
) -> None:
    plan = plan_fetch("sdxl-turbo", variant=variant, target=tmp_path, endpoint=hub.url)
    folder = carry_out(plan, pause_s=0)

    # It counts as installed once it is there, so it comes last.
    assert hub.requests[-1].path.endswith(file)
    small = {
        path
        for path in hub.repos[TURBO]
        if path.endswith((".json", ".txt")) and not path.startswith(".")
    }
    assert len(small) == 14
    configuration = {f"{file.removesuffix('.safetensors')}/{path}" for path in small}
    assert files_in(folder) == {file, "LICENSE.md", MANIFEST} | configuration
    assert installed_path("sdxl-turbo", tmp_path) == plan.model == folder / file
    assert find_configuration(folder / file) == (folder / file).with_suffix("")
    assert [model.path for model in list_installed(tmp_path)] == [folder]
    assert all(check.state is State.OK for check in verify(folder))


def test_variants_share_a_folder_and_its_manifest(hub: Hub, tmp_path: Path) -> None:
    bring(hub, tmp_path, variant="single-fp16")
    folder = bring(hub, tmp_path, variant="fp16")

    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.variants == ("single-fp16", "fp16")
    assert plan_fetch("sdxl-turbo", target=tmp_path, endpoint=hub.url).model == folder
    assert {UNET, "sd_xl_turbo_1.0_fp16.safetensors"} <= manifest.files.keys()
    assert manifest.repos == {TURBO: hub.commit(TURBO)}


def test_a_second_fetch_brings_nothing(hub: Hub, tmp_path: Path) -> None:
    folder = bring(hub, tmp_path)
    hub.requests.clear()

    assert plan_fetch("sdxl-turbo", target=tmp_path, endpoint=hub.url).missing == 0
    assert bring(hub, tmp_path) == folder
    assert not hub.fetched(UNET)


def test_a_damaged_file_is_brought_again_alone(hub: Hub, tmp_path: Path) -> None:
    folder = bring(hub, tmp_path)
    (folder / UNET).write_bytes(b"\0" * UNET_SIZE)
    hub.requests.clear()

    bring(hub, tmp_path)

    assert (folder / UNET).read_bytes() == hub.repos[TURBO][UNET]
    assert {one.path for one in hub.requests if "/resolve/" in one.path} == {
        f"/{TURBO}/resolve/{hub.commit(TURBO)}/{UNET}"
    }


def test_a_damaged_file_beside_a_whole_part_is_not_taken_for_it(hub: Hub, tmp_path: Path) -> None:
    """The process ended while it looked at what had arrived."""
    folder = bring(hub, tmp_path)
    unet = folder / UNET
    (part,) = [
        part_of(one.file, one.target)
        for one in plan_fetch("sdxl-turbo", target=tmp_path, endpoint=hub.url).downloads
        if one.target == unet
    ]
    unet.rename(part)
    unet.write_bytes(b"\0" * UNET_SIZE)

    bring(hub, tmp_path)

    assert unet.read_bytes() == hub.repos[TURBO][UNET]
    assert not part.exists()
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.files[UNET].sha256 == hashlib.sha256(unet.read_bytes()).hexdigest()


def test_progress_ends_at_every_files_size(hub: Hub, tmp_path: Path) -> None:
    last: dict[str, tuple[int, int]] = {}

    fetch(
        "sdxl-turbo",
        target=tmp_path,
        endpoint=hub.url,
        progress=lambda path, done, size: last.update({path: (done, size)}),
    )

    assert len(last) == 19
    assert all(done == size for done, size in last.values())
    assert last[UNET][0] == len(hub.repos[TURBO][UNET])


def test_the_index_comes_last(hub: Hub, tmp_path: Path) -> None:
    hub.statuses[UNET] = [404]

    with pytest.raises(ModelError, match="404"):
        bring(hub, tmp_path)

    assert installed_path("sdxl-turbo", tmp_path) is None


def test_modelscope_serves_the_same_model(hub: Hub, tmp_path: Path) -> None:
    folder = bring(hub, tmp_path, source="modelscope")

    manifest = read_manifest(folder)
    assert manifest is not None
    assert (manifest.source, manifest.repos) == (
        "modelscope",
        {"AI-ModelScope/sdxl-turbo": "master"},
    )
    assert (folder / UNET).read_bytes() == hub.repos[TURBO][UNET]
    assert all(check.state is State.OK for check in verify(folder))


def test_the_other_hub_completes_a_partial_copy(hub: Hub, tmp_path: Path) -> None:
    del hub.repos["AI-ModelScope/sdxl-turbo"]["vae/config.json"]
    with pytest.raises(ModelError, match=r"has no vae/config\.json; fetch with --from huggingface"):
        bring(hub, tmp_path, source="modelscope")

    bring(hub, tmp_path)


def test_modelscope_resumes_too(hub: Hub, tmp_path: Path) -> None:
    hub.breaks[UNET] = [1_000_000]

    folder = bring(hub, tmp_path, source="modelscope")

    assert (folder / UNET).read_bytes() == hub.repos[TURBO][UNET]
    first, second = hub.fetched(UNET)
    assert first.range is None
    assert second.range is not None


def test_parts_of_two_repositories_become_one_folder(hub: Hub, tmp_path: Path) -> None:
    base = dict(hub.repos[TURBO])
    scheduler = {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading", "beta": 1}
    base["scheduler/scheduler_config.json"] = json.dumps(scheduler).encode()
    unet = "sdxl_lightning_4step_unet.safetensors"
    hub.repos["stabilityai/stable-diffusion-xl-base-1.0"] = base
    hub.repos["ByteDance/SDXL-Lightning"] = {unet: weights(99, 5000)}
    hub.revisions |= {
        "stabilityai/stable-diffusion-xl-base-1.0": "462165984030d82259a11f4367a4eed129e94a7b",
        "ByteDance/SDXL-Lightning": "c9a24f48e1c025556787b0c58dd67a091ece2e44",
    }

    folder = bring(hub, tmp_path, name="sdxl-lightning")

    assert (folder / UNET).read_bytes() == hub.repos["ByteDance/SDXL-Lightning"][unet]
    written = json.loads((folder / "scheduler/scheduler_config.json").read_text())
    assert written == {**scheduler, "timestep_spacing": "trailing"}
    index = json.loads((folder / "model_index.json").read_text())
    assert index["scheduler"] == ["diffusers", "EulerDiscreteScheduler"]
    assert all(check.state is State.OK for check in verify(folder))
    assert [model.entry.name for model in list_installed(tmp_path) if model.entry] == [
        "sdxl-lightning"
    ]


def test_a_disk_without_room_is_refused_before_the_first_byte(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=66_000_000))

    with pytest.raises(
        ModelError, match=r"has 66 MB free, .* needs 3 MB more and 67 MB to spare; free 4 MB"
    ) as error:
        bring(hub, tmp_path)

    assert error.value.exit_code == 66
    assert not any("/resolve/" in one.path for one in hub.requests)
    assert not list(tmp_path.iterdir())


def test_what_is_here_already_needs_no_room(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(hub, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))

    bring(hub, tmp_path)


def test_a_repository_of_pickles_is_refused(hub: Hub, tmp_path: Path) -> None:
    for path in [path for path in hub.repos[TURBO] if path.endswith(".safetensors")]:
        del hub.repos[TURBO][path]

    with pytest.raises(ModelError, match=r"only the pickle text_encoder/model\.bin"):
        bring(hub, tmp_path)

    assert not list(tmp_path.iterdir())


def test_a_pattern_never_picks_a_pickle_up(hub: Hub, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(own_catalogue('["model_index.json", "unet/*"]'))

    folder = bring(hub, tmp_path, name="own", extra=catalog)

    assert (folder / UNET).is_file()
    assert not list(folder.rglob("*.bin"))


def test_the_hub_cannot_write_outside_the_folder(hub: Hub, tmp_path: Path) -> None:
    hub.repos[TURBO]["../../../escaped.json"] = b"{}"

    with pytest.raises(ModelError, match="outside the model's folder"):
        bring(hub, tmp_path)


def test_a_folder_that_cannot_be_made_is_named(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "stabilityai").write_text("a file where a folder must be")

    with pytest.raises(ModelError, match="cannot be written to"):
        bring(hub, tmp_path)


def test_unknown_names_and_variants_list_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model 'sdxl-tubro'; it has sdxl-turbo, ") as error:
        fetch("sdxl-tubro", target=tmp_path)
    assert error.value.exit_code == 64
    with pytest.raises(ModelError, match=r"no variant 'int8'; it has fp16, fp32, single-fp16"):
        fetch("sdxl-turbo", variant="int8", target=tmp_path)


def own_catalogue(files: str) -> str:
    """Return a catalogue whose model `own` is some of the hub's SDXL Turbo."""
    return f"""
[own]
title = "Own"
folder = "me/own"
licence = "mit"
licence_note = ""
steps = 1
max_steps = 1
guidance = 0.0
size = 512
noise_schedule = "EulerAncestralDiscreteScheduler"
timestep_spacing = "trailing"
default_variant = "all"
[[own.parts]]
huggingface = "{TURBO}"
revision = "main"
variants = {{ all = {files} }}
"""


def test_a_model_that_is_on_one_hub_says_so(hub: Hub, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(own_catalogue('["model_index.json"]'))

    with pytest.raises(ModelError, match="own is not on modelscope"):
        bring(hub, tmp_path, name="own", extra=catalog, source="modelscope")
