"""Make the starter model: `python -m bot.models.starter.train COMMAND`.

Every command reads and writes parts in one training folder and goes on from what it finds there.
In order: tokenizers, text, autoencoder, unet (in stages; mean between two of them), export, score,
sheet. To go on from a model folder: unpack.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from bot.models.starter import WEIGHTS
from bot.models.starter.autoencoder import build_autoencoder
from bot.models.starter.decoder import DecoderTrainer, DrawnCrops, RenderedCrops
from bot.models.starter.export import export, unpack
from bot.models.starter.grammar import SCOPES
from bot.models.starter.lessons import Plan
from bot.models.starter.score import (
    held_out_scenes,
    load,
    score_changes,
    score_grain,
    score_prompts,
    score_remix,
)
from bot.models.starter.sheet import prompt_sheet
from bot.models.starter.stream import LessonStream
from bot.models.starter.text import Prompts, TextTrainer, build_text_encoders
from bot.models.starter.tokens import learn_tokenizers
from bot.models.starter.training import Pace, UnetTrainer, train
from bot.models.starter.unet import LATENT_SIDE, build_unet

log = logging.getLogger(__name__)
FOLDER = Path(".training")
SHAPES = ((LATENT_SIDE, LATENT_SIDE), (72, 56), (56, 72))
"""Latent sizes trained on: the usual one first."""


def run_tokenizers(options: argparse.Namespace) -> None:
    """Learn the byte-pair vocabulary."""
    learn_tokenizers(options.folder)


def run_text(options: argparse.Namespace) -> None:
    """Teach both text encoders to read attributes off prompts."""
    scope = SCOPES[options.scope]
    trainer = TextTrainer(options.folder, scope, seed=options.seed, device=options.device)
    path = options.folder / "text.pt"
    if options.resume and path.exists():
        trainer.encoders.load_state_dict(_read(path)["encoders"])
    for step in range(options.steps):
        metrics = trainer.step(options.batch, options.rate * _cosine(step, options.steps))
        if step % 100 == 99:
            log.info("step %d loss %.4f right %.3f", step + 1, metrics["loss"], metrics["right"])
    _write({"encoders": trainer.encoders.state_dict()}, path)


def run_autoencoder(options: argparse.Namespace) -> None:
    """Teach the decoder to draw edges."""
    vae = build_autoencoder()
    path = options.folder / "vae.pt"
    if options.resume and path.exists():
        vae.load_state_dict(_read(path)["vae"])
    crops: RenderedCrops | DrawnCrops = RenderedCrops(SCOPES["full"], seed=options.seed)
    if options.drawn:
        unet = build_unet()
        unet.load_state_dict(_read(options.folder / "unet.pt")["averaged"])
        crops = DrawnCrops(
            unet,
            SCOPES["full"],
            seed=options.seed,
            spread=options.spread,
            device=options.device,
        )
    trainer = DecoderTrainer(vae, crops, rate=options.rate, device=options.device)
    for step in range(options.steps):
        rate = options.rate * _cosine(step, options.steps)
        error = trainer.step(options.batch, options.side, rate)
        if step % 50 == 49:
            log.info("step %d error %.4f", step + 1, error)
            _write({"vae": vae.state_dict()}, path)
    _write({"vae": vae.state_dict()}, path)


def run_unet(options: argparse.Namespace) -> None:
    """Train the UNet for one stage, from its checkpoint if there is one."""
    others = 1 - options.draw - options.retouch
    plan = Plan(
        SCOPES[options.scope],
        spread=options.spread,
        draw=options.draw,
        retouch=options.retouch,
        remix=options.remix * others,
        photo=options.photo * others,
        middle=options.middle,
        shapes=SHAPES if options.sizes else SHAPES[:1],
    )
    encoders, prompts = None, None
    if options.words:
        prompts = Prompts(options.folder)
        encoders = build_text_encoders(*prompts.tokenizers, seed=0)
        encoders.load_state_dict(_read(options.folder / "text.pt")["encoders"])
    trainer = UnetTrainer(
        build_unet(),
        encoders=encoders,
        prompts=prompts,
        rate=options.rate,
        device=options.device,
        compiled=options.compile,
    )
    path = options.folder / "unet.pt"
    if options.resume and path.exists():
        trainer.load(path)
    pace = Pace(
        options.steps,
        rate=options.rate,
        fall=options.fall,
        ramp=options.ramp,
        coarse=options.coarse,
        average=options.average,
        report=options.report,
    )
    # Another seed after each checkpoint, or a stage would repeat the lessons of the last one.
    stream = LessonStream(
        plan,
        batch=options.batch,
        seed=options.seed + trainer.steps,
        workers=options.workers,
    )
    train(trainer, stream, pace, path, minutes=options.minutes)


def run_mean(options: argparse.Namespace) -> None:
    """Move the UNet's averaged weights, or the decoder's, some way to another checkpoint's."""
    path = options.folder / options.other.name
    state, other = _read(path), _read(options.other)
    part = "averaged" if "averaged" in state else "vae"
    for name, weight in state[part].items():
        weight.lerp_(other[part][name], options.share)
    if part == "averaged":
        # What is trained from here begins there too.
        state["unet"] = {name: weight.clone() for name, weight in state[part].items()}
    _write(state, path)


