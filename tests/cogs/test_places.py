"""Outside guilds, over several guilds, while waiting: the same bot, answered by the token alone."""

from __future__ import annotations

from pathlib import Path

from tests.e2e import Town, null_scheduler, town, words
from tests.pictures import png


async def test_a_direct_message_draws(place: Town) -> None:
    channel = await place.member.dm("cleo")
    record = await place.command("/imagine prompt:a cat", user="cleo", channel=channel["id"])
    assert record["response"]["files"]
    me = await place.command("/me", user="cleo", channel=channel["id"])
    assert "a cat" in words(me["response"])


async def test_a_user_install_works_where_the_bot_is_no_member(place: Town) -> None:
    await place.member.create_guild("Elsewhere", owner="ada", channels=["lobby"], bot=False)
    record = await place.command(
        "/imagine prompt:a cat", user="ada", guild="Elsewhere", channel="lobby"
    )
    assert record["response"]["files"]
    again = await place.press(record["response"]["id"], "Reroll")
    assert "a cat" in words(again["response"])
    photo = await place.command(
        "/remix prompt:snow",
        user="ada",
        guild="Elsewhere",
        channel="lobby",
        files={"image": ("a.png", png())},
    )
    assert "strength 0.7" in words(photo["response"])


async def test_a_long_wait_is_told_and_can_be_left(tmp_path: Path) -> None:
    scheduler = null_scheduler(step_seconds=0.7)
    async with town(tmp_path, scheduler=scheduler, max_batch=1) as place:
        await place.command("/imagine prompt:warm", user="ben")
        busy = [
            await place.member.command(
                "/imagine prompt:busy count:4 steps:4", user=user, channel="general"
            )
            for user in ("ada", "ben", "ben")
        ]
        waiting = await place.member.command("/imagine prompt:mine", user="cleo", channel="general")
        await place.member.wait_response(waiting, until="ack")
        async with place.member.events(user="cleo") as stream:
            async for event in stream:
                message = event.get("message") or {}
                if message.get("interaction_id") == waiting and "pictures ahead" in words(message):
                    break
        pressed = await place.member.press(message["id"], "Cancel", user="ben")
        refused = await place.member.wait_response(pressed)
        assert "nothing of yours" in words(refused["response"])
        await place.member.press(message["id"], "Cancel", user="cleo")
        cleo = int(message["interaction_metadata"]["user"]["id"])
        for interaction in busy:
            await place.member.wait_response(interaction, until="files", timeout=60)
        (job,) = await place.app.store.jobs_of_user(cleo)
        assert job.state == "abandoned"


async def test_a_missing_permission_does_not_stop_an_answer_by_token(place: Town) -> None:
    await place.member.set_overwrite("general", "turbocord", deny=(1 << 10) | (1 << 11))
    record = await place.command("/imagine prompt:a cat", user="cleo")
    assert record["response"]["files"]
