"""The message that says why there is no picture, with a way to try again where that may help."""

from __future__ import annotations

import time

from bot.errors import EngineError
from bot.replies import Outgoing, error_text, text_message, waiting_view
from cogs.common.controls import retry_button


def refusal_message(error: BaseException, *, locale: str, job_id: str) -> Outgoing:
    """Return the sentence for `error`; after a fault of the engine's, with a Retry button.

    `job_id` is `-` for a request that was never accepted: there is nothing to be tried again.
    """
    text = error_text(error, locale=locale, now=time.time(), job_id=job_id)
    if isinstance(error, EngineError) and job_id != "-":
        return Outgoing(
            view=lambda: waiting_view(text, retry_button(job_id, locale=locale)), files=list
        )
    return text_message(text)
