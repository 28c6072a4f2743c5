"""What the members of a soak ask for: commands, remixes, mentions, presses and forms."""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from bot.bench.watch import Watch

LONGEST_WAIT_SECONDS: Final = 120.0
UNHEARD_SECONDS: Final = 20.0
"""A mention that nobody heard for so long was lost with its gateway session."""

POLL_SECONDS: Final = 0.05

FIRST_SEED: Final = 10_000_000
PRESSES: Final = ("Reroll", "Vary")


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing a member asked: how, by which interaction or message, in which channel."""

    kind: str
    key: str
    id: int
    channel_id: int
    is_interaction: bool = True


def photo(side: int = 96) -> bytes:
    """Return a JPEG to remix."""
    data = io.BytesIO()
    Image.radial_gradient("L").resize((side, side)).convert("RGB").save(data, "JPEG")
    return data.getvalue()


class Member:
    """One of those who ask at the same time; asks one thing after the other."""

    def __init__(
        self,
        client: Any,
        sandbox: Any,
        watch: Watch,
        *,
        names: list[str],
        guilds: int,
        seed: int | str,
    ) -> None:
        self.client = client
        self.state = sandbox.state
        self.watch = watch
        self.names = names
        self.guilds = guilds
        self.asked: list[Asked] = []
        self._chance = random.Random(seed)
        self._photo = photo()
        self._last: tuple[str, int, int] | None = None
        """Who may press the buttons of which message, in which channel."""

    async def ask(self, numbers: Iterator[int]) -> None:
        """Ask until there are no more numbers; what is asked carries seeds of its number."""
        for number in numbers:
            kind = self._chance.random()
            user, channel, message = self._last or ("", 0, 0)
            if kind < 0.2 and message in self.state.messages.get(channel, ()):
                await self._press(user, str(message), form=kind < 0.05)
            elif kind < 0.4:
                await self._mention(number, with_photo=kind < 0.3)
            else:
                await self._command(number, remix=kind < 0.55)

    async def _command(self, number: int, *, remix: bool) -> None:
        guild = f"guild{self._chance.randrange(self.guilds)}"
        user = self._chance.choice(self.names)
        text = (
            (f"/remix prompt:snow seed:{FIRST_SEED + 10 * number}")
            if remix
            else self._imagine(number)
        )
        sent = await self.client.command(
            text,
            user=user,
            guild=guild,
            channel=f"{guild}-art",
            files={"image": ("photo.jpg", self._photo)} if remix else None,
        )
        await self._until_settled(user, self._interaction("remix" if remix else "imagine", sent))

    def _imagine(self, number: int) -> str:
        """Return a command: mostly pictures, some private, some several, some to be refused."""
        kind, seed = self._chance.random(), FIRST_SEED + 10 * number
        if kind < 0.05:
            return f"/imagine prompt:a boat seed:{seed} style:nonsense"
        private = " private:true" if kind < 0.15 else ""
        count = f" count:{self._chance.randint(2, 4)}" if kind > 0.9 else ""
        return f"/imagine prompt:a boat at dusk seed:{seed}{private}{count}"

    async def _mention(self, number: int, *, with_photo: bool) -> None:
        guild = f"guild{self._chance.randrange(self.guilds)}"
        user = self._chance.choice(self.names)
        flag = "--sead" if self._chance.random() < 0.05 else "--seed"
        message = await self.client.send(
            f"<@{self.state.application_id}> a boat {flag} {FIRST_SEED + 10 * number}",
            user=user,
            guild=guild,
            channel=f"{guild}-art",
            files={"file": ("photo.jpg", self._photo)} if with_photo else None,
        )
        kind = "mention with a picture" if with_photo else "mention"
        sent = Asked(kind, message["id"], int(message["id"]), int(message["channel_id"]), False)
        await self._until_settled(user, sent)

    async def _press(self, user: str, message: str, *, form: bool) -> None:
        label = "Remix…" if form else self._chance.choice(PRESSES)
        sent = self._interaction(
            "form" if form else "press", await self.client.press(message, label, user=user)
        )
        await self._until_settled(user, sent)
        modal = self.state.interactions[sent.id].modal
        if modal is not None:
            fields = [one["component"]["custom_id"] for one in modal["components"]]
            submitted = await self.client.submit_modal(
                str(sent.id), {fields[0]: "a ship", fields[1]: "0.6"}, user=user
            )
            await self._until_settled(user, self._interaction("submitted form", submitted))

    def _interaction(self, kind: str, sent: str) -> Asked:
        record = self.state.interactions[int(sent)]
        return Asked(kind, record.token, record.id, record.channel_id)

    async def _until_settled(self, user: str, sent: Asked) -> None:
        """Return once something is answered or failed, or nobody need wait for it any longer."""
        self.asked.append(sent)
        began = time.perf_counter()
        # What is looked at are the sandbox's own records, whose events serve one waiter each.
        while not self._is_settled(sent, time.perf_counter() - began):  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
        for outcome in self.watch.outcomes[sent.key]:
            if outcome.posted is not None:
                self._last = user, outcome.posted.channel_id, outcome.posted.message_id

    def _is_settled(self, sent: Asked, seconds: float) -> bool:
        if seconds > LONGEST_WAIT_SECONDS or self.watch.outcomes[sent.key]:
            return True
        if not sent.is_interaction:
            return seconds > UNHEARD_SECONDS and not self.watch.heard[sent.key]
        record = self.state.interactions[sent.id]
        # What opens a form is not the studio's business, and nothing more comes of it.
        is_over = record.modal is not None or not self.watch.heard[sent.key]
        return record.failed or (record.answered_at is not None and is_over)
