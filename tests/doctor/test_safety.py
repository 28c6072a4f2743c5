from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from bot.doctor.check import Grade
from bot.doctor.safety import check_safety


def test_no_check_is_no_fault(tmp_path: Path) -> None:
    check = check_safety(None)
    assert check.grade is Grade.OK
    assert "off" in check.detail


def test_the_files_are_found_and_measured_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    assert "no config.json" in check_safety(tmp_path).detail
    config = {"architectures": ["StableDiffusionSafetyChecker"]}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    check = check_safety(tmp_path)
    assert check.grade is Grade.FAIL
    assert "no model.safetensors" in check.detail
    weights = tmp_path / "model.safetensors"
    save_file({"weight": np.zeros(3000, np.uint8)}, weights)
    check = check_safety(tmp_path)
    assert check.grade is Grade.OK
    assert str(weights) in check.detail
    weights.write_bytes(weights.read_bytes()[:-100])
    assert check_safety(tmp_path).grade is Grade.FAIL
