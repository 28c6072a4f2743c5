"""The GPU's own kernels, without a GPU: compiled for one, and interpreted by Triton."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="no Triton for this system")


@pytest.mark.parametrize(
    ("name", "interpret"), [("interpreted_kernels", "1"), ("compiled_kernels", "0")]
)
def test_kernels(name: str, interpret: str) -> None:
    """What the interpreter lets pass a compiler may not, and it computes nothing without a GPU."""
    path = Path(__file__).with_name(f"{name}.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)],
        cwd=path.parents[2],
        env={**os.environ, "TRITON_INTERPRET": interpret},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
