"""Two steps of each training loop at tiny sizes, and going on from a checkpoint."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from bot.models.starter import WEIGHTS
from bot.models.starter.autoencoder import build_autoencoder
from bot.models.starter.decoder import DecoderTrainer, DrawnCrops, RenderedCrops
from bot.models.starter.export import export, unpack
from bot.models.starter.grammar import SCOPES
from bot.models.starter.layout import layout_numbers
from bot.models.starter.lessons import KEEP, LAST, MIDDLE, LessonMaker, Plan
from bot.models.starter.muon import orthogonal
from bot.models.starter.render import render
from bot.models.starter.stream import LessonStream
from bot.models.starter.text import ATTRIBUTES
from bot.models.starter.train import run_mean
from bot.models.starter.training import Pace, UnetTrainer, train
from bot.models.starter.unet import (
    SCALE,
    ancestral_step,
    build_noise_scheduler,
    build_unet,
    predict_x0,
    sigmas,
)
from bot.request import effective_steps

PLAN = Plan(SCOPES["full"], spread=0.5, draw=0.5, shapes=((16, 16), (24, 16)))
PACE = Pace(steps=2)


def trainer() -> UnetTrainer:
    unet = build_unet(widths=(8, 16), sample_size=16, embedding=32)
    return UnetTrainer(unet, rate=0.02, device=torch.device("cpu"))


def stream(plan: Plan = PLAN, *, batch: int = 4, workers: int = 0) -> LessonStream:
    return LessonStream(plan, batch=batch, seed=0, workers=workers)


def same(a: Any, b: Any) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_a_stage_trains_saves_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "unet.pt"
    first = trainer()
    before = {name: value.clone() for name, value in first.unet.state_dict().items()}
    train(first, stream(), PACE, path)
    assert (first.steps, first.seen) == (2, 8)
    changed = [not torch.equal(before[n], v) for n, v in first.unet.state_dict().items()]
    assert sum(changed) > 0.8 * len(changed)

    second = trainer()
    second.load(path)
    assert (second.steps, second.seen) == (2, 8)
    assert same(first.unet, second.unet)
    assert same(first.averaged, second.averaged)
    train(second, stream(), PACE, path)
    assert second.steps == 4
    assert not same(first.unet, second.unet)


def test_two_checkpoints_are_averaged_and_gone_on_from(tmp_path: Path) -> None:
    for number in range(2):
        own = trainer()
        for weight in (*own.unet.parameters(), *own.averaged.parameters()):
            weight.data.fill_(number)
        (tmp_path / str(number)).mkdir()
        own.save(tmp_path / str(number) / "unet.pt")
    run_mean(Namespace(folder=tmp_path / "0", other=tmp_path / "1" / "unet.pt", share=0.25))
    mean = trainer()
    mean.load(tmp_path / "0" / "unet.pt")
    for weight in (*mean.unet.parameters(), *mean.averaged.parameters()):
        assert torch.equal(weight, torch.full_like(weight, 0.25))
    train(mean, stream(), PACE, tmp_path / "0" / "unet.pt")


def test_the_mean_of_two_decoders_lies_between_them(tmp_path: Path) -> None:
    for value in (0.0, 1.0):
        own = tmp_path / str(int(value))
        own.mkdir()
        torch.save({"vae": {"weight": torch.full((3,), value)}}, own / "vae.pt")
    run_mean(Namespace(folder=tmp_path / "0", other=tmp_path / "1" / "vae.pt", share=0.5))
    found = torch.load(tmp_path / "0" / "vae.pt", weights_only=True)
    assert torch.equal(found["vae"]["weight"], torch.full((3,), 0.5))


def test_training_lowers_the_error() -> None:
    own = trainer()
    lessons = stream(Plan(SCOPES["single"], draw=1.0, shapes=((16, 16),)), batch=8).lessons()
    errors = [float(own.step(next(lessons), 0.02).mean()) for _ in range(80)]
    assert sum(errors[-10:]) < 0.85 * sum(errors[:10])


def test_what_the_unet_drew_is_retouched_from_a_later_step(monkeypatch: Any) -> None:
    own = trainer()
    plan = Plan(SCOPES["full"], spread=0.5, draw=0.4, retouch=0.6, shapes=((16, 16),))
    lessons = LessonMaker(plan, seed=0).batch(8, (16, 16))
    later = (lessons.later < LAST).any(dim=1)
    assert 0 < later.sum() < 8
    assert (lessons.timesteps == LAST).all()
    ends = lessons.later.amin(dim=1)
    # What is asked for is the picture that the noise of the first step stands for.
    seen: list[Any] = []
    monkeypatch.setattr(own, "stepper", lambda inputs, _: seen.append(inputs) or torch.zeros(8))

    steps: list[int] = []

    def draws_what_is_wanted(
        noisy: torch.Tensor, timesteps: torch.Tensor, **_: Any
    ) -> list[torch.Tensor]:
        rows = (lessons.later < LAST)[:, len(steps)]
        sigma = sigmas()[timesteps.long()].view(-1, 1, 1, 1)
        before = torch.cat((lessons.timesteps[:, None], lessons.later), dim=1)[rows, len(steps)]
        assert torch.equal(timesteps, before)
        steps.append(len(noisy))
        return [(noisy - lessons.wanted[rows] * (sigma.square() + 1).sqrt()) / sigma]

    monkeypatch.setattr(own.averaged, "forward", draws_what_is_wanted)
    own.step(lessons, 0.02)
    (inputs,) = seen
    assert steps == [int(count) for count in (lessons.later < LAST).sum(dim=0) if count]
    assert len(steps) > 1
    assert torch.equal(inputs.timesteps[later], ends[later].float())
    assert torch.equal(inputs.sigma.flatten()[later], sigmas()[ends[later]])
    assert torch.equal(inputs.noisy[~later], lessons.noisy[~later])
    noise = inputs.noisy[later] * (inputs.sigma[later].square() + 1).sqrt() - lessons.wanted[later]
    spread = (noise / inputs.sigma[later]).std(dim=(1, 2, 3))
    assert ((spread - 1).abs() < 0.15).all()


def test_remixes_are_retouched_where_drawings_are() -> None:
    def laters(retouch: float, **shares: float) -> set[int]:
        plan = Plan(SCOPES["full"], draw=0.0, retouch=retouch, middle=1.0, **shares)
        lessons = LessonMaker(plan, seed=0).batch(24, (16, 16))
        return set(lessons.later[lessons.timesteps == 499][:, 0].tolist())

    assert laters(0.05, remix=1.0) == {249, LAST}
    assert laters(0.05, remix=0.0, photo=1.0) == {249, LAST}
    assert laters(0.0, remix=1.0) == {LAST}


def test_workers_make_lessons_of_their_own_and_hear_how_wide_layouts_are() -> None:
    alone, own = stream(), stream(workers=2)
    own.spread = alone.spread = 0.0
    made = own.lessons()
    first, second, mine = next(made), next(made), next(alone.lessons())
    # The first worker makes what the seed makes; the second something else.
    assert torch.equal(first.noisy, mine.noisy)
    assert first.captions == mine.captions != second.captions


def test_layouts_widen_over_the_ramp() -> None:
    pace = Pace(steps=100, ramp=0.4)
    assert [pace.widened(step) for step in (0, 20, 40, 99)] == [0, 0.5, 1, 1]
    assert Pace(steps=100).widened(0) == 1


def test_lessons_below_keep_give_the_source_back() -> None:
    maker = LessonMaker(Plan(SCOPES["full"], draw=0.0, remix=0.5, photo=0.5), seed=1)
    lessons = maker.batch(32, (16, 16))
    kept = lessons.timesteps < KEEP
    assert 0 < int(kept.sum()) < 32
    # What the UNet sees, less the noise its σ stands for, is the wanted picture on average.
    spread = (lessons.sigma.square() + 1).sqrt()
    rest = (lessons.noisy * spread - lessons.wanted) / lessons.sigma
    assert abs(float(rest[kept].std()) - 1) < 0.05


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_half_a_strength_changes_the_source_and_three_tenths_do_not(steps: int) -> None:
    def first(steps: int, strength: float) -> int:
        steps = effective_steps(steps, strength)
        scheduler = build_noise_scheduler()
        scheduler.set_timesteps(steps)
        return int(scheduler.timesteps[-int(steps * strength)])

    assert first(steps, 0.3) < KEEP <= first(steps, 0.5)
    assert first(steps, 0.5) in MIDDLE


def test_lessons_of_pure_noise_come_at_the_last_timestep() -> None:
    lessons = LessonMaker(Plan(SCOPES["full"], draw=1.0), seed=2).batch(6, (16, 24))
    assert (lessons.timesteps == LAST).all()
    assert lessons.noisy.shape == lessons.wanted.shape == (6, 3, 16, 24)
    assert lessons.wanted.abs().amax() <= SCALE


def test_prediction_and_noise_agree_with_v() -> None:
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 3, 3, 8, 8, generator=generator)
    sigma = sigmas()[[10, 400, 999]].view(-1, 1, 1, 1)
    scale = (sigma.square() + 1).sqrt()
    v = (noise - sigma * clean) / scale
    found = predict_x0((clean + sigma * noise) / scale, v, sigma)
    torch.testing.assert_close(found, clean, atol=1e-4, rtol=1e-4)


def test_orthogonal_evens_singular_values() -> None:
    matrix = torch.randn(12, 30, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrix, rounds=5))
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_a_cpu_without_bfloat16_makes_matrices_orthogonal_in_full(monkeypatch: Any) -> None:
    matrix = torch.randn(12, 30, generator=torch.Generator().manual_seed(0))
    found = []
    for native in (False, True):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=native: {"avx512_bf16": has})
        found.append(orthogonal(matrix))
        if not native:
            wanted = orthogonal(matrix.double())
    full, short = (float((own - wanted).abs().max()) for own in found)
    assert full < 1e-5 < short


def test_the_encoder_averages_exactly_and_the_decoder_learns() -> None:
    torch.manual_seed(0)
    vae = build_autoencoder()
    picture = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        posterior = vae.encode(picture).latent_dist
    torch.testing.assert_close(posterior.mean, F.avg_pool2d(picture, 8), atol=3e-3, rtol=0)
    assert posterior.std.max() < 1e-4
    encoder = {name: value.clone() for name, value in vae.encoder.state_dict().items()}
    own = DecoderTrainer(vae, RenderedCrops(SCOPES["single"], seed=0), rate=2e-3, device="cpu")
    shown = own.crops(4, 64)
    own.crops = lambda size, side: shown  # type: ignore[assignment,misc]
    errors = [own.step(4, 64, 2e-3) for _ in range(12)]
    assert errors[-1] < 0.8 * errors[0]
    assert all(torch.equal(encoder[n], v) for n, v in vae.encoder.state_dict().items())


def test_drawn_crops_stand_beside_what_their_prompt_and_noise_mean() -> None:
    """A UNet that knows the answer gives crops whose averages are its latents."""

    class Knowing(torch.nn.Module):
        def forward(self, noisy: torch.Tensor, timesteps: torch.Tensor, **_: Any) -> Any:
            sigma = sigmas()[timesteps.long()].view(-1, 1, 1, 1)
            clean = render(self.paintings, 64, 64, supersample=8) * 2 - 1
            return ((noisy - clean * SCALE * (sigma.square() + 1).sqrt()) / sigma,)

    knowing = Knowing()
    crops = DrawnCrops(knowing, SCOPES["single"], seed=3, spread=0.5, device="cpu")
    lesson = crops._lesson
    seen = set()

    def told(count: int) -> Any:
        found = lesson(count)
        knowing.paintings = found[2]
        seen.add(tuple(found[3]))
        return found

    crops._lesson = told  # type: ignore[method-assign]
    for _ in range(12):
        latents, sharp = crops(6, 128)
        assert latents.shape == (6, 3, 16, 16)
        assert sharp.shape == (6, 3, 128, 128)
        torch.testing.assert_close(latents[:3], F.avg_pool2d(sharp[:3], 8), atol=0.05, rtol=0)
    # One step of noise, several of it, and remixes that begin later.
    assert {len(own) for own in seen} >= {1, 2}
    assert {own[0] for own in seen} > {LAST}


def test_an_ancestral_step_is_the_schedulers() -> None:
    scheduler = build_noise_scheduler()
    scheduler.set_timesteps(2)
    generator = torch.Generator().manual_seed(5)
    clean, noise = torch.randn(2, 1, 3, 8, 8, generator=generator)
    sigma, below = sigmas()[999].view(1, 1, 1, 1), sigmas()[499].view(1, 1, 1, 1)
    latents = clean + sigma * noise
    noisy = scheduler.scale_model_input(latents, scheduler.timesteps[0])
    v = (noisy - clean * (sigma.square() + 1).sqrt()) / sigma
    drawing = torch.Generator().manual_seed(9)
    wanted = scheduler.step(v, scheduler.timesteps[0], latents, generator=drawing).prev_sample
    fresh = torch.randn(latents.shape, generator=torch.Generator().manual_seed(9))
    found = ancestral_step(noisy, clean, sigma, below, fresh)
    torch.testing.assert_close(
        found, scheduler.scale_model_input(wanted, scheduler.timesteps[1]), atol=1e-3, rtol=0
    )


def test_what_was_exported_can_be_taken_up_again(tmp_path: Path) -> None:
    unpack(WEIGHTS, tmp_path)
    trainer = UnetTrainer(build_unet(), rate=0.001, device=torch.device("cpu"))
    trainer.load(tmp_path / "unet.pt")
    assert trainer.steps == 0
    written = load_file(WEIGHTS / "unet" / "diffusion_pytorch_model.safetensors")
    for name, weight in trainer.averaged.state_dict().items():
        assert torch.equal(weight, written[name].float())
    export(tmp_path, tmp_path / "again")
    for part in ("unet", "vae"):
        again = load_file(tmp_path / "again" / part / "diffusion_pytorch_model.safetensors")
        before = load_file(WEIGHTS / part / "diffusion_pytorch_model.safetensors")
        assert again.keys() == before.keys()
        assert all(torch.equal(again[name], before[name]) for name in again)


def test_the_noise_moves_layouts_and_a_flat_source_does_not() -> None:
    noise = torch.randn(400, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    numbers = layout_numbers(noise)
    assert 0.4 < float(numbers.mean()) < 0.6
    assert 0.25 < float(numbers.std()) < 0.33
    moved = layout_numbers(noise + torch.tensor([0.1, -0.1, 0.05]).view(1, 3, 1, 1))
    torch.testing.assert_close(moved, numbers, atol=1e-3, rtol=0)


def test_the_untrained_unet_hears_the_layout_numbers() -> None:
    """Its middle block starts with them, so that training need not find a sum over all places."""
    unet = build_unet()
    heard: dict[str, torch.Tensor] = {}
    unet.mid_block.attentions[0].register_forward_hook(
        lambda module, given, result: heard.update(all=result[0])
    )
    noise = torch.randn(24, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        unet(
            noise,
            torch.full((24,), float(LAST)),
            encoder_hidden_states=torch.zeros(24, 1, 192),
            added_cond_kwargs={
                "text_embeds": torch.zeros(24, ATTRIBUTES),
                "time_ids": torch.zeros(24, 6),
            },
        )
    told = torch.special.ndtri(layout_numbers(noise).double()).float()
    for channel in range(2):
        found = heard["all"][:, 3 + channel].mean(dim=(1, 2))
        assert torch.corrcoef(torch.stack((found, told[:, channel])))[0, 1] > 0.9
