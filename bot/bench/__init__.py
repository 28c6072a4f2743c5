"""What `turbocord bench` runs: the stock pipelines' way and ours, in turn, on the same weights."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run the bench with command-line arguments `argv`; return the exit status.

    0: measured; 1: the correctness gate failed or a side could not run.
    """
    # Here rather than above: the parent process needs no torch to print its help.
    from bot.bench.cli import run

    return run(argv)
