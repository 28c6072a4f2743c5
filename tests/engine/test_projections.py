"""Projections joined to one matrix: the same output, no more memory, LoRAs in both."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from bot.engine.pipeline import TurboPipeline
from bot.engine.projections import join_projections, part_projections
from bot.models.loader import load_model
from bot.request import Draw
from tests.engine.conftest import run_alone
from tests.engine.loras import save_peft

DRAW = Draw("a", 1, 64, 64)


def test_joined_projections_draw_the_same_in_the_same_memory(tiny_folder: Path) -> None:
    model = load_model(tiny_folder, device=torch.device("cpu"))
    pipeline = TurboPipeline(model)
    wanted = run_alone(pipeline, DRAW)[0]
    before = model.nbytes
    assert before == sum(
        weight.nbytes
        for part in (model.unet, model.vae, model.pipeline.text_encoder)
        for weight in part.parameters()
    ) + sum(weight.nbytes for weight in model.pipeline.text_encoder_2.parameters())
    join_projections(model.unet)
    joint = [name for name, _ in model.unet.named_parameters() if "to_qkv" in name]
    assert joint
    assert model.nbytes == before
    assert torch.allclose(run_alone(pipeline, DRAW)[0], wanted, atol=1e-5)
    assert torch.allclose(
        run_alone(TurboPipeline(model.in_full_precision()), DRAW)[0], wanted, atol=1e-5
    )
    part_projections(model.unet)
    assert not [name for name, _ in model.unet.named_parameters() if "to_qkv" in name]
    assert torch.allclose(run_alone(pipeline, DRAW)[0], wanted, atol=1e-5)
    # Each part takes along its own rows alone.
    moved = copy.deepcopy(model.unet).half()
    assert sum(weight.untyped_storage().nbytes() for weight in moved.parameters()) == sum(
        weight.nbytes for weight in moved.parameters()
    )


def test_a_lora_goes_into_joined_projections_and_out(tiny_folder: Path, tmp_path: Path) -> None:
    plain = load_model(tiny_folder, device=torch.device("cpu"))
    joined = load_model(tiny_folder, device=torch.device("cpu"))
    join_projections(joined.unet)
    lora = save_peft(plain.pipeline, tmp_path / "look.safetensors")
    drawn = []
    for wanted in (None, lora, None):
        for model in (plain, joined):
            model.merger.merge(wanted)
        mine = run_alone(TurboPipeline(joined), DRAW)[0]
        assert torch.allclose(mine, run_alone(TurboPipeline(plain), DRAW)[0], atol=1e-5)
        drawn.append(mine)
    assert not torch.allclose(drawn[0], drawn[1], atol=1e-3)
