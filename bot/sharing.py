"""A finished result once more, for everyone."""

from __future__ import annotations

from dataclasses import replace

from bot.errors import Flagged
from bot.request import Asker, ImageRequest, ImageResult, OnFlagged


def shared_result(result: ImageResult, asker: Asker, flagged: OnFlagged) -> ImageResult:
    """Return a result as a job of its own for everyone, flagged pictures shown as `flagged` says.

    Raises Flagged where they may not be.
    """
    if flagged.refuses and any(picture.flagged for picture in result.pictures):
        raise Flagged(drawn=True, elsewhere=flagged is OnFlagged.REFUSE_HERE)
    pictures = tuple(
        replace(picture, spoiler=picture.flagged and flagged is OnFlagged.SPOILER)
        for picture in result.pictures
    )
    request = replace(
        result.request,
        job_id=ImageRequest.new_job_id(),
        private=False,
        user_id=asker.user_id,
        on_flagged=flagged,
    )
    return replace(result, request=request, pictures=pictures)