def run_unpack(options: argparse.Namespace) -> None:
    """Take a model folder's parts up as a training folder."""
    unpack(options.weights, options.folder)


def run_export(options: argparse.Namespace) -> None:
    """Write the model folder."""
    size = export(options.folder, options.weights)
    log.info("%s: %.1f MB", options.weights, size / 1e6)


def run_score(options: argparse.Namespace) -> None:
    """Print how often pictures of held-out prompts are right, remix similarity, and grain."""
    pipeline = load(options.weights, options.device)
    scenes = held_out_scenes(options.prompts, SCOPES[options.scope], seed=options.seed)
    for steps in options.num_inference_steps:
        begun = time.perf_counter()
        shares = score_prompts(
            pipeline, scenes, steps=steps, spread=options.spread, seed=options.seed
        )
        log.info("%d step(s), %.0f s in all:", steps, time.perf_counter() - begun)
        _show(shares)
    if options.remix:
        found = score_remix(
            options.weights, options.device, scenes[: options.remix], seed=options.seed
        )
        for name, decibels in found.items():
            log.info("  strength %-12s %5.1f dB to the source", name, decibels)
    if options.changes:
        remixes = score_changes(options.weights, options.device, options.changes, seed=options.seed)
        for at, shares in remixes.items():
            log.info("remixes, %s:", at)
            _show(shares)
    if options.grain:
        deviations = score_grain(options.weights, options.device, options.grain, seed=options.seed)
        for name, deviation in deviations.items():
            log.info("  %-24s %4.1f of 255 grain on plain ground", name, deviation)


def _show(shares: dict[str, tuple[float, int]]) -> None:
    for name, (share, count) in shares.items():
        log.info("  %-12s %5.1f %% of %d", name, 100 * share, count)


