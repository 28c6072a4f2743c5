"""Reading a request's body: JSON alone, or a form with `payload_json` and files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, hdrs, web

from bot.sandbox.errors import ApiError


@dataclass(frozen=True)
class Upload:
    """One file of a form."""

    name: str
    filename: str
    content_type: str
    data: bytes


@dataclass
class Body:
    """What a request carried: the JSON, and files by their field's name in the order sent."""

    payload: Any = None
    files: list[Upload] = field(default_factory=list)

    def parts(self) -> list[dict[str, Any]]:
        """Describe the files without their bytes."""
        return [
            {
                "name": one.name,
                "filename": one.filename,
                "content_type": one.content_type,
                "size": len(one.data),
            }
            for one in self.files
        ]


def _parse(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        raise ApiError(400, 50109, "The request body contains invalid JSON.") from None


async def read_body(request: web.Request) -> Body:
    """Read a request to its end.

    Raises ApiError 50109 for broken JSON; ConnectionError where the client went away meanwhile.
    """
    if not request.can_read_body:
        return Body()
    if not request.content_type.startswith("multipart/"):
        raw = await request.read()
        return Body(_parse(raw) if raw else None)
    body = Body()
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader):
                continue
            data = bytes(await part.read(decode=False))
            if part.name == "payload_json":
                body.payload = _parse(data)
            elif part.filename is not None:
                content_type = part.headers.get(hdrs.CONTENT_TYPE, "application/octet-stream")
                upload = Upload(part.name or "", part.filename, content_type, data)
                body.files.append(upload)
            else:
                body.payload = (body.payload or {}) | {str(part.name): data.decode()}
    except ValueError:
        raise ApiError(400, 50035, "Invalid Form Body", rule="the multipart body is cut") from None
    return body
