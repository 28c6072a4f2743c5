"""Who shares a call: budget, sizes, and that everybody gets through exactly once."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bot.engine.backlog import Job
from bot.engine.batch import Entry, RunningBatch
from bot.engine.null import NullPipeline, NullSample
from bot.engine.protocol import unet_rows
from bot.request import Draw

SIZES = ((512, 512), (448, 576), (704, 384))


class Nobody:
    def drawn(self, job: object, drawn: object) -> None: ...

    def failed(self, job: object, error: object) -> None: ...


def draw(seed: int, size: tuple[int, int], steps: int, guided: bool) -> Draw:
    return Draw(
        "x",
        seed,
        *size,
        num_inference_steps=steps,
        guidance_scale=2.0 if guided else 0.0,
    )


draws = st.builds(
    draw, st.integers(0, 99), st.sampled_from(SIZES), st.integers(1, 4), st.booleans()
)


@given(
    arrivals=st.lists(st.tuples(draws, st.integers(0, 3)), max_size=30), budget=st.integers(1, 8)
)
def test_everyone_gets_through_once_within_the_budget(
    arrivals: list[tuple[Draw, int]], budget: int
) -> None:
    pipeline = NullPipeline()
    batch: RunningBatch[NullSample] = RunningBatch(budget)
    waiting = list(arrivals)
    steps: Counter[int] = Counter()
    finished: list[Entry[NullSample]] = []
    turns = 0
    while waiting or batch:
        while waiting and waiting[0][1] <= turns and batch.fits(waiting[0][0], []):
            one, _ = waiting.pop(0)
            job = Job(one, 0, Nobody(), 0.0)
            batch.add(Entry(job, pipeline.start([one])[0]))
        call = batch.next_call()
        turns += 1
        if not call:
            continue
        assert len({entry.size for entry in call}) == 1
        rows = sum(unet_rows(entry.job.draw) for entry in call)
        assert rows <= budget or len(call) == 1
        # The oldest is always in: nobody can be overtaken for ever.
        assert call[0] is batch.entries[0]
        pipeline.step([entry.sample for entry in call])
        for entry in call:
            steps[id(entry)] += 1
            if entry.sample.steps_left == 0:
                batch.discard(entry)
                finished.append(entry)
    assert len(finished) == len(arrivals)
    assert all(steps[id(entry)] == entry.job.draw.num_inference_steps for entry in finished)


def test_those_about_to_join_count() -> None:
    batch: RunningBatch[NullSample] = RunningBatch(2)
    plain = draw(1, SIZES[0], 1, guided=False)
    guided = draw(2, SIZES[0], 1, guided=True)
    other = draw(3, SIZES[1], 1, guided=True)
    assert batch.fits(guided, [])
    assert batch.fits(plain, [plain])
    assert not batch.fits(plain, [plain, plain])
    assert not batch.fits(guided, [plain])
    assert batch.fits(other, [plain, plain])


def test_a_picture_too_large_for_the_budget_runs_alone() -> None:
    batch: RunningBatch[NullSample] = RunningBatch(1)
    guided = draw(2, SIZES[0], 1, guided=True)
    assert batch.fits(guided, [])
    assert not batch.fits(guided, [guided])
