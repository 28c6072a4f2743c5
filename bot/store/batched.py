"""Group commit, and the like for reading: what comes while one transaction runs shares the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from bot.errors import StoreError

T = TypeVar("T")
R = TypeVar("R")


class Batched(Generic[T, R]):
    """Carries out one kind of call on the database, many at a time.

    `carry_out` takes items and returns a result for each, from one transaction. A lone call waits
    for nothing; where several come together, most of a transaction's cost is paid once for all. A
    caller who is cancelled leaves its write to be done.
    """

    def __init__(self, carry_out: Callable[[list[T]], Awaitable[list[R]]]) -> None:
        self.carry_out = carry_out
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, item: T) -> R:
        """Return the item's result. Raises StoreError."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name="store")
        return await future

    async def finish(self) -> None:
        """Wait until nothing is left to do."""
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            await self._serve(group)

    async def _serve(self, group: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self.carry_out([item for item, _ in group])
        except StoreError as error:
            if error.code == StoreError.default_code or len(group) == 1:
                _fail(group, error)
                return
            # The database works, and one of them is at fault: the others must not pay for it.
            for one in group:
                await self._serve([one])
        except BaseException as error:
            _fail([*group, *self._waiting], error)
            self._waiting = []
            raise
        else:
            for (_, future), result in zip(group, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(group: list[tuple[T, asyncio.Future[R]]], error: BaseException) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(error)
