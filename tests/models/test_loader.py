"""What loads, what is refused and with which words."""

from __future__ import annotations

import gc
import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
)
from safetensors.torch import save_file
from torch.multiprocessing.reductions import StorageWeakRef

from bot import exit_codes
from bot.engine.noise_schedule import NoiseSchedule
from bot.errors import StartupError
from bot.models import loader
from bot.models.loader import load_model, resolve_model, vae_dtype
from bot.models.tiny import build_tiny

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny(tmp_path_factory.mktemp("models"))


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "copied")


def edit(path: Path, **changes: Any) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**found, **changes}), encoding="utf-8")


def test_tells_what_the_loop_must_know(folder: Path) -> None:
    model = load_model(folder, device=CPU)
    assert (model.vae_scale_factor, model.default_size) == (8, 512)
    assert model.dtype == torch.float32
    assert model.force_zeros_for_empty_prompt
    assert model.noise_schedule.ancestral
    assert model.noise_schedule.prediction_type == "epsilon"
    assert not any(weight.requires_grad for weight in model.unet.parameters())
    assert model.unet is model.pipeline.unet


def test_discarded_weights_are_gone_even_where_the_collector_does_not_look(folder: Path) -> None:
    model = load_model(folder, device=CPU)
    stock = model.pipeline
    stored = [
        StorageWeakRef(weight.untyped_storage())
        for part in (stock.unet, stock.vae, stock.text_encoder, stock.text_encoder_2)
        for weight in (*part.parameters(), *part.buffers())
    ]
    nbytes = model.nbytes
    gc.freeze()
    try:
        model.discard()
        assert all(each.expired() for each in stored)
    finally:
        gc.unfreeze()
    assert model.nbytes == nbytes


def test_the_tiny_model_is_always_the_same(folder: Path, tmp_path: Path) -> None:
    again = build_tiny(tmp_path)
    for part in ("unet", "vae"):
        name = f"{part}/diffusion_pytorch_model.safetensors"
        assert (again / name).read_bytes() == (folder / name).read_bytes()
    assert build_tiny(tmp_path) == again


