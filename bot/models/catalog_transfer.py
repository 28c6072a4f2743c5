"""Carry one file from a hub to the disk, over as many broken connections as it takes.

The hub's own client throws a part of a file away when its process ends; a gigabyte over a slow line
then starts from nothing. Here the part stays beside its target and the next run asks for the rest.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx2
from huggingface_hub import get_session

from bot.models.catalog import ModelError
from bot.models.catalog_hubs import HubFile

log = logging.getLogger(__name__)
# It logs every address at INFO, and a hub redirects to signed ones.
logging.getLogger("httpx2").setLevel(logging.WARNING)

TRIES: Final = 5
"""Attempts in a row that may bring nothing before we give up."""
TIMEOUT: Final = httpx2.Timeout(30.0, connect=10.0)
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

Received = Callable[[int], None]
"""Told how many bytes of the file are on the disk now."""


class _Interrupted(Exception):
    """The connection broke or the hub is busy; what has arrived is on the disk."""


def transfer(
    file: HubFile, target: Path, *, received: Received = lambda _: None, pause_s: float = 1.0
) -> None:
    """Bring `file` to `target`, resuming what an earlier run left, and check its hash.

    The pause between attempts starts at `pause_s` seconds and doubles. Raises ModelError when the
    hub gives up on us, the disk is full, or the bytes are not those the hub promised.
    """
    part = part_of(file, target)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _disk_error(error, file, target) from error
    fruitless = 0
    while (before := _length(part)) < file.size or not part.exists():
        try:
            _receive(file, part, received)
        except _Interrupted as error:
            fruitless = 0 if _length(part) > before else fruitless + 1
            if fruitless >= TRIES:
                raise ModelError(
                    f"{file.path} cannot be fetched ({error}); what has arrived is kept, so run "
                    "the same command again later."
                ) from error
            log.warning("Fetching %s was interrupted (%s); resuming", file.path, error)
            time.sleep(pause_s * 2**fruitless)
        except OSError as error:
            raise _disk_error(error, file, target) from error
    if not matches(part, file):
        part.unlink()
        raise ModelError(
            f"{file.path} does not have the hash that the hub gives for it and was deleted; run "
            "the same command again, or take the other hub with --from."
        )
    part.replace(target)


def part_of(file: HubFile, target: Path) -> Path:
    """Return where an unfinished `file` waits; the hash keeps two revisions apart."""
    identity = file.sha256 or file.git_sha1 or "unknown"
    return target.with_name(f"{target.name}.{identity[:12]}.part")


def matches(path: Path, file: HubFile) -> bool:
    """Return whether `path` holds exactly what the hub lists: size, and hash where it gives one."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    if file.sha256:
        return digest(path, "sha256") == file.sha256.lower()
    if file.git_sha1:
        return git_sha1(path) == file.git_sha1.lower()
    return True


def digest(path: Path, algorithm: str) -> str:
    """Return the file's digest in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def git_sha1(path: Path) -> str:
    """Return git's object id of the file: SHA-1 over the header `blob SIZE NUL` and the bytes."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _receive(file: HubFile, part: Path, received: Received) -> None:
    """Append what the hub sends. Raises _Interrupted when that was less than the whole file."""
    have = _length(part)
    headers = {**file.headers, "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with get_session().stream(
            "GET", file.url, headers=headers, timeout=TIMEOUT, follow_redirects=True
        ) as response:
            _check(response, file)
            resumed = response.status_code == httpx2.codes.PARTIAL_CONTENT
            if resumed and not _starts_at(response, have):
                raise ModelError(f"The hub sent the wrong range of {file.path}; try again later.")
            # A server without ranges answers 200 and starts over; so must the file.
            with part.open("ab" if resumed else "wb") as stream:
                # As it comes: a chunk of a fixed size would lose what had arrived of it.
                for chunk in response.iter_bytes():
                    stream.write(chunk)
                    if stream.tell() > file.size:
                        break
                    received(stream.tell())
    except httpx2.TransportError as error:
        raise _Interrupted(type(error).__name__) from error
    if _length(part) < file.size:
        raise _Interrupted("the connection ended early")


def _check(response: httpx2.Response, file: HubFile) -> None:
    status = response.status_code
    if status in _TRANSIENT:
        raise _Interrupted(f"the hub answered {status}")
    if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
        raise ModelError(
            f"The hub does not let us have {file.path} ({status}); accept the model's licence on "
            "its page and set HF_TOKEN."
        )
    if response.is_error:
        raise ModelError(f"The hub answered {status} for {file.path}; try again later.")


def _starts_at(response: httpx2.Response, offset: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _disk_error(error: OSError, file: HubFile, target: Path) -> ModelError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelError(
            f"The disk became full while {file.path} arrived; make room or choose another folder "
            "with --into. What has arrived is kept."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ModelError(
            f"{target.parent} cannot be written ({os.strerror(error.errno)}); choose another "
            "folder with --into."
        )
    return ModelError(f"{file.path} cannot be written to {target.parent}: {error.strerror}.")
