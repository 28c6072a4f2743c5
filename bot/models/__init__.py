"""The models: where they come from and how they are loaded."""

from __future__ import annotations

import os

# Set before transformers is first imported: it warns about each optional package it lacks.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
