"""Both ends of a request: the member's side of it, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bot.engine.ticket import Ticket
from bot.journal import Line, Posted
from bot.request import ImageRequest, ImageResult
from bot.store import JobState


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request ended, for logs, metrics and trials; `result` is None without pictures.

    `request` is told of what came out flagged and was held back.
    """

    kind: str
    job_id: str
    state: JobState
    code: str | None = None
    result: ImageResult | None = None
    posted: Posted | None = None
    request: ImageRequest | None = None


class Reply(Protocol):
    """The member's side of one request."""

    @property
    def line(self) -> Line:
        """By what an answer can be given after a restart."""

    def open(self, *, soon: bool) -> None:
        """See to the acknowledgement: very shortly, or later when the picture may come `soon`."""

    def hasten(self) -> None:
        """Acknowledge now, unless an answer came first."""

    async def acknowledged(self) -> None:
        """Return when no acknowledgement is on its way any more."""

    def queued(self, ticket: Ticket, job_id: str) -> None:
        """Note the place in the queue, to tell the member about a wait worth telling."""

    async def deliver(self, result: ImageResult) -> Posted:
        """Hand over the pictures. Raises DeliveryFailed."""

    async def refuse(self, error: BaseException, job_id: str) -> None:
        """Say in one sentence why there is no picture. Raises DeliveryFailed."""

    def close(self) -> None:
        """Let go of what is still under way; another process answers, or nobody needs to."""
