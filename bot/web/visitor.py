"""One visitor of the live page: the newest wish is drawn, those it overtook are not."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from bot.conversation import Outcome
from bot.errors import RateLimited, Refused, TurbocordError
from bot.policy import Defaults, resolve
from bot.ratelimit import Quota
from bot.request import Asker, ImageRequest, ImageResult, Wish, random_seed
from bot.service import ImageService
from bot.store import JobState

log = logging.getLogger(__name__)

PAGE_GUILD: Final = 0
"""All visitors together count as one guild, so that the page never has more than a guild's share.
No Discord guild has this id."""

SETTLE_SECONDS: Final = 0.1
"""How long a wish waits for the next key press before it costs a picture."""

EAGER_SECONDS: Final = 0.5
"""After this long without a picture a wish waits for no key press: pictures follow the typing."""

MOST_VISITORS: Final = 512

Observer = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class Frame:
    """What the page shows next: a picture, or why there is none; `waiting` is "not yet"."""

    result: ImageResult | None = None
    error: BaseException | None = None
    job_id: str = ""
    waiting: bool = False


class Visitor:
    """Draws for one browser tab, one picture at a time."""

    def __init__(
        self,
        service: ImageService,
        defaults: Defaults,
        *,
        quota: Quota | None = None,
        observe: Observer | None = None,
        settle_s: float = SETTLE_SECONDS,
    ) -> None:
        self.asker = Asker(user_id=random_seed(), guild_id=PAGE_GUILD)
        self._service = service
        self._defaults = defaults
        self._quota = quota
        self._observe = observe
        self._settle_s = settle_s
        self._overtaken = asyncio.Event()
        self._turn = asyncio.Lock()
        self._drawn_at = -math.inf
        self._newest = -math.inf

    async def draw(self, wish: Wish, *, stamp: float) -> AsyncIterator[Frame]:
        """Yield the frames of `wish`; none once a newer wish has overtaken it.

        `stamp` is the browser's time of the wish in any unit: wishes may arrive out of order.
        A used-up limit is waited for, so that whoever goes on typing sees the newest picture as
        soon as there may be one.
        """
        if stamp < self._newest:
            return
        self._newest = stamp
        self._overtaken.set()
        overtaken = self._overtaken = asyncio.Event()
        loop = asyncio.get_running_loop()
        wait = self._settle_s if loop.time() - self._drawn_at < EAGER_SECONDS else 0.0
        while not await _happens(overtaken, wait):
            async with self._turn:
                if overtaken.is_set():
                    return
                self._drawn_at = loop.time()
                frame = await self._try(wish)
            yield frame
            if not frame.waiting or not isinstance(frame.error, RateLimited):
                return
            wait = max(frame.error.retry_after or 0.0, 0.1)

    async def _try(self, wish: Wish) -> Frame:
        """Return the picture or what went wrong, logged and counted."""
        job_id = "-"
        try:
            request = resolve(wish, self.asker, self._defaults)
            job_id = request.job_id
            result = await self._service.run(request, member_quota=self._quota)
        except RateLimited as error:
            return self._ended(
                JobState.REFUSED, job_id, error, waiting=error.retry_after is not None
            )
        except Refused as error:
            return self._ended(JobState.REFUSED, job_id, error)
        except TurbocordError as error:
            log.error("job=%s kind=web outcome=failed code=%s", job_id, error.code)
            return self._ended(JobState.FAILED, job_id, error)
        except Exception as error:
            log.exception("job=%s kind=web outcome=failed", job_id)
            return self._ended(JobState.FAILED, job_id, error)
        _log_done(request, result)
        self._tell(Outcome("web", job_id, JobState.DONE, result=result))
        return Frame(result=result, job_id=job_id)

    def _ended(
        self, state: JobState, job_id: str, error: Exception, *, waiting: bool = False
    ) -> Frame:
        code = error.code if isinstance(error, TurbocordError) else type(error).__name__
        if state is JobState.REFUSED:
            log.info("job=%s kind=web outcome=refused code=%s", job_id, code)
        self._tell(Outcome("web", job_id, state, code=code))
        return Frame(error=error, job_id=job_id, waiting=waiting)

    def _tell(self, outcome: Outcome) -> None:
        if self._observe is not None:
            self._observe(outcome)


class Visitors:
    """Knows the visitors by their browser session, the latest `most` of them."""

    def __init__(self, make: Callable[[], Visitor], *, most: int = MOST_VISITORS) -> None:
        self._make = make
        self._most = most
        self._known: OrderedDict[str, Visitor] = OrderedDict()

    def of(self, session: str) -> Visitor:
        """Return the visitor of `session`; one who was forgotten starts anew."""
        visitor = self._known.pop(session, None) or self._make()
        self._known[session] = visitor
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return visitor

    def forget(self, session: str) -> None:
        """Forget a visitor who has left."""
        self._known.pop(session, None)


async def _happens(event: asyncio.Event, within_s: float) -> bool:
    """Return whether `event` is set before `within_s` seconds are over."""
    try:
        async with asyncio.timeout(within_s):
            return await event.wait()
    except TimeoutError:
        return False


def _log_done(request: ImageRequest, result: ImageResult) -> None:
    timings = result.timings
    log.info(
        "job=%s kind=web outcome=done user=%s images=%d intake_ms=%.0f queue_ms=%.0f "
        "pipeline_ms=%.0f encode_ms=%.0f total_ms=%.0f",
        request.job_id,
        request.user_id,
        len(result.pictures),
        timings.intake_ms,
        timings.queue_ms,
        timings.pipeline_ms,
        timings.encode_ms,
        timings.total_ms,
    )
