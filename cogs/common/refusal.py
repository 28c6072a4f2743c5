"""The message that says why there is no picture, with a way to try again where that may help."""

from __future__ import annotations

import time
from typing import Final

from bot.errors import EngineError, NotAllowed
from bot.replies import Outgoing, error_text, text_message, waiting_view
from cogs.common.controls import retry_button

UNNAMED: Final = {"blocked_word": "blocked_word_unnamed"}
"""Sentences for everyone's eyes, by those that name what is not wanted there."""


def refusal_message(
    error: BaseException, *, locale: str, job_id: str, public: bool = False
) -> Outgoing:
    """Return the sentence for `error`; after a fault of the engine's, with a Retry button.

    `job_id` is `-` for a request that was never accepted: there is nothing to be tried again.
    `public` says that others than the member will read it.
    """
    if public and isinstance(error, NotAllowed) and error.code in UNNAMED:
        error = NotAllowed(UNNAMED[error.code])
    text = error_text(error, locale=locale, now=time.time(), job_id=job_id)
    if isinstance(error, EngineError) and job_id != "-":
        return Outgoing(
            view=lambda: waiting_view(text, retry_button(job_id, locale=locale)), files=list
        )
    return text_message(text)
