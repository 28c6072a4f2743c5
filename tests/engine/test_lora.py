"""A merged LoRA draws as stock diffusers with PEFT does, and taken out it leaves nothing behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bot.engine.lora_file import read_lora
from bot.engine.pipeline import TurboPipeline
from bot.errors import WeightsUnavailable
from bot.models.loader import LoadedModel, load_model
from bot.request import Draw, Lora, WeightSet
from tests.engine.conftest import StockPipelines, run_alone
from tests.engine.loras import save_kohya, save_peft, save_sgm
from tests.engine.test_pipeline import assert_same_latents, assert_same_pixels

DRAW = Draw("a red circle", 7, 128, 128, guidance_scale=2.5, negative_prompt="grey")


@pytest.fixture
def model(tiny_folder: Path) -> LoadedModel:
    return load_model(tiny_folder, device=torch.device("cpu"))


@pytest.fixture
def ours(model: LoadedModel) -> TurboPipeline:
    return TurboPipeline(model)


def weights_of(model: LoadedModel) -> dict[str, torch.Tensor]:
    return {
        f"{part}.{name}": tensor.clone()
        for part in ("unet", "text_encoder", "text_encoder_2")
        for name, tensor in getattr(model.pipeline, part).state_dict().items()
    }


@pytest.mark.parametrize("save", [save_peft, save_kohya, save_sgm])
@pytest.mark.parametrize("text", [True, False], ids=["with text", "unet alone"])
@pytest.mark.parametrize("weight", [1.0, 0.4, -0.5])
def test_a_picture_equals_stock_diffusers(
    ours: TurboPipeline,
    tiny_folder: Path,
    tmp_path: Path,
    save: Callable[..., Lora],
    text: bool,
    weight: float,
) -> None:
    plain = run_alone(ours, DRAW)[1]
    lora = replace(
        save(ours.model.pipeline, tmp_path / "look.safetensors", text=text), weight=weight
    )
    stock = StockPipelines(tiny_folder)
    stock.text.load_lora_weights(lora.path, adapter_name="look")
    stock.text.set_adapters("look", weight)
    assert ours.use(WeightSet(lora=lora))
    latents, pixels = run_alone(ours, DRAW)
    assert_same_latents(latents, stock.draw(DRAW, output_type="latent"))
    assert_same_pixels(pixels, stock.draw(DRAW))
    assert np.abs(pixels.astype(int) - plain).mean() > 1


def test_what_is_taken_out_leaves_nothing_behind(ours: TurboPipeline, tmp_path: Path) -> None:
    before = weights_of(ours.model)
    addresses = {name: p.data_ptr() for name, p in ours.model.unet.named_parameters()}
    plain = run_alone(ours, DRAW)
    one = save_peft(ours.model.pipeline, tmp_path / "one.safetensors", seed=1)
    other = save_kohya(ours.model.pipeline, tmp_path / "other.safetensors", seed=2, text=False)
    alone = {}
    for lora in (one, other, replace(one, weight=0.5)):
        fresh = TurboPipeline(ours.model)
        fresh.use(WeightSet())
        fresh.use(WeightSet(lora=lora))
        alone[lora] = run_alone(fresh, DRAW)[1]
    # Straight from one to the next, the layers they share included.
    for lora in (*alone, *reversed(alone)):
        ours.use(WeightSet(lora=lora))
        assert ours.weight_set == WeightSet(lora=lora)
        assert np.array_equal(run_alone(ours, DRAW)[1], alone[lora])
    ours.use(WeightSet())
    after = weights_of(ours.model)
    assert all(torch.equal(before[name], after[name]) for name in before)
    # Graphs were captured with these addresses.
    assert addresses == {name: p.data_ptr() for name, p in ours.model.unet.named_parameters()}
    latents, pixels = run_alone(ours, DRAW)
    assert torch.equal(latents, plain[0])
    assert np.array_equal(pixels, plain[1])


def test_prompts_are_remembered_apart(ours: TurboPipeline, tmp_path: Path) -> None:
    with_text = save_peft(ours.model.pipeline, tmp_path / "text.safetensors")
    without = save_peft(ours.model.pipeline, tmp_path / "unet.safetensors", text=False)
    (plain,) = ours.encode_prompts(["a cat"])
    ours.use(WeightSet(lora=with_text))
    (changed,) = ours.encode_prompts(["a cat"])
    assert not torch.equal(plain.embeds, changed.embeds)
    assert not torch.equal(plain.pooled, changed.pooled)
    ours.use(WeightSet(lora=replace(with_text, weight=0.5)))
    (half,) = ours.encode_prompts(["a cat"])
    assert not torch.equal(half.embeds, changed.embeds)
    # Where the text encoders are as ever, so are the embeddings.
    ours.use(WeightSet(lora=without))
    assert ours.encode_prompts(["a cat"])[0] is plain


def test_the_copies_are_no_larger_than_the_model(model: LoadedModel, tmp_path: Path) -> None:
    for seed in range(3):
        model.merger.merge(save_peft(model.pipeline, tmp_path / f"{seed}.safetensors", seed=seed))
    layers = sum(weight.nbytes for weight in weights_of(model).values())
    assert 0 < model.merger.kept_bytes < layers
    model.merger.forget()
    assert model.merger.kept_bytes == 0
    assert model.merger.merged is None


def test_half_precision_is_summed_in_full(tiny_folder: Path, tmp_path: Path) -> None:
    half = load_model(tiny_folder, device=torch.device("cpu"), dtype=torch.float16)
    full = load_model(tiny_folder, device=torch.device("cpu"), dtype=torch.float16)
    lora = save_peft(half.pipeline, tmp_path / "look.safetensors")
    half.merger.merge(lora)
    adapter = read_lora(lora, half.unet.config)
    for name, factors in adapter["unet"].items():
        base = full.unet.get_submodule(name).weight
        product = factors.product(torch.device("cpu")).view(base.shape)
        expected = (base.float() + product).to(torch.float16)
        assert torch.equal(half.unet.get_submodule(name).weight, expected)


def test_ranks_and_alphas_of_a_file_of_pefts_own_are_kept(
    ours: TurboPipeline, tiny_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "look.safetensors"
    tensors = load_file(save_peft(ours.model.pipeline, path, text=False).path)
    layers = sorted({name.removeprefix("unet.").split(".lora_")[0] for name in tensors})
    config = {
        "unet.r": 4,
        "unet.lora_alpha": 8,
        "unet.alpha_pattern": {layers[0]: 2},
        "unet.target_modules": layers,
    }
    save_file(tensors, path, metadata={"lora_adapter_metadata": json.dumps(config)})
    stock = StockPipelines(tiny_folder)
    stock.text.load_lora_weights(str(path))
    ours.use(WeightSet(lora=Lora(str(path))))
    assert_same_latents(run_alone(ours, DRAW)[0], stock.draw(DRAW, output_type="latent"))


def test_nothing_of_it_needs_peft(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora = save_kohya(model.pipeline, tmp_path / "look.safetensors")
    monkeypatch.setitem(sys.modules, "peft", None)
    model.merger.merge(lora)
    assert model.merger.merged == lora


def broken(folder: Path, model: LoadedModel, how: str) -> Lora:
    path = folder / f"{how}.safetensors"
    if how == "missing":
        return Lora(str(path))
    lora = save_peft(model.pipeline, path)
    tensors = load_file(path)
    name = next(name for name in tensors if name.endswith("lora_A.weight"))
    if how == "pickle":
        torch.save(tensors, folder / "look.bin")
        return Lora(str(folder / "look.bin"))
    if how == "disguised":
        torch.save(tensors, path)
        return lora
    changes: dict[str, Any] = {
        "shape": {name: tensors[name][:, :-1].contiguous()},
        "strange": {name.replace("lora_A", "hada_w1"): tensors[name]},
        "dora": {name.replace("lora_A.weight", "dora_scale"): tensors[name]},
        "lonely": {name.replace(".lora_A", "2.lora_A"): tensors[name]},
        "elsewhere": {"transformer.x.lora_A.weight": tensors[name]},
    }
    strange = {key: tensor.clone() for key, tensor in changes.get(how, {}).items()}
    save_file({**tensors, **strange} if strange else {}, path)
    return lora


@pytest.mark.parametrize(
    "how",
    ["missing", "pickle", "disguised", "shape", "strange", "dora", "lonely", "elsewhere", "empty"],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    ours: TurboPipeline, tmp_path: Path, how: str
) -> None:
    good = save_peft(ours.model.pipeline, tmp_path / "good.safetensors", seed=9)
    ours.use(WeightSet(lora=good))
    before = weights_of(ours.model)
    lora = broken(tmp_path, ours.model, how)
    with pytest.raises(WeightsUnavailable) as caught:
        ours.use(WeightSet(lora=lora))
    assert caught.value.code == ("lora_missing" if how == "missing" else "lora_unfit")
    assert caught.value.details["name"] == lora.name
    after = weights_of(ours.model)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert ours.weight_set == WeightSet(lora=good)


def test_a_lora_of_another_architecture_is_told(model: LoadedModel, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    layer = "unet.mid_block.attentions.0.transformer_blocks.9.attn1.to_q"
    factors = {"A": torch.zeros(4, 16), "B": torch.zeros(16, 4)}
    save_file({f"{layer}.lora_{end}.weight": each for end, each in factors.items()}, path)
    with pytest.raises(WeightsUnavailable, match=r"no layer unet\.mid_block"):
        model.merger.check(Lora(str(path)))
