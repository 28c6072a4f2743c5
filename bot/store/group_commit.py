"""Group commit: writes that come while one transaction runs share the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from bot.errors import StoreError

T = TypeVar("T")
R = TypeVar("R")


class GroupCommit(Generic[T, R]):
    """Carries out one kind of write, many at a time.

    `write` takes items and returns a result for each, in one transaction. A lone write waits for
    nothing; where several come together, most of a transaction's cost is paid once for all. A
    caller who is cancelled leaves its write to be done.
    """

    def __init__(self, write: Callable[[list[T]], Awaitable[list[R]]]) -> None:
        self._write = write
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, item: T) -> R:
        """Return the item's result once it is written. Raises StoreError."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name="group-commit")
        return await future

    async def finish(self) -> None:
        """Wait until nothing is left to write."""
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            await self._carry_out(group)

    async def _carry_out(self, group: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._write([item for item, _ in group])
        except StoreError as error:
            if error.code == StoreError.default_code or len(group) == 1:
                _fail(group, error)
                return
            # The database works, and one of them is at fault: the others must not pay for it.
            for one in group:
                await self._carry_out([one])
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
