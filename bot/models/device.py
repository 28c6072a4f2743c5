"""What the machine can draw on, as plain facts for whoever must not import torch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator; memory in bytes, both 0 where the platform does not tell."""

    name: str
    title: str
    total_bytes: int
    free_bytes: int
    capability: str


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What torch reports.

    `kind` is the best device there is: "cuda", "mps" or "cpu". `build` is the CUDA version torch
    was built for, or "" for a CPU build. `fault` says why torch cannot be used at all.
    """

    torch: str = ""
    build: str = ""
    kind: str = "cpu"
    devices: tuple[Device, ...] = ()
    fault: str = ""


def device_facts() -> DeviceFacts:
    """Ask torch; never raises, because a broken torch is one of the facts."""
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError) as error:
        return DeviceFacts(fault=f"{type(error).__name__}: {error}")
    build = torch.version.cuda or torch.version.hip or ""
    try:
        if torch.cuda.is_available():
            found = tuple(_cuda(torch, index) for index in range(torch.cuda.device_count()))
            return DeviceFacts(torch.__version__, build, "cuda", found)
        if torch.backends.mps.is_available():
            total = int(torch.mps.recommended_max_memory())
            free = total - int(torch.mps.driver_allocated_memory())
            mps = Device("mps", "Apple GPU", total, free, "")
            return DeviceFacts(torch.__version__, build, "mps", (mps,))
    except RuntimeError as error:
        return DeviceFacts(torch.__version__, build, fault=f"RuntimeError: {error}")
    return DeviceFacts(torch.__version__, build)


def _cuda(torch: Any, index: int) -> Device:
    properties = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    return Device(
        name=f"cuda:{index}",
        title=properties.name,
        total_bytes=total,
        free_bytes=free,
        capability=f"{properties.major}.{properties.minor}",
    )
