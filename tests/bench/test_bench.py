"""The bench's own judgement, and one whole run on the tiny model."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot.bench import measure, report
from bot.bench.cli import best_of, parse
from bot.bench.workload import USERS, gate_draws, latency_draw, mixed_draw, workload
from bot.models.tiny import build_tiny
from bot.request import effective_steps


def side(factor: float) -> dict[str, Any]:
    return {
        "latency_ms": {
            case: {"median": 100.0 * factor, "best": 90.0 * factor}
            for case in ("txt2img_1", "txt2img_2", "txt2img_4", "img2img_2")
        },
        "users": {
            str(users): {
                "pictures": 10,
                "per_second": 2.0 / factor,
                "p50_ms": 500 * factor,
                "p95_ms": 900 * factor,
            }
            for users in USERS
        },
        "peak_memory_bytes": 2**30 * factor,
        "first_picture_s": 10 * factor,
        "full_speed_s": 12 * factor,
        "floor": {
            "picture_ms": 4.0,
            "matmul_tflops": 700.0,
            "rows": 8,
            "measured_ms": 10.0,
            "times_floor": 2.5,
        },
    }


def test_ratios_say_how_much_better() -> None:
    found = report.ratios(side(1.0), side(0.5))
    assert found == {
        "latency_txt2img": 2.0,
        "latency_img2img": 2.0,
        "throughput_16": 2.0,
        "p95_16": 0.5,
        "peak_memory": 0.5,
        "first_picture": 0.5,
    }
    lines = report.verdicts(found, "cuda")
    assert "latency_txt2img: 2.00 (at least 4.00: MISSED)" in lines
    assert "peak_memory: 0.50 (at most 0.65: met)" in lines


def test_the_gate_speaks_in_sentences() -> None:
    assert report.gate({"a": {"max": 1.0, "mean": 0.01}}, "fp32") == []
    (sentence,) = report.gate({"ours": {"max": 9.0, "mean": 0.01}}, "fp32")
    assert sentence.startswith("ours: pictures differ by up to 9")
    assert report.gate({"ours": {"max": float("nan"), "mean": 0.0}}, "fp32")


def test_the_table_has_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    about = {
        "weights": "tiny",
        "size": 512,
        "device": "x",
        "device_type": "cpu",
        "cores": 2,
        "torch": "2",
        "date": "2026-01-01",
    }
    baseline, ours = side(1.0), side(0.5)
    results = {
        "about": about,
        "baseline": baseline,
        "ours": ours,
        "ratios": report.ratios(baseline, ours),
    }
    report.show(results)
    shown = capsys.readouterr().out
    assert "16 users" in shown
    assert "throughput_16: 2.00 (at least 1.50: met)" in shown
    assert report.markdown(results).count("\n") == 1 + 4 + 3 * len(USERS) + 3


def test_rounds_keep_the_best() -> None:
    merged = best_of([side(1.0), side(0.5), side(2.0)])
    assert merged["latency_ms"]["txt2img_1"]["median"] == 50
    assert merged["users"]["16"]["per_second"] == 4
    assert merged["peak_memory_bytes"] == 2 * 2**30
    # The first round compiles for those that follow.
    assert merged["first_picture_s"] == side(1.0)["first_picture_s"] != side(0.5)["first_picture_s"]


def test_both_sides_are_asked_for_the_same() -> None:
    assert [mixed_draw(1, 2, 64).seed] == [mixed_draw(1, 2, 64).seed]
    assert latency_draw("txt2img_2", 64, 1).prompt != latency_draw("txt2img_2", 64, 2).prompt
    for user in range(50):
        draw = mixed_draw(user, 0, 64)
        if draw.sources:
            steps = effective_steps(draw.num_inference_steps, draw.strength)
            assert steps == draw.num_inference_steps
    remix = latency_draw("img2img_2", 64, 0)
    assert int(remix.num_inference_steps * remix.strength) == 2
    assert any(draw.guidance_scale > 1 for draw in gate_draws(4, 64))
    assert set(workload(64, quick=False).users) == set(USERS)


def test_difference_is_of_values() -> None:
    left, right = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert measure.difference([left], [right]) == {"max": 255.0, "mean": 255.0}


def test_arguments() -> None:
    options = parse(["--weights", "tiny", "--quick", "--json", "x.json"])
    assert (options.weights, options.quick, options.json) == ("tiny", True, Path("x.json"))


@pytest.mark.parametrize("name", ["baseline", "ours"])
def test_measures_a_side(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "LATENCY_CASES", ("txt2img_1", "img2img_2"))
    work = measure.Workload(64, repeats=1, requests_per_user={2: 1}, gate=2)
    monkeypatch.setattr(measure, "workload", lambda size, quick: work)
    options = argparse.Namespace(
        side=name,
        folder=str(build_tiny(tmp_path)),
        device="cpu",
        size=64,
        born=time.time(),
        out=str(tmp_path),
        cache=str(tmp_path / "cache"),
        quick=True,
        settle_only=False,
    )
    asyncio.run(measure.run(options))
    found = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    assert found["users"]["2"]["pictures"] == 2
    assert found["alone_against_together"]["max"] <= 1
    assert found["first_picture_s"] > 0
    with np.load(tmp_path / f"{name}.npz") as pictures:
        assert len(pictures.files) == 2
    if name == "ours":
        assert found["floor"]["gflop"]["unet_step"] > 0
        assert found["engines"] >= 1
