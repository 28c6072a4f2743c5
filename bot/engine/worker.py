"""The thread that owns one device: takes jobs, steps the running batch, hands pictures out."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from bot.engine.backlog import Backlog, Job
from bot.engine.batch import Entry, RunningBatch
from bot.engine.budgets import Budgets
from bot.engine.costs import AT_ONCE, Costs, running_average
from bot.engine.custody import Custody
from bot.engine.protocol import Decoded, Pipeline, Sample, unet_rows
from bot.engine.spare_time import SpareTime
from bot.engine.supervision import FAILURES_IN_A_ROW, Call, DeviceBrokenError, Retired, Supervisor
from bot.engine.turns import Turns
from bot.errors import EngineError, OutOfMemory, StartupError, TurbocordError, WeightsUnavailable
from bot.request import Draw, Drawn, Pixels, WeightSet

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Sample)
R = TypeVar("R")

PATIENCE_SECONDS = 0.05
"""How long a thread sleeps that has nothing to draw until others release the weights."""


class DeviceWorker(Generic[S]):
    """Draws jobs from a backlog on one device, in a thread of its own.

    `budget` is the most UNet rows of one call, or a function that measures it on the loaded
    pipeline.
    """

    def __init__(
        self,
        make_pipeline: Callable[[], Pipeline[S]],
        *,
        name: str,
        backlog: Backlog,
        supervisor: Supervisor,
        budget: int | Callable[[Pipeline[S]], int] = 8,
        inherited: Sequence[Job] = (),
    ) -> None:
        self.name = name
        self.make_pipeline = make_pipeline
        self.costs = Costs()
        self.batch_sizes: Counter[int] = Counter()
        self.batch: RunningBatch[S] = RunningBatch(max_rows=1)
        self.pipeline: Pipeline[S] | None = None
        self.hired = time.perf_counter()
        self.call: Call | None = None
        self._turns = Turns(backlog, inherited)
        self._custody = Custody(self._turns)
        self._backlog = backlog
        self._supervisor = supervisor
        self._finished: list[Entry[S]] = []
        self._decoding: deque[tuple[Decoded, list[Entry[S]]]] = deque()
        self._decode_next = True
        self._attending = False
        self._failures = 0
        self._busy = 0.0
        self._budgets = Budgets(budget)
        self._spare_time = SpareTime(name, self._budgets)
        self._retired = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def jobs(self) -> list[Job]:
        """All jobs that are with this worker, those it has not begun included."""
        return self._custody.jobs

    @property
    def held(self) -> list[Job]:
        """The jobs it has begun."""
        return self._custody.held

    def retire(self) -> None:
        """Make the thread end as soon as it comes back to itself; it delivers nothing more."""
        self._retired.set()
        if self.pipeline is not None:
            self.pipeline.leave()
        self._backlog.wake()

    def hand_over(self) -> list[Job]:
        """Retire, and return the jobs that were with this worker: the caller sees to them now."""
        return self._custody.hand_over(self.retire)

    def join(self, timeout: float) -> bool:
        """Wait for the thread's end; False when it still runs."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def full_speed(self) -> bool:
        """Whether there is nothing left to capture, compile or measure."""
        return self.pipeline is not None and self._spare_time.is_over(self.pipeline)

    @property
    def retired(self) -> bool:
        """Whether the worker was told to end."""
        return self._retired.is_set()

    def _run(self) -> None:
        try:
            self.pipeline = self.make_pipeline()
            self.costs, self.batch.max_rows = self._budgets.enter(self.pipeline)
            self._spare_time.begin()
            self._supervisor.worker_ready(self)
            while not self.retired:
                self._turn(self.pipeline)
        except Retired:
            log.warning("%s came back after it had been replaced", self.name)
        except StartupError as error:
            # One sentence that whoever starts the process prints; a traceback would bury it.
            log.debug("%s cannot start", self.name, exc_info=error)
            self._supervisor.worker_failed(self, error)
        except BaseException as error:
            log.exception("%s ended", self.name)
            self._supervisor.worker_failed(self, error)
        finally:
            if self.pipeline is not None:
                self.pipeline.leave()
            if self.retired:
                for job in self._custody.left_behind():
                    job.owner.failed(job, EngineError(reason=Retired.__name__))

    def _turn(self, pipeline: Pipeline[S]) -> None:
        """Do what fits between two UNet calls, then one UNet call, then hand pictures out.

        What fits is one chunk of decoding or of starting, in turn, as long as one step: a running
        batch never waits longer than that for those who come or go.
        """
        self._drop_abandoned()
        idle = not (self.batch or self._finished or self._decoding)
        if idle and self._attending:
            self._attending = False
            pipeline.attend(False)
            pipeline.release()
        waiting = bool(len(self._turns))
        with self._watched(overhaul=idle):
            timeout = self._spare_time.use(pipeline, self.batch, idle=idle, waiting=waiting)
        # Starting can be cheap and decoding dear: whoever is let in first must not wait behind more
        # and more that are finished but for that.
        many = len(self._finished) >= AT_ONCE
        decode = bool(self._finished) and (self._decode_next or many or not self.batch)
        if decode or not self._admit(pipeline, timeout=timeout):
            self._issue_decode(pipeline)
        self._decode_next = not decode
        if call := self.batch.next_call():
            self._step(pipeline, call)
        if self._decoding:
            self._collect(pipeline, overlapped=bool(call))

    def _admit(self, pipeline: Pipeline[S], *, timeout: float) -> bool:
        """Start the next jobs of the backlog that fit; False when there are none."""
        drawing = bool(self.batch or self._finished or self._decoding)
        weight_set = self._turns.wanted(pipeline, drawing=drawing, timeout=timeout)
        if weight_set is not None and not drawing and pipeline.stand_back():
            weight_set = self._turns.wanted(pipeline, drawing=False)
        if weight_set is None or not self._use(pipeline, weight_set):
            return False
        limit = self.costs.chunk(
            self.costs.start_each, self.batch.max_rows, running=bool(self.batch)
        )
        joining: list[Draw] = []

        def fits(job: Job) -> bool:
            if not self.batch.fits(job.draw, joining):
                return False
            joining.append(job.draw)
            return True

        jobs = self._turns.take(weight_set, limit, fits)
        jobs = [job for job in jobs if not job.abandoned]
        if not jobs:
            return False
        self.held.extend(jobs)
        started = time.perf_counter()

        def call(some: list[Job]) -> list[Entry[S]]:
            samples = pipeline.start([job.draw for job in some])
            return [Entry(job, sample) for job, sample in zip(some, samples, strict=True)]

        for entries in self._attempt(pipeline, jobs, call, lambda job: job):
            for entry in entries:
                (self.batch.add if entry.sample.steps_left else self._finished.append)(entry)
        each = (time.perf_counter() - started) / len(jobs)
        self.costs.start_each = running_average(self.costs.start_each, each)
        return True

    def _use(self, pipeline: Pipeline[S], wanted: WeightSet) -> bool:
        """Take up the weights; False when others hold theirs still, or these cannot be had."""
        try:
            with self._watched(overhaul=True):
                ours = pipeline.use(wanted)
                if ours and wanted.model != self._budgets.model:
                    self._budgets.leave(self.costs, self.batch.max_rows)
                    self.costs, self.batch.max_rows = self._budgets.try_to_enter(pipeline)
        except WeightsUnavailable as error:
            # Which model is in now is to be seen.
            self._budgets.leave(self.costs, self.batch.max_rows)
            pipeline.release()
            self._turns.refuse(wanted, error)
            return False
        if not ours:
            pipeline.wait(PATIENCE_SECONDS)
            return False
        if not self._attending:
            self._attending = True
            pipeline.attend(True)
        return True

    def _step(self, pipeline: Pipeline[S], entries: list[Entry[S]]) -> None:
        started = time.perf_counter()
        self.batch_sizes[len(entries)] += 1

        def call(some: list[Entry[S]]) -> None:
            pipeline.step([entry.sample for entry in some])

        self._attempt(pipeline, entries, call, lambda entry: entry.job)
        for entry in entries:
            if entry.sample.steps_left == 0 and entry.job in self.held:
                self.batch.discard(entry)
                self._finished.append(entry)
        self.costs.step = running_average(self.costs.step, time.perf_counter() - started)

    def _issue_decode(self, pipeline: Pipeline[S]) -> None:
        if not self._finished:
            return
        size = self._finished[0].size
        limit = self.costs.chunk(self.costs.decode_each, AT_ONCE, running=bool(self.batch))
        entries = [entry for entry in self._finished if entry.size == size][:limit]
        self._finished = [entry for entry in self._finished if entry not in entries]
        started = time.perf_counter()

        def call(some: list[Entry[S]]) -> tuple[Decoded, list[Entry[S]]]:
            return pipeline.decode([entry.sample for entry in some]), some

        self._decoding.extend(self._attempt(pipeline, entries, call, lambda entry: entry.job))
        # At least this; on a device that works by itself `_collect` learns the whole of it.
        each = (time.perf_counter() - started) / len(entries)
        self.costs.decode_each = max(self.costs.decode_each, each)

    def _collect(self, pipeline: Pipeline[S], *, overlapped: bool) -> None:
        """Hand out the oldest decoded pictures; draw those that came out unusable once more.

        Where no step was issued after them, the wait tells what decoding takes.
        """
        decoded, entries = self._decoding.popleft()
        started = time.perf_counter()

        def call(some: list[Entry[S]]) -> list[Pixels | None]:
            return decoded.collect()

        for pictures in self._attempt(
            pipeline, entries, call, lambda entry: entry.job, divisible=False
        ):
            if not overlapped:
                each = (time.perf_counter() - started) / len(entries)
                self.costs.decode_each = max(0.9 * self.costs.decode_each, each)
            for entry, pixels in zip(entries, pictures, strict=True):
                if pixels is None:
                    self._redo(pipeline, entry)
                else:
                    self._deliver(entry.job, pixels)
        self.costs.picture = running_average(self.costs.picture, self._busy / len(entries))
        self._busy = 0.0

    def _redo(self, pipeline: Pipeline[S], entry: Entry[S]) -> None:
        log.warning(
            "A picture came out with NaN or all black (seed %d); drawing it in full precision",
            entry.job.draw.seed,
        )

        def call(some: list[Entry[S]]) -> Pixels:
            return pipeline.redo(some[0].job.draw)

        for pixels in self._attempt(pipeline, [entry], call, lambda each: each.job):
            self._deliver(entry.job, pixels)

    def _deliver(self, job: Job, pixels: Pixels) -> None:
        if not self._custody.release(job):
            return
        self._failures = 0
        now = time.perf_counter()
        job.owner.drawn(
            job,
            Drawn(
                picture=pixels,
                queue_ms=(job.taken - job.submitted) * 1000,
                pipeline_ms=(now - job.taken) * 1000,
            ),
        )

    def _attempt(
        self,
        pipeline: Pipeline[S],
        things: list[Any],
        call: Callable[[list[Any]], R],
        job_of: Callable[[Any], Job],
        *,
        divisible: bool = True,
        last: bool = False,
    ) -> list[R]:
        """Make a device call; where it fails, find by halves whose fault it is.

        Returns the results of the calls that succeeded. Whoever fails alone is told why and leaves.
        Running out of memory halves the batch budget first, and frees what memory there is, so that
        what failed alone may try once more.
        """
        jobs = [job_of(thing) for thing in things]
        error: Exception
        try:
            with self._watched(jobs):
                return [call(things)]
        except Exception as raised:
            short = pipeline.is_out_of_memory(raised)
            # With its traceback the error would keep the failed call's tensors alive.
            error = OutOfMemory(device=pipeline.device_name) if short else raised
        if short:
            self._shrink(pipeline, jobs)
        if short and divisible and len(things) == 1 and not last:
            return self._attempt(pipeline, things, call, job_of, last=True)
        if len(things) == 1 or not divisible:
            for job in jobs:
                self._fail(job, error)
            return []
        log.warning("A call with %d pictures failed (%r); halving it", len(things), error)
        middle = len(things) // 2
        return [
            *self._attempt(pipeline, things[:middle], call, job_of),
            *self._attempt(pipeline, things[middle:], call, job_of),
        ]

    def _shrink(self, pipeline: Pipeline[S], jobs: list[Job]) -> None:
        """Halve the batch budget, unless one picture alone was too much."""
        if len(jobs) > 1:
            rows = sum(unet_rows(job.draw) for job in jobs)
            self.batch.max_rows = max(1, min(self.batch.max_rows, rows) // 2)
        with self._watched(overhaul=True):
            pipeline.free_memory()
            try:
                pipeline.prepare(self.batch.max_rows)
            except Exception:
                log.exception("%s cannot get ready again for smaller batches", self.name)
        log.warning(
            "%s ran out of memory with %d pictures; at most %d UNet rows at once from now on",
            self.name,
            len(jobs),
            self.batch.max_rows,
        )

    def _fail(self, job: Job, error: Exception) -> None:
        self._discard(job)
        if not self._custody.release(job):
            return
        if not isinstance(error, TurbocordError):
            self._failures += 1
            log.error("Drawing failed for one picture: %r", error, exc_info=error)
            wrapped = EngineError(reason=type(error).__name__)
            wrapped.__cause__ = error
            error = wrapped
        job.owner.failed(job, error)
        if self._failures >= FAILURES_IN_A_ROW:
            raise DeviceBrokenError(f"{self._failures} pictures in a row failed") from error

    def _drop_abandoned(self) -> None:
        for job in [job for job in self.held if job.abandoned]:
            self._discard(job)
            self._custody.release(job)

    def _discard(self, job: Job) -> None:
        for entry in self.batch.entries:
            if entry.job is job:
                self.batch.discard(entry)
        self._finished = [entry for entry in self._finished if entry.job is not job]

    @contextmanager
    def _watched(self, jobs: Sequence[Job] = (), *, overhaul: bool = False) -> Iterator[None]:
        """Let the watchdog see a call; leave the thread when it was replaced meanwhile."""
        self.call = call = Call(time.perf_counter(), tuple(jobs), overhaul)
        try:
            yield
        finally:
            self.call = None
            if call.jobs:
                self._busy += time.perf_counter() - call.started
            if self.retired:
                raise Retired
