"""Judging a soak: what became of everything that was asked, from all that a sandbox holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from bot.bench.asking import Asked
from bot.bench.watch import Watch
from bot.conversation import Outcome
from bot.errors import DeliveryFailed

LOADING: Final = 1 << 7
"""The flag of a message that says the bot is thinking."""

_SEED: Final = re.compile(r"-(\d+)\.[a-z]+$")


class Fate(StrEnum):
    """What became of one thing that was asked."""

    ANSWERED = "answered"
    """With its pictures, all of them."""
    REFUSED = "refused"
    """In a sentence."""
    FORM = "form"
    """By a form that opened."""
    KEPT = "kept"
    """Nothing could be delivered; the pictures wait in /me."""
    UNHEARD = "unheard"
    """It never reached the bot: the gateway was down just then."""
    LOST = "lost"


@dataclass
class Shown:
    """What members can see: how often each seed's picture, and how often each bare sentence.

    Sentences are known by their nonce, or by their interaction as if they had one.
    """

    seeds: Counter[int] = field(default_factory=Counter)
    sentences: Counter[str] = field(default_factory=Counter)

    @property
    def duplicates(self) -> int:
        """How many pictures and sentences are there more than once."""
        counts = [*self.seeds.values(), *self.sentences.values()]
        return sum(1 for count in counts if count > 1)


def shown_in(sandbox: Any) -> Shown:
    """Return what all messages show: channels, ephemeral messages, mail."""
    shown = Shown()
    for messages in sandbox.state.messages.values():
        for message in messages.values():
            if message.author_id != sandbox.state.application_id:
                continue
            names = [attachment.filename for attachment in message.attachments]
            shown.seeds.update({int(match[1]) for one in names if (match := _SEED.search(one))})
            if not names and not message.flags & LOADING:
                shown.sentences[str(message.nonce or f"{message.interaction_id}e")] += 1
    return shown


async def fate_of(one: Asked, sandbox: Any, app: Any, watch: Watch, shown: Shown) -> Fate:
    """Return what became of one thing that was asked."""
    outcomes = watch.outcomes[one.key]
    seeds = seeds_of(outcomes)
    if seeds and all(shown.seeds[seed] for seed in seeds):
        return Fate.ANSWERED
    # By the ladder's lower rungs a sentence is a message of its own, told by its nonce.
    told = any(shown.sentences[f"{known}e"] for known in (one.id, *(o.job_id for o in outcomes)))
    record = sandbox.state.interactions[one.id] if one.is_interaction else None
    if record is not None:
        if record.modal is not None and not watch.heard[one.key]:
            return Fate.FORM
        told = told or (record.answered_at is not None and not seeds)
    if told:
        return Fate.REFUSED
    if any([await _is_kept(app, outcome) for outcome in outcomes]):
        return Fate.KEPT
    is_heard = watch.heard[one.key] > 0 or (record is not None and record.acked_at is not None)
    return Fate.LOST if is_heard else Fate.UNHEARD


def seeds_of(outcomes: Sequence[Outcome]) -> list[int]:
    """Return the seeds of every picture that was drawn and delivered, as the bot believes."""
    return [
        picture.seed
        for outcome in outcomes
        if outcome.result is not None
        for picture in outcome.result.pictures
    ]


async def _is_kept(app: Any, outcome: Outcome) -> bool:
    if outcome.code != DeliveryFailed.default_code:
        return False
    job = await app.store.get_job(outcome.job_id)
    pictures = await app.store.kept_pictures(job.user_id) if job else []
    return any(picture.job_id == outcome.job_id for picture in pictures)
