"""The CDN: bytes of attachments behind signed addresses that expire."""

from __future__ import annotations

import hashlib
import hmac
import io
import mimetypes
import re
import secrets
import warnings
from collections import OrderedDict
from typing import Final

from PIL import Image

from bot.sandbox.clock import Clock
from bot.sandbox.models import Attachment

SIGNED_FOR_S: Final = 24 * 3600
"""How long an address of an ordinary attachment works."""
EPHEMERAL_SIGNED_FOR_S: Final = 3600
"""How long one of an ephemeral attachment works; Discord only says that it is shorter."""


class Cdn:
    """Keeps bytes by attachment id, at most `keep_bytes` in all, and signs their addresses."""

    def __init__(self, clock: Clock, *, keep_bytes: int = 1 << 30) -> None:
        self.base_url = ""
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._blobs: OrderedDict[int, bytes] = OrderedDict()
        self._kept = 0
        self._keep_bytes = keep_bytes

    def put(self, attachment_id: int, data: bytes) -> None:
        """Store bytes; the oldest go when there are too many in all."""
        self._blobs[attachment_id] = data
        self._kept += len(data)
        while self._kept > self._keep_bytes and len(self._blobs) > 1:
            _, gone = self._blobs.popitem(last=False)
            self._kept -= len(gone)

    def get(self, attachment_id: int) -> bytes | None:
        """Return the bytes, or None once they are gone."""
        return self._blobs.get(attachment_id)

    def drop(self, attachment_id: int) -> None:
        """Forget an attachment whose message was deleted."""
        self._kept -= len(self._blobs.pop(attachment_id, b""))

    def path(self, attachment: Attachment) -> str:
        """Return an attachment's place on the CDN."""
        folder = "ephemeral-attachments" if attachment.ephemeral else "attachments"
        return f"/{folder}/{attachment.channel_id}/{attachment.id}/{attachment.filename}"

    def url(self, attachment: Attachment, *, proxy: bool = False) -> str:
        """Return a freshly signed address."""
        path = self.path(attachment)
        now = int(self._clock.now())
        lasts = EPHEMERAL_SIGNED_FOR_S if attachment.ephemeral else SIGNED_FOR_S
        expires, issued = f"{now + lasts:x}", f"{now:x}"
        mac = self._mac(path, expires, issued)
        prefix = "/media" if proxy else ""
        return f"{self.base_url}{prefix}{path}?ex={expires}&is={issued}&hm={mac}&"

    def refusal(self, path: str, expires: str, issued: str, mac: str) -> str | None:
        """Say why a signature does not open a path now, or None where it does."""
        if not hmac.compare_digest(mac, self._mac(path, expires, issued)):
            return "the signature does not belong to this address"
        if int(expires, 16) < self._clock.now():
            return "the address has expired: fetch the message again for a fresh one"
        return None

    def _mac(self, path: str, expires: str, issued: str) -> str:
        text = f"{path}\n{expires}\n{issued}".encode()
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()


def safe_filename(name: str) -> str:
    """Return a filename as Discord stores it: letters, digits, dot, dash and underscore."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "_", name.replace("\\", "/").rsplit("/", 1)[-1])
    return cleaned.strip("_") or "unknown"


def describe(filename: str, data: bytes) -> tuple[str | None, int | None, int | None]:
    """Return content type, width and height of a file, read from its name and first bytes.

    Discord tells the type by the name when the bytes are no picture it knows; a picture's size is
    read from its header without decoding it.
    """
    guessed = mimetypes.guess_type(filename)[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                return Image.MIME.get(image.format or "", guessed), width, height
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return guessed, None, None
