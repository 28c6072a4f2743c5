"""The page's newest pictures, in memory, under names that nobody can guess."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Final

from bot.request import Picture

MOST_BYTES: Final = 64 * 1024 * 1024

MEDIA_TYPES: Final = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}


class Pictures:
    """Keeps as many of the newest pictures as fit into `most_bytes`."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._held = 0
        self._pictures: OrderedDict[str, Picture] = OrderedDict()

    def put(self, picture: Picture) -> str:
        """Keep `picture` and return its name, 128 random bits and the file's extension."""
        name = f"{secrets.token_hex(16)}.{extension_of(picture)}"
        self._pictures[name] = picture
        self._held += len(picture.data)
        while self._held > self._most_bytes and len(self._pictures) > 1:
            _, oldest = self._pictures.popitem(last=False)
            self._held -= len(oldest.data)
        return name

    def get(self, name: str) -> Picture | None:
        """Return a picture, or None where it is unknown or gone."""
        return self._pictures.get(name)


def extension_of(picture: Picture) -> str:
    """Return a file's extension without the dot."""
    return picture.filename.rpartition(".")[2].lower()


def media_type(name: str) -> str:
    """Return the Content-Type for a picture's name."""
    return MEDIA_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
