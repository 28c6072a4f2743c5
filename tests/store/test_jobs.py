"""Jobs from acceptance to oblivion."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.errors import StoreError
from bot.store import Job, JobState, PostedPicture, Store
from tests.store.conftest import Clock, plans_of

TOKEN = "aW50ZXJhY3Rpb246c2VjcmV0"


async def accept(store: Store, job_id: str, *, user_id: int = 7, **more: object) -> None:
    await store.accept_job(job_id=job_id, kind="imagine", user_id=user_id, **more)  # type: ignore[arg-type]  # each test names them right


async def get(store: Store, job_id: str) -> Job:
    job = await store.get_job(job_id)
    assert job is not None
    return job


async def test_a_job_comes_back_as_it_was_written(store: Store, clock: Clock) -> None:
    parameters = {"prompt": "a cat 🐈", "seed": 2**53 - 1, "sources": [{"attachment_id": 2**62}]}
    await store.accept_job(
        job_id="0a",
        kind="remix",
        user_id=2**63 - 1,
        guild_id=11,
        channel_id=12,
        application_id=13,
        interaction_token=TOKEN,
        token_expires_at=clock.now + 900,
        parent_job_id="09",
        parameters=parameters,
    )
    assert await store.get_job("0a") == Job(
        job_id="0a",
        kind="remix",
        state=JobState.ACCEPTED,
        user_id=2**63 - 1,
        created_at=clock.now,
        updated_at=clock.now,
        guild_id=11,
        channel_id=12,
        application_id=13,
        interaction_token=TOKEN,
        token_expires_at=clock.now + 900,
        parent_job_id="09",
        parameters=parameters,
    )
    assert await store.get_job("0b") is None


async def test_what_members_say_and_what_answers_them_stays_out_of_the_repr(store: Store) -> None:
    await accept(store, "0a", interaction_token=TOKEN, parameters={"prompt": "my secret"})
    shown = repr(await get(store, "0a"))
    assert TOKEN not in shown
    assert "secret" not in shown


async def test_finishing_tells_where_the_pictures_are_and_forgets_the_token(
    store: Store, clock: Clock
) -> None:
    await accept(store, "0a", interaction_token=TOKEN, token_expires_at=clock.now + 900)
    assert await store.mark_running("0a")
    assert (await get(store, "0a")).state is JobState.RUNNING
    clock.now += 3
    posted = (PostedPicture(2**60, "a.png", 5), PostedPicture(2**60 + 1, "b.png", 6))
    assert await store.finish_job(
        "0a", JobState.DONE, channel_id=12, message_id=99, attachments=posted
    )
    job = await get(store, "0a")
    assert job.is_finished
    assert (job.channel_id, job.message_id, job.attachments) == (12, 99, posted)
    assert (job.interaction_token, job.token_expires_at) == (None, None)
    assert job.finished_at == clock.now


async def test_a_job_ends_once(store: Store) -> None:
    await accept(store, "0a")
    ends = await asyncio.gather(
        *(store.finish_job("0a", JobState.FAILED, error_code=f"code{n}") for n in range(8))
    )
    assert sum(ends) == 1
    assert not await store.mark_running("0a")
    assert (await get(store, "0a")).error_code == f"code{ends.index(True)}"
    assert not await store.finish_job("unknown", JobState.DONE)
    with pytest.raises(ValueError, match="not an end"):
        await store.finish_job("0a", JobState.RUNNING)


async def test_a_job_id_is_taken_once(store: Store) -> None:
    await accept(store, "0a")
    with pytest.raises(StoreError) as caught:
        await accept(store, "0a")
    assert caught.value.code == "store_conflict"
    assert store.available


async def test_history_is_newest_first_and_pages_without_gaps(store: Store, clock: Clock) -> None:
    for number in range(12):
        await accept(store, f"{number:02}")
        await accept(store, f"other{number}", user_id=8)
        clock.now += number % 2  # pairs share one instant
    seen: list[str] = []
    before = None
    while page := await store.jobs_of_user(7, limit=5, before=before):
        seen += [job.job_id for job in page]
        before = page[-1].cursor
    assert seen == [f"{number:02}" for number in reversed(range(12))]


async def test_unfinished_jobs_are_those_without_an_end(store: Store, clock: Clock) -> None:
    for number, state in enumerate(JobState):
        await accept(store, f"0{number}")
        if state is JobState.RUNNING:
            await store.mark_running(f"0{number}")
        elif state is not JobState.ACCEPTED:
            await store.finish_job(f"0{number}", state)
        clock.now += 1
    assert [job.job_id for job in await store.unfinished_jobs()] == ["00", "01"]


async def test_jobs_of_a_living_process_are_no_orphans(store: Store, clock: Clock) -> None:
    await accept(store, "0a", owner="this", ttl=30.0)
    await accept(store, "0b", owner="other", ttl=30.0)
    await accept(store, "0c")
    assert [job.job_id for job in await store.unfinished_jobs(orphaned=True)] == ["0c"]
    clock.now += 20
    assert await store.renew_claims("this", 30.0) == 1
    clock.now += 20
    orphans = await store.unfinished_jobs(orphaned=True)
    assert sorted(job.job_id for job in orphans) == ["0b", "0c"]
    assert await store.release_claims("this") == 1
    assert len(await store.unfinished_jobs(orphaned=True)) == 3


async def test_of_many_processes_one_gets_the_claim(url: str, store: Store, clock: Clock) -> None:
    others = [await Store.open(url, clock=clock) for _ in range(3)]
    everyone = [store, *others]
    for press in ("press1", "press2"):
        won = await asyncio.gather(
            *(
                one.claim(press, f"process{number}.{attempt}", 30.0)
                for number, one in enumerate(everyone)
                for attempt in range(5)
            )
        )
        assert sum(won) == 1
    for one in others:
        await one.close()


async def test_a_claim_is_renewed_by_its_owner_and_falls_free_in_time(
    store: Store, clock: Clock
) -> None:
    assert await store.claim("0a", "first", 30.0)
    assert not await store.claim("0a", "second", 30.0)
    clock.now += 29
    assert await store.claim("0a", "first", 30.0)
    clock.now += 29
    assert not await store.claim("0a", "second", 30.0)
    clock.now += 1
    assert await store.claim("0a", "second", 30.0)
    assert not await store.claim("0a", "first", 30.0)


async def test_what_has_ended_is_taken_by_nobody(store: Store, clock: Clock) -> None:
    await accept(store, "0a", owner="first", ttl=30.0)
    assert not await store.take_job("0a", "second", 30.0)
    clock.now += 30
    assert await store.take_job("0a", "second", 30.0)
    assert not await store.take_job("0a", "first", 30.0)
    await store.finish_job("0a", JobState.DONE)
    assert not await store.take_job("0a", "first", 30.0)
    assert not await store.take_job("unknown", "first", 30.0)
    assert await store.release_claims("first") == 0


async def test_a_job_that_ends_is_not_taken_at_the_same_moment(url: str, clock: Clock) -> None:
    one, other = [await Store.open(url, clock=clock) for _ in range(2)]
    for number in range(20):
        await accept(one, f"{number:02}")
        ended, _ = await asyncio.gather(
            one.finish_job(f"{number:02}", JobState.DONE), other.take_job(f"{number:02}", "x", 30.0)
        )
        assert ended
        assert not await other.take_job(f"{number:02}", "y", 30.0)
    await one.close()
    await other.close()


async def test_a_member_can_have_everything_forgotten(store: Store, clock: Clock) -> None:
    await accept(store, "0a", owner="this")
    await accept(store, "0b")
    await accept(store, "0c", user_id=8)
    for job_id in ("0a", "0c"):
        await store.keep_picture(
            job_id=job_id, filename="a.png", data=b"png", expires_at=clock.now + 60
        )
    assert await store.delete_jobs_of_user(7) == 2
    assert await store.jobs_of_user(7) == []
    assert await store.kept_pictures(7) == []
    assert await store.renew_claims("this", 1.0) == 0
    assert len(await store.kept_pictures(8)) == 1


async def test_purging_forgets_the_old_and_the_expired(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.jobs.PURGE_CHUNK", 2)
    for number in range(5):
        await accept(store, f"old{number}")
    await store.keep_picture(job_id="old0", filename="a", data=b"x", expires_at=clock.now + 1)
    await accept(store, "renewed")
    clock.now += 100
    await store.finish_job("renewed", JobState.DONE)
    await accept(store, "new", interaction_token=TOKEN, token_expires_at=clock.now + 10)
    await store.claim("press", "this", 5.0)
    clock.now += 20
    assert await store.purge(clock.now - 50) == 5
    assert {job.job_id for job in await store.jobs_of_user(7)} == {"renewed", "new"}
    assert (await get(store, "new")).interaction_token is None
    assert await store.release_claims("this") == 0


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(parameters=st.dictionaries(st.text(), JSON, max_size=4))
async def test_any_json_survives_as_parameters(
    store: Store, clock: Clock, parameters: dict[str, object]
) -> None:
    clock.now += 1
    job_id = f"{clock.now:.0f}"
    await accept(store, job_id, parameters=parameters)
    assert (await get(store, job_id)).parameters == parameters


async def test_what_comes_together_shares_a_transaction(store: Store) -> None:
    groups: list[int] = []
    write = store._accept.carry_out

    async def counted(group: list[Any]) -> list[None]:
        groups.append(len(group))
        return await write(group)

    store._accept.carry_out = counted
    await asyncio.gather(*(accept(store, f"{number:02}", owner="me") for number in range(40)))
    assert sum(groups) == 40
    assert len(groups) <= 4
    assert len(await store.unfinished_jobs()) == 40
    assert await store.unfinished_jobs(orphaned=True) == []


async def test_one_bad_write_costs_the_others_nothing(store: Store) -> None:
    await accept(store, "07")
    results = await asyncio.gather(
        *(accept(store, f"{number:02}") for number in range(12)), return_exceptions=True
    )
    assert [type(one) for one in results if one] == [StoreError]
    assert isinstance(results[7], StoreError)
    assert len(await store.unfinished_jobs()) == 12


async def test_a_caller_who_leaves_does_not_take_others_along(store: Store) -> None:
    tasks = [asyncio.create_task(accept(store, f"{number:02}")) for number in range(8)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [task.cancelled() for task in tasks] == [True, False] * 4
    written = {job.job_id for job in await store.unfinished_jobs()}
    assert written >= {f"{number:02}" for number in range(1, 8, 2)}


async def test_what_a_member_deletes_is_in_no_file_any_more(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/store.db")
    secret = "zq-secret-prompt-zq"

    def found() -> bool:
        return any(secret.encode() in path.read_bytes() for path in tmp_path.iterdir())

    for number in range(20):
        await store.accept_job(
            job_id=f"{number:02}", kind="imagine", user_id=7, parameters={"prompt": secret}
        )
        await store.keep_source(f"{number:02}", 0, secret.encode() * 500)
    assert found()
    await store.delete_jobs_of_user(7)
    assert not found()
    await store.close()
    assert not found()


async def test_the_unfinished_are_found_without_going_through_all_jobs(sqlite_url: str) -> None:
    store = await Store.open(sqlite_url)
    for call in (store.unfinished_jobs(), store.unfinished_jobs(orphaned=True)):
        (steps,) = (await plans_of(store, call)).values()
        assert [step for step in steps if "jobs" in step] == [
            "SCAN jobs USING INDEX ix_jobs_unfinished"
        ]
    plans = await plans_of(store, store.purge(0.0))
    (steps,) = (steps for statement, steps in plans.items() if statement.startswith("UPDATE jobs"))
    assert steps == ["SCAN jobs USING INDEX ix_jobs_unfinished"]
    await store.close()
