"""Watching a studio: which request was heard, how often it was run, and how each run ended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from bot.conversation import Outcome

_key: Final[ContextVar[str | None]] = ContextVar("request", default=None)


class Watch:
    """Knows every request by what it was asked with: its interaction's token or its message's id.

    A request that is heard twice (a repeated event) or drawn twice (taken for one that nobody
    answered) counts as one that was run a second time, whatever its member got to see.
    """

    def __init__(self) -> None:
        self.heard = Counter[str]()
        self.drawn = Counter[str]()
        self.outcomes: dict[str, list[Outcome]] = defaultdict(list)
        self._keys: dict[str, str] = {}

    @property
    def second_runs(self) -> int:
        """How many runs there were beyond one for each request."""
        keys = self.heard.keys() | self.drawn.keys()
        return sum(max(0, self.heard[key] - 1, self.drawn[key] - 1) for key in keys)

    @contextmanager
    def over(self, studio: Any) -> Iterator[None]:
        """Watch `studio` while entered."""
        draw, resume, run = studio.draw, studio.resume, studio.service.run

        async def watched_draw(reply: Any, *args: Any, **options: Any) -> Outcome:
            key = reply.line.token or str(reply.message.id)
            self.heard[key] += 1
            _key.set(key)
            outcome: Outcome = await draw(reply, *args, **options)
            self.outcomes[key].append(outcome)
            return outcome

        async def watched_resume(reply: Any, wish: Any, job: Any, asker: Any) -> Outcome:
            key = self._keys.get(job.job_id, job.job_id)
            outcome: Outcome = await resume(reply, wish, job, asker)
            self.outcomes[key].append(outcome)
            return outcome

        async def watched_run(request: Any, **options: Any) -> Any:
            key = self._keys.setdefault(request.job_id, _key.get() or request.job_id)
            self.drawn[key] += 1
            return await run(request, **options)

        studio.draw, studio.resume, studio.service.run = watched_draw, watched_resume, watched_run
        try:
            yield
        finally:
            del studio.draw, studio.resume, studio.service.run
