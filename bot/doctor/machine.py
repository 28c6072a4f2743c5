"""Python, packages, torch, device and memory."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]  # it ships no stubs
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from bot.doctor.check import Check, fail, ok, warn
from bot.doctor.model import Weights
from bot.models.catalog_fetch import human_bytes
from bot.models.device import Device, DeviceFacts

OLDEST_PYTHON: Final = (3, 11)
ROOM: Final = 1.3
"""Device memory wanted per byte of weights; the rest is for latents, the decoder and the batch."""
_WANTED: Final = re.compile(r"auto|cpu|mps|cuda(?::(?P<numbers>\d+(?:,\d+)*))?")


def check_python() -> Check:
    """Check the interpreter's version."""
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST_PYTHON:
        return fail("Python", detail, "turbocord needs Python 3.11 or newer.")
    return ok("Python", detail)


def check_packages(constraints: Path | None = None) -> list[Check]:
    """Check what is installed against what we require and, where there is one, `constraints`."""
    problems = list(_unmet())
    if problems:
        return [
            fail("Packages", "; ".join(problems), "Install again: pip install -c constraints.txt .")
        ]
    path = constraints or next(filter(Path.is_file, _constraint_files()), None)
    if path is None:
        return [ok("Packages", "every requirement is met; no constraints.txt to compare with")]
    pinned = list(_pins(path))
    differing = [
        f"{name} is {found}, tested with {version}"
        for name, version in pinned
        if (found := _installed(name)) is not None and Version(found).public != version
    ]
    if differing:
        return [
            warn(
                "Packages",
                "; ".join(differing),
                "These versions were not tested together: pip install -c constraints.txt .",
            )
        ]
    return [ok("Packages", f"every requirement is met, versions as in {path.name}")]


def check_device(wanted: str, facts: DeviceFacts, weights: Weights) -> list[Check]:
    """Check torch, the device that `TURBOCORD_DEVICE` asks for, and room for the weights."""
    if facts.fault:
        return [
            fail("torch", facts.fault, "Install it again: pip install -c constraints.txt torch")
        ]
    build = f"for CUDA {facts.build}" if facts.build else "CPU build"
    torch = ok("torch", f"{facts.torch}, {build}")
    match = _WANTED.fullmatch(wanted)
    if match is None:
        advice = "Set TURBOCORD_DEVICE to auto, cpu, mps, cuda or, say, cuda:0,1."
        return [torch, fail("Device", f"TURBOCORD_DEVICE is {wanted!r}", advice)]
    kind = facts.kind if wanted == "auto" else wanted.split(":")[0]
    if kind == "cpu":
        return [torch, _cpu(wanted, facts, weights), check_memory(weights)]
    if kind != facts.kind:
        return [torch, fail("Device", f"{wanted} is wanted, torch sees none", _no_device(facts))]
    numbers = match["numbers"]
    names = {f"{kind}:{number}" for number in numbers.split(",")} if numbers else set()
    chosen = [device for device in facts.devices if not names or device.name in names]
    if absent := names - {device.name for device in facts.devices}:
        advice = f"torch sees {', '.join(device.name for device in facts.devices)}."
        return [torch, fail("Device", f"there is no {', '.join(sorted(absent))}", advice)]
    return [torch, *(_accelerator(device, weights) for device in chosen), check_memory(weights)]


def check_memory(weights: Weights) -> Check:
    """Check the machine's memory: weights pass through it on their way to any device."""
    memory = psutil.virtual_memory()
    detail = f"{human_bytes(memory.available)} of {human_bytes(memory.total)} available"
    needed = (weights.full if weights.on_cpu else weights.on_disk) + weights.waiting
    if memory.available < needed:
        return warn(
            "Memory",
            f"{detail}, the weights are {human_bytes(needed)}",
            "Stop other programs, or loading may be killed.",
        )
    return ok("Memory", detail)


def _accelerator(device: Device, weights: Weights) -> Check:
    detail = f"{device.name} {device.title}"
    if device.capability:
        detail += f", compute capability {device.capability}"
    detail += f", {human_bytes(device.free_bytes)} of {human_bytes(device.total_bytes)} free"
    if not device.total_bytes:
        return ok("Device", detail)
    if device.total_bytes < weights.half:
        advice = "Choose a smaller model or a larger device."
        needs = f"{detail}; the weights alone are {human_bytes(weights.half)}"
        return fail("Device", needs, advice)
    if device.free_bytes < weights.half * ROOM:
        advice = "Stop what else uses it (nvidia-smi shows that), unless it is turbocord itself."
        return warn("Device", f"{detail}; the weights are {human_bytes(weights.half)}", advice)
    return ok("Device", detail)


def _cpu(wanted: str, facts: DeviceFacts, weights: Weights) -> Check:
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    detail = f"CPU, {cores} cores"
    if wanted == "auto" and _has_nvidia():
        return warn("Device", f"{detail}, though there is an NVIDIA GPU", _no_device(facts))
    if weights.half > 1e9:
        return warn("Device", detail, "A model of this size wants a GPU; a CPU takes far longer.")
    return ok("Device", detail)


def _no_device(facts: DeviceFacts) -> str:
    if not facts.build:
        return (
            "This torch was built for the CPU alone: install torch's CUDA build, the default on "
            "Linux."
        )
    major = facts.build.partition(".")[0]
    return (
        f"Check that nvidia-smi works here and shows CUDA {major} or newer: an older driver wants "
        "a torch for its CUDA. In a container, check that it was given the GPU."
    )


def _has_nvidia() -> bool:
    return Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None


def _unmet() -> Iterator[str]:
    """Yield, in words, every requirement of ours that is not met."""
    try:
        listed = metadata.requires("turbocord") or []
    except metadata.PackageNotFoundError:
        return
    for line in listed:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = _installed(requirement.name)
        if found is None:
            yield f"{requirement.name} is not installed"
        elif not requirement.specifier.contains(found, prereleases=True):
            yield f"{requirement.name} is {found}, needed is {requirement.specifier}"


def _constraint_files() -> Iterator[Path]:
    """Yield where it may lie: beside the source, or in the environment as the container has it."""
    yield Path(__file__).parents[2] / "constraints.txt"
    yield Path(sys.prefix) / "constraints.txt"


def _pins(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            requirement = Requirement(line.partition("#")[0].strip())
        except InvalidRequirement:
            continue
        for specifier in requirement.specifier:
            if specifier.operator == "==":
                yield requirement.name, specifier.version


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