def test_building_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    build_tiny(tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_half_precision_is_loaded_from_its_variant(folder: Path, tmp_path: Path) -> None:
    stock = StableDiffusionXLPipeline.from_pretrained(folder, dtype=torch.float16)
    stock.save_pretrained(tmp_path / "half", variant="fp16")
    model = load_model(tmp_path / "half", device=CPU, dtype=torch.float16)
    assert model.dtype == torch.float16
    assert load_model(folder, device=CPU, dtype=torch.float16).dtype == torch.float16


def test_the_decoder_is_never_cast_back_and_forth(folder: Path) -> None:
    exact = load_model(folder, device=CPU, dtype=torch.float16, vae="fp32")
    assert (exact.dtype, exact.vae.dtype) == (torch.float16, torch.float32)
    # The tiny model's decoder says it overflows in half precision, as SDXL's does.
    assert load_model(folder, device=CPU, dtype=torch.float16).vae.dtype == torch.float32
    assert vae_dtype(load_model(folder, device=CPU).vae, CPU, "auto") == torch.float32


def test_names_and_paths(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_model(str(folder)) == folder
    assert resolve_model("tiny", cache=tmp_path).parent == tmp_path
    monkeypatch.setattr(loader, "STARTER", folder)
    assert resolve_model("starter") == folder
    monkeypatch.setattr(loader, "STARTER", tmp_path / "absent")
    assert resolve_model("starter", cache=tmp_path) == resolve_model("tiny", cache=tmp_path)
    with pytest.raises(StartupError, match=r"expected a folder with model_index\.json") as caught:
        resolve_model(str(tmp_path / "nowhere"))
    assert caught.value.exit_code == exit_codes.MODEL


def test_missing_weights_are_named(copied: Path) -> None:
    (copied / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(StartupError, match="cannot be loaded") as caught:
        load_model(copied, device=CPU)
    assert caught.value.exit_code == exit_codes.MODEL


def test_a_damaged_file_is_told(copied: Path) -> None:
    path = copied / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StartupError, match="cannot be loaded"):
        load_model(copied, device=CPU)


def test_another_noise_scheduler_is_refused_by_name(copied: Path) -> None:
    edit(copied / "model_index.json", scheduler=["diffusers", "DDIMScheduler"])
    with pytest.raises(StartupError, match="noise scheduler DDIMScheduler"):
        load_model(copied, device=CPU)


def test_another_pipeline_is_refused(folder: Path) -> None:
    with pytest.raises(StartupError, match="expected a StableDiffusionXLPipeline"):
        loader.adopt(object(), name="x", device="cpu")


def test_the_tiny_autoencoder_must_be_there(folder: Path) -> None:
    with pytest.raises(StartupError, match="vae_tiny"):
        load_model(folder, device=CPU, vae="tiny")


@pytest.mark.parametrize("kind", [EulerAncestralDiscreteScheduler, EulerDiscreteScheduler])
@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_plans_step_as_the_stock_schedulers_do(kind: Any, spacing: str, prediction: str) -> None:
    if prediction == "sample" and kind is EulerAncestralDiscreteScheduler:
        pytest.skip("the stock Euler-ancestral scheduler takes no model that predicts the sample")
    scheduler = kind(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing=spacing,
        prediction_type=prediction,
        steps_offset=1,
    )
    plan = NoiseSchedule(scheduler).plan(3, 0.7)
    scheduler.set_timesteps(3)
    scheduler.set_begin_index(1)
    assert torch.equal(plan.timesteps, scheduler.timesteps[1:].float())
    assert plan.initial_sigma == pytest.approx(float(scheduler.sigmas[1]))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 4, 8, 8, generator=generator) * plan.initial_sigma
    ours = x.clone()
    for index, timestep in enumerate(scheduler.timesteps[1:]):
        output = torch.randn(x.shape, generator=generator)
        scale, cx, cm, cn = plan.coefficients[index]
        torch.testing.assert_close(ours * scale, scheduler.scale_model_input(x, timestep))
        state = generator.get_state()
        noise = torch.randn(x.shape, generator=torch.Generator().set_state(state))
        ours = ours * cx + output * cm + noise * cn
        x = scheduler.step(output, timestep, x, generator=generator, return_dict=False)[0]
        generator.set_state(state)
        torch.testing.assert_close(ours, x, rtol=1e-5, atol=1e-5)


def test_other_predictions_are_refused() -> None:
    with pytest.raises(StartupError, match="prediction_type is 'sample'"):
        NoiseSchedule(EulerAncestralDiscreteScheduler(prediction_type="sample"))
    with pytest.raises(StartupError, match="DDIMScheduler"):
        NoiseSchedule(DDIMScheduler())


def test_a_single_file_without_its_configuration_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"conditioner.embedders.1.model.ln_final.weight": torch.zeros(1)}, path)
    assert resolve_model(str(path)) == path
    with pytest.raises(StartupError, match="cannot be loaded"):
        load_model(path, device=CPU)


def test_models_are_read_one_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The libraries set the process's default dtype while they read, and put it back after.
    at_once, most, read = 0, 0, loader.AutoPipelineForText2Image.from_pretrained

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            time.sleep(0.05)
            return read(*arguments, **options)
        finally:
            at_once -= 1

    monkeypatch.setattr(loader.AutoPipelineForText2Image, "from_pretrained", counted)
    halves = torch.float16
    with ThreadPoolExecutor(3) as pool:
        loads = [pool.submit(load_model, folder, device=CPU, dtype=halves) for _ in range(3)]
        assert all(each.result().unet.dtype == halves for each in loads)
    assert most == 1
    assert torch.get_default_dtype() == torch.float32