def run_sheet(options: argparse.Namespace) -> None:
    """Draw the prompts in a file, one a line, as a contact sheet."""
    prompts = options.prompts_file.read_text(encoding="utf-8").splitlines()
    pipeline = load(options.weights, options.device)
    steps = options.num_inference_steps[0]
    prompt_sheet(pipeline, prompts, options.out, steps=steps, seed=options.seed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(options.threads)
    options.device = torch.device(options.device)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    options.folder.mkdir(parents=True, exist_ok=True)
    options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bot.models.starter.train", description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: Any) -> argparse.ArgumentParser:
        own = commands.add_parser(name, help=run.__doc__)
        own.set_defaults(run=run)
        own.add_argument("--folder", type=Path, default=FOLDER, help="where parts are kept")
        own.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
        own.add_argument("--threads", type=int, default=os.cpu_count() or 1)
        own.add_argument("--seed", type=int, default=0)
        return own

    def schedule(own: argparse.ArgumentParser, steps: int, batch: int, rate: float) -> None:
        own.add_argument("--steps", type=int, default=steps)
        own.add_argument("--batch", type=int, default=batch)
        own.add_argument("--rate", type=float, default=rate)
        own.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")

    command("tokenizers", run_tokenizers)
    text = command("text", run_text)
    schedule(text, 1600, 64, 2e-3)
    text.add_argument("--scope", choices=SCOPES, default="full")
    autoencoder = command("autoencoder", run_autoencoder)
    schedule(autoencoder, 800, 8, 2e-3)
    autoencoder.add_argument("--side", type=int, default=128, help="crop side in pixels")
    autoencoder.add_argument(
        "--drawn", action="store_true", help="learn from what the folder's UNet draws"
    )
    autoencoder.add_argument("--spread", type=float, default=0.0, help="the UNet's, with --drawn")
    unet = command("unet", run_unet)
    schedule(unet, 2000, 16, 0.02)
    unet.add_argument("--scope", choices=SCOPES, default="single")
    unet.add_argument("--spread", type=float, default=0.0, help="how far the noise moves layouts")
    unet.add_argument("--draw", type=float, default=0.6, help="share of lessons from pure noise")
    unet.add_argument(
        "--retouch", type=float, default=0.0, help="share of lessons from what the UNet draws"
    )
    unet.add_argument(
        "--remix", type=float, default=0.45, help="share of the other lessons with a new prompt"
    )
    unet.add_argument(
        "--photo", type=float, default=0.2, help="share of those from outside the grammar"
    )
    unet.add_argument(
        "--middle", type=float, default=0.0, help="share of those where half a strength begins"
    )
    unet.add_argument(
        "--fall", type=float, default=0.3, help="share of steps over which rate falls"
    )
    unet.add_argument(
        "--ramp", type=float, default=0.0, help="share of steps over which layouts come to vary"
    )
    unet.add_argument(
        "--coarse", type=float, default=0.0, help="share of steps rendered in a hurry"
    )
    unet.add_argument(
        "--average", type=float, default=0.997, help="what the averaged weights keep of themselves"
    )
    unet.add_argument("--minutes", type=float, default=math.inf)
    unet.add_argument("--workers", type=int, default=0, help="processes that make the lessons")
    unet.add_argument("--report", type=int, default=100, help="steps between checkpoints")
    unet.add_argument("--sizes", action="store_true", help="train on portrait and landscape too")
    unet.add_argument("--words", action="store_true", help="read prompts, not attributes")
    unet.add_argument("--compile", action="store_true", help="use torch.compile")
    mean = command("mean", run_mean)
    mean.add_argument(
        "--other", type=Path, required=True, help="the other checkpoint, a unet.pt or vae.pt"
    )
    mean.add_argument("--share", type=float, default=0.5, help="how far to go, 0..1")
    command("unpack", run_unpack).add_argument("--weights", type=Path, default=WEIGHTS)
    for name, run in (("export", run_export), ("score", run_score), ("sheet", run_sheet)):
        own = command(name, run)
        own.add_argument("--weights", type=Path, default=WEIGHTS)
        own.add_argument("--num-inference-steps", type=int, nargs="+", default=[1])
        own.add_argument("--scope", choices=SCOPES, default="full")
        own.add_argument("--spread", type=float, default=0.0)
        own.add_argument("--prompts", type=int, default=500)
        own.add_argument("--remix", type=int, default=0, help="scenes to compare to their sources")
        own.add_argument("--changes", type=int, default=0, help="remixes to read")
        own.add_argument("--grain", type=int, default=0, help="pictures to read grain on")
        own.add_argument("--prompts-file", type=Path)
        own.add_argument("--out", type=Path, default=FOLDER / "sheet.png")
    return parser


def _cosine(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / 50) * (0.5 * (1 + math.cos(math.pi * step / steps)) + 0.01)


def _read(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _write(state: dict[str, Any], path: Path) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
