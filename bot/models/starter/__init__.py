"""The starter model: small weights of our own that draw what the prompt says."""

from __future__ import annotations

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
"""The folder, in the sdxl-turbo layout, that `from_pretrained` loads."""
