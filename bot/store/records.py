"""What the store hands out: frozen values, free of SQL. Times are Unix seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class JobState(StrEnum):
    """Where a job stands; the last four are final."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    ABANDONED = "abandoned"


UNFINISHED: Final = (JobState.ACCEPTED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class PostedPicture:
    """A picture as Discord keeps it, in the order of its message; its URL has to be asked for."""

    attachment_id: int
    filename: str
    seed: int


@dataclass(frozen=True, slots=True)
class Job:
    """One accepted request and how it ended.

    `application_id`, `interaction_token` and `token_expires_at` answer it after a restart and are
    gone once it has finished. `parameters` is plain JSON, written by whoever accepted the job.
    What a member said and what answers them stay out of the repr, and so out of logs.
    """

    job_id: str
    kind: str
    state: JobState
    user_id: int
    created_at: float
    updated_at: float
    finished_at: float | None = None
    guild_id: int | None = None
    channel_id: int | None = None
    message_id: int | None = None
    application_id: int | None = None
    interaction_token: str | None = field(default=None, repr=False)
    token_expires_at: float | None = None
    parent_job_id: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    attachments: tuple[PostedPicture, ...] = ()
    error_code: str | None = None

    @property
    def cursor(self) -> tuple[float, str]:
        """The job's place in its member's history, for asking what came before."""
        return (self.created_at, self.job_id)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self.state not in UNFINISHED


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """A finished picture that could not be delivered, waiting for its member; `size` is bytes."""

    picture_id: int
    job_id: str
    filename: str
    size: int
    expires_at: float
