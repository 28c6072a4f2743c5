"""What a visitor may name as a file: what was uploaded to this page, and nothing else.

A request names files by their path. Gradio copies what is named into its cache before any of our
code is asked, in whichever control it stands: without its own check, which only its own server
turns on, any file of the host, and an address it downloads.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

NOT_HERE: Final = "This picture is not among the uploads, or no longer: please upload it again."

FILE_BYTES: Final = 64 * 1024
"""What each file counts for beside its size, so that there is a bound on the empty ones too."""

EMPTY_SECONDS: Final = 60.0
"""How old an empty folder is that nothing more will come into."""


def guard(blocks: Any, refusal: Callable[[str], Exception]) -> None:
    """Have `blocks` take uploads alone; `refusal` makes the error that tells a visitor.

    To be called once the page is built and before it is served.
    """
    # Gradio checks paths for pages that `launch` has started, and this one never is.
    blocks.has_launched = True
    folder = blocks.GRADIO_CACHE
    preprocess = blocks.preprocess_data

    async def preprocess_uploads(function: Any, inputs: list[Any], *rest: Any, **more: Any) -> Any:
        if not all(is_upload(path, folder) for path in named_in(inputs)):
            raise refusal(NOT_HERE)
        return await preprocess(function, inputs, *rest, **more)

    # Everything that an event brings passes here first, in every control and by every address.
    blocks.preprocess_data = preprocess_uploads


def named_in(value: Any) -> Iterator[Any]:
    """Yield what stands as a file's path anywhere in JSON, Gradio's own marks around it or not."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if one.get("path") is not None:
                yield one["path"]
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)


def is_upload(path: Any, folder: str) -> bool:
    """Return whether `path` is a file in `folder`; nothing is opened."""
    if not isinstance(path, str):
        return False
    try:
        place = Path(path).resolve()
        return place.is_relative_to(Path(folder).resolve()) and place.is_file()
    except (OSError, ValueError, RuntimeError):
        # Too long, no text at all, or links in a ring: nothing that could be uploaded.
        return False


def make_room(folder: str, most_bytes: int) -> None:
    """Delete the oldest files in `folder` until the others have at most `most_bytes`.

    They are told by what lies on the disk: Gradio knows nothing of uploads that it did not finish.
    """
    files: list[tuple[float, int, Path]] = []
    for place, _, names in os.walk(folder, topdown=False):
        for path in [Path(place, name) for name in names]:
            # Another may be gone by now.
            with contextlib.suppress(OSError):
                found = path.lstat()
                files.append((found.st_mtime, found.st_size + FILE_BYTES, path))
        if place != folder and not names:
            with contextlib.suppress(OSError):
                if Path(place).lstat().st_mtime < time.time() - EMPTY_SECONDS:
                    Path(place).rmdir()
    left = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if left <= most_bytes:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        left -= size
