"""Telling of a fault on the live page without a visitor's words, which exceptions carry along."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

MOST_CAUSES: Final = 20

UNREADABLE: Final = "The page could not read this request."


def hush(blocks: Any, shown: Any) -> None:
    """Have `blocks` print no exception; `shown` is Gradio's own, whose words a visitor reads.

    Gradio prints every other one to stderr, and those of its own that do not forbid it. What they
    say quotes the inputs, prompts among them.
    """
    process = blocks.process_api

    async def process_quietly(*given: Any, **options: Any) -> Any:
        try:
            return await process(*given, **options)
        except shown as error:
            error.print_exception = False
            raise
        except Exception as error:
            log.error("the live page failed at an event: %s", place_of(error))
            raise shown(UNREADABLE, print_exception=False) from None

    blocks.process_api = process_quietly


def place_of(error: BaseException) -> str:
    """Return what kind of exception it is and where it was raised, and nothing of what it says."""
    error = root_of(error)
    place = "nowhere"
    for frame, line in traceback.walk_tb(error.__traceback__):
        place = f"{Path(frame.f_code.co_filename).name}:{line}"
    return f"{type(error).__name__} at {place}"


def root_of(error: BaseException) -> BaseException:
    """Return the exception that others were raised from, or that came in a group."""
    # They may go round in a ring.
    for _ in range(MOST_CAUSES):
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        elif error.__cause__ is not None:
            error = error.__cause__
    return error
