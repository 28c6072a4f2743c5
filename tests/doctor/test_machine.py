from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import psutil  # type: ignore[import-untyped]  # it ships no stubs
import pytest
import torch

from bot.doctor.check import Check, Grade
from bot.doctor.machine import check_device, check_packages, check_python
from bot.doctor.model import Weights
from bot.models.device import Device, DeviceFacts, device_facts

GB = 10**9
SDXL = Weights(on_disk=7 * GB, half=7 * GB, full=14 * GB)
CUDA = DeviceFacts(
    torch="2.13.0",
    build="13.0",
    kind="cuda",
    devices=(
        Device("cuda:0", "GPU A", 24 * GB, 23 * GB, "8.9"),
        Device("cuda:1", "GPU B", 24 * GB, 8 * GB, "8.9"),
        Device("cuda:2", "GPU C", 6 * GB, 6 * GB, "7.5"),
    ),
)
CPU = DeviceFacts(torch="2.13.0+cpu")


def devices(checks: list[Check]) -> list[Check]:
    return [check for check in checks if check.name == "Device"]


def test_this_python_will_do() -> None:
    assert check_python().grade is Grade.OK


def test_an_old_python_will_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 10, 2))

    assert check_python().grade is Grade.FAIL


def test_versions_other_than_the_tested_ones_are_named(tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    aiohttp = metadata.version("aiohttp")
    constraints.write_text(
        f"# a comment\naiohttp=={aiohttp}\nrich==1.0  # old\nnot-installed==1\n-e .\n"
    )

    (check,) = check_packages(constraints)

    assert check.grade is Grade.WARN
    assert check.detail == f"rich is {metadata.version('rich')}, tested with 1.0"


def test_tested_versions_and_local_builds_are_fine(tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    public = metadata.version("torch").partition("+")[0]
    constraints.write_text(f"torch=={public}\n")

    (check,) = check_packages(constraints)

    assert (check.grade, check.detail) == (
        Grade.OK,
        "every requirement is met, versions as in constraints.txt",
    )


def test_a_requirement_that_is_not_met_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = ["rich>=1000", "surely-not-installed", "pytest>=1000; extra == 'dev'", "aiohttp"]
    monkeypatch.setattr(metadata, "requires", lambda name: listed)

    (check,) = check_packages()

    assert check.grade is Grade.FAIL
    found = metadata.version("rich")
    assert (
        check.detail == f"rich is {found}, needed is >=1000; surely-not-installed is not installed"
    )


@pytest.mark.parametrize(
    ("wanted", "facts", "grades", "words"),
    [
        ("auto", CPU, [Grade.WARN], "a CPU takes far longer"),
        ("cpu", CUDA, [Grade.WARN], "a CPU takes far longer"),
        ("cuda:0", CUDA, [Grade.OK], "cuda:0 GPU A, compute capability 8.9, 23.0 GB of 24.0 GB"),
        ("cuda:0,1", CUDA, [Grade.OK, Grade.WARN], "Stop what else uses it"),
        ("cuda", CUDA, [Grade.OK, Grade.WARN, Grade.FAIL], "the weights alone are 7.0 GB"),
        ("cuda:3", CUDA, [Grade.FAIL], "there is no cuda:3"),
        ("cuda", CPU, [Grade.FAIL], "built for the CPU alone"),
        ("cuda", DeviceFacts("2.13.0", "13.0"), [Grade.FAIL], "shows CUDA 13 or newer"),
        ("mps", CUDA, [Grade.FAIL], "mps is wanted, torch sees none"),
        ("gpu", CUDA, [Grade.FAIL], "TURBOCORD_DEVICE is 'gpu'"),
    ],
)
def test_the_wanted_device_is_compared_with_what_is_there(
    wanted: str, facts: DeviceFacts, grades: list[Grade], words: str
) -> None:
    found = devices(check_device(wanted, facts, SDXL))

    assert [check.grade for check in found] == grades
    assert words in " ".join(f"{check.detail} {check.advice}" for check in found)


def test_a_small_model_is_fine_on_a_cpu() -> None:
    (found,) = devices(check_device("cpu", CPU, Weights(half=50_000_000)))

    assert found.grade is Grade.OK


@pytest.mark.parametrize(
    ("facts", "advice"),
    [(CPU, "built for the CPU alone"), (DeviceFacts("2.13.0", "13.0"), "shows CUDA 13 or newer")],
    ids=["CPU build", "CUDA build"],
)
def test_drawing_on_the_cpu_beside_a_gpu_is_pointed_out(
    monkeypatch: pytest.MonkeyPatch, facts: DeviceFacts, advice: str
) -> None:
    monkeypatch.setattr("bot.doctor.machine._has_nvidia", lambda: True)

    (found,) = devices(check_device("auto", facts, Weights(half=50_000_000)))
    (meant,) = devices(check_device("cpu", facts, Weights(half=50_000_000)))

    assert found.grade is Grade.WARN
    assert "though there is an NVIDIA GPU" in found.detail
    assert advice in found.advice
    assert meant.grade is Grade.OK


def test_a_broken_torch_is_the_only_finding() -> None:
    (check,) = check_device("auto", DeviceFacts(fault="OSError: libcudart.so"), SDXL)

    assert (check.name, check.grade, check.detail) == ("torch", Grade.FAIL, "OSError: libcudart.so")


@pytest.mark.parametrize(
    ("on_cpu", "available", "grade"),
    [
        (False, 8 * GB, Grade.OK),
        (True, 8 * GB, Grade.WARN),
        (True, 15 * GB, Grade.OK),
        (False, 6 * GB, Grade.WARN),
    ],
)
def test_memory_must_hold_the_weights_in_the_devices_precision(
    monkeypatch: pytest.MonkeyPatch, on_cpu: bool, available: int, grade: Grade
) -> None:
    memory = SimpleNamespace(available=available, total=32 * GB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    weights = Weights(SDXL.on_disk, SDXL.half, SDXL.full, on_cpu=on_cpu)

    found = check_device("cpu" if on_cpu else "cuda:0", CUDA, weights)[-1]

    assert (found.name, found.grade) == ("Memory", grade)


def test_facts_are_those_of_this_torch() -> None:
    facts = device_facts()

    assert facts.torch == torch.__version__
    assert facts.build == (torch.version.cuda or torch.version.hip or "")
    assert not facts.fault
    assert (facts.kind == "cuda") == torch.cuda.is_available()


def test_every_cuda_device_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = SimpleNamespace(name="GPU", major=9, minor=0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (10 + index, 100))

    facts = device_facts()

    assert facts.kind == "cuda"
    assert facts.devices == (
        Device("cuda:0", "GPU", 100, 10, "9.0"),
        Device("cuda:1", "GPU", 100, 11, "9.0"),
    )


def _cannot_load(name: str) -> object:
    raise OSError("libcudart.so.13: cannot open shared object file")


def _driver_too_old(name: str) -> object:
    def broken() -> bool:
        raise RuntimeError("the driver is too old")

    versions = SimpleNamespace(cuda="13.0", hip=None)
    return SimpleNamespace(
        __version__="2.13.0", version=versions, cuda=SimpleNamespace(is_available=broken)
    )


@pytest.mark.parametrize(
    ("importing", "fault"),
    [
        (_cannot_load, "OSError: libcudart.so.13: cannot open shared object file"),
        (_driver_too_old, "RuntimeError: the driver is too old"),
    ],
)
def test_a_torch_that_does_not_work_is_a_fact_too(
    monkeypatch: pytest.MonkeyPatch, importing: Callable[[str], object], fault: str
) -> None:
    monkeypatch.setattr(importlib, "import_module", importing)

    assert device_facts().fault == fault
