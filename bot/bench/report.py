"""What the bench says: ratios, the gate's verdict, and a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TARGETS: Mapping[str, Mapping[str, float]] = {
    "cuda": {
        "latency_txt2img": 4.0,
        "latency_img2img": 4.0,
        "throughput_16": 8.0,
        "p95_16": 1 / 6,
        "peak_memory": 0.65,
        "first_picture": 0.65,
    },
    "cpu": {"latency_txt2img": 1.3, "latency_img2img": 1.3, "throughput_16": 1.5},
}
"""By device and ratio: latency and throughput as gains, the rest as our share of the baseline."""

LOWER_IS_BETTER = frozenset({"p95_16", "peak_memory", "first_picture"})

TOLERANCES = {"fp32": {"max": 1.0, "mean": 0.05}, "half": {"max": 24.0, "mean": 1.5}}
"""Of 255, between batched and alone and between ours and stock. Half precision rounds each kernel
choice differently, and stock decodes in fp32 where ours may use bf16; on an H100 that came to 6 at
most and 0.53 on average, over six pictures of random full-size weights."""


def ratios(baseline: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, float]:
    """Return how ours compares; latency and throughput as gains, the rest as shares."""

    def gain(case: str) -> float:
        return float(baseline["latency_ms"][case]["median"] / ours["latency_ms"][case]["median"])

    crowd, our_crowd = baseline["users"]["16"], ours["users"]["16"]
    return {
        "latency_txt2img": gain("txt2img_2"),
        "latency_img2img": gain("img2img_2"),
        "throughput_16": our_crowd["per_second"] / crowd["per_second"],
        "p95_16": our_crowd["p95_ms"] / crowd["p95_ms"],
        "peak_memory": ours["peak_memory_bytes"] / baseline["peak_memory_bytes"],
        "first_picture": ours["first_picture_s"] / baseline["first_picture_s"],
    }


def gate(differences: Mapping[str, Mapping[str, float]], precision: str) -> list[str]:
    """Return what is wrong with the pictures, in sentences; nothing when they agree."""
    allowed = TOLERANCES[precision]
    return [
        f"{what}: pictures differ by up to {found['max']:.0f} and {found['mean']:.2f} on average; "
        f"at most {allowed['max']:.0f} and {allowed['mean']:.2f} of 255 are allowed."
        for what, found in differences.items()
        if not (found["max"] <= allowed["max"] and found["mean"] <= allowed["mean"])
    ]


def rows(results: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return the table's lines: figure, baseline, ours, gain."""
    baseline, ours = results["baseline"], results["ours"]
    lines = []
    for case, times in baseline["latency_ms"].items():
        kind, steps = case.split("_")
        label = f"{kind}, {steps} step{'s' * (steps != '1')}, one request"
        mine = ours["latency_ms"][case]["median"]
        lines.append(_line(label, times["median"], mine, "ms", times["median"] / mine))
    for users, found in baseline["users"].items():
        mine, who = ours["users"][users], f"{users} user{'s' * (users != '1')}"
        gain = mine["per_second"] / found["per_second"]
        lines.append(
            _line(f"{who}, mixed", found["per_second"], mine["per_second"], "pictures/s", gain)
        )
        for share in ("p50", "p95"):
            there, here = found[f"{share}_ms"], mine[f"{share}_ms"]
            lines.append(_line(f"{who}, {share}", there, here, "ms", there / here))
    there, here = (side["peak_memory_bytes"] / 2**20 for side in (baseline, ours))
    lines.append(_line("peak memory", there, here, "MiB", there / here))
    there, here = (side["first_picture_s"] for side in (baseline, ours))
    lines.append(_line("start to first picture", there, here, "s", there / here))
    there, here = (side["full_speed_s"] for side in (baseline, ours))
    lines.append(_line("start to full speed", there, here, "s", there / here))
    return lines


def verdicts(found: Mapping[str, float], device: str) -> list[str]:
    """Return a line per target: what was reached and what was aimed at."""
    lines = []
    for name, target in TARGETS.get(device, {}).items():
        lower = name in LOWER_IS_BETTER
        met = found[name] <= target if lower else found[name] >= target
        wanted = f"{'at most' if lower else 'at least'} {target:.2f}"
        lines.append(f"{name}: {found[name]:.2f} ({wanted}: {'met' if met else 'MISSED'})")
    return lines


def markdown(results: Mapping[str, Any]) -> str:
    """Return the table as Markdown."""
    lines = ["| | stock pipelines | turbocord | gain |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows(results)]
    return "\n".join(lines)


def show(results: Mapping[str, Any]) -> None:
    """Print the table, with rich where it is installed."""
    title = _title(results["about"])
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        _write([title, "", markdown(results), ""])
    else:
        table = Table("", "stock pipelines", "turbocord", "gain", title=title)
        for row in rows(results):
            table.add_row(*row)
        Console().print(table)
    _write([*verdicts(results["ratios"], results["about"]["device_type"]), floor_line(results)])


def floor_line(results: Mapping[str, Any]) -> str:
    """Return how far a 2-step picture is from what the device's arithmetic allows."""
    floor = results["ours"].get("floor")
    if floor is None:
        return "floor: not measured; see above"
    return (
        f"floor: {floor['picture_ms']:.1f} ms a 2-step picture at {floor['matmul_tflops']:.2f} "
        f"TFLOP/s; {floor['measured_ms']:.1f} ms in a batch of {floor['rows']}, "
        f"{floor['times_floor']:.1f}× the floor"
    )


def _title(about: Mapping[str, Any]) -> str:
    return (
        f"{about['weights']} weights, {about['size']}×{about['size']}, {about['device']} "
        f"({about['cores']} cores), torch {about['torch']}, {about['date']}"
    )


def _line(
    label: str, there: float, here: float, unit: str, gain: float
) -> tuple[str, str, str, str]:
    digits = 0 if min(there, here) >= 100 else 1 if min(there, here) >= 10 else 2
    return label, f"{there:.{digits}f} {unit}", f"{here:.{digits}f} {unit}", f"{gain:.2f}×"


def _write(lines: Sequence[str]) -> None:
    print("\n".join(lines))  # noqa: T201 - this is the command's output
