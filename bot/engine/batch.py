"""The running batch: which samples are on their way, and which of them share the next UNet call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from bot.engine.backlog import Job
from bot.engine.protocol import Sample, unet_rows
from bot.request import Draw

S = TypeVar("S", bound=Sample)


@dataclass(slots=True, eq=False)
class Entry(Generic[S]):
    """A job and the sample that draws it."""

    job: Job
    sample: S

    @property
    def size(self) -> tuple[int, int]:
        """Width and height; only equal sizes can share a call."""
        return self.job.draw.width, self.job.draw.height


class RunningBatch(Generic[S]):
    """Samples between their start and their last step, grouped by size.

    `max_rows` bounds the UNet rows of one call; a picture that needs more rows than that by itself
    runs alone.
    """

    def __init__(self, max_rows: int) -> None:
        self.max_rows = max_rows
        self._entries: list[Entry[S]] = []

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> list[Entry[S]]:
        """All running entries, oldest first."""
        return list(self._entries)

    def fits(self, draw: Draw, waiting: list[Draw]) -> bool:
        """Whether `draw` can join its size's group beside `waiting` ones that are about to."""
        size = (draw.width, draw.height)
        rows = sum(unet_rows(entry.job.draw) for entry in self._entries if entry.size == size)
        rows += sum(unet_rows(each) for each in waiting if (each.width, each.height) == size)
        return rows == 0 or rows + unet_rows(draw) <= self.max_rows

    def add(self, entry: Entry[S]) -> None:
        """Let a started sample run."""
        self._entries.append(entry)

    def discard(self, entry: Entry[S]) -> None:
        """Take an entry out, if it still runs."""
        if entry in self._entries:
            self._entries.remove(entry)

    def next_call(self) -> list[Entry[S]]:
        """Return the entries of the next UNet call: the oldest one's size, within `max_rows`.

        Oldest first means that no size can starve another: whoever joins later is younger.
        """
        if not self._entries:
            return []
        size = self._entries[0].size
        call: list[Entry[S]] = []
        rows = 0
        for entry in self._entries:
            if entry.size == size:
                needed = unet_rows(entry.job.draw)
                if call and rows + needed > self.max_rows:
                    break
                call.append(entry)
                rows += needed
        return call
