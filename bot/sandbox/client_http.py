"""The ground of the control API's client: one session, one way to call, one error."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp

Json = dict[str, Any]
Name = str | int | None
NamedFile = tuple[str, bytes]
Files = Mapping[str, bytes | NamedFile | Sequence[NamedFile]]
"""Files by field: bytes alone take the field for their name, else (filename, bytes), or several."""


class SandboxError(Exception):
    """The sandbox's refusal, as a sentence; `status` is that of HTTP."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ControlHttp:
    """Calls the control API; enter it as an async context manager."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(self.base_url, connector=connector)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The HTTP session. Raises RuntimeError before the client was entered."""
        if self._session is None:
            raise RuntimeError("enter the client first: async with SandboxClient(url) as client")
        return self._session

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        files: Files | None = None,
    ) -> Any:
        """Call a route of the control API and return its JSON."""
        options: dict[str, Any] = {}
        if files:
            options["data"] = _form(body, files)
        elif body is not None:
            options["json"] = body
        params = {key: str(value) for key, value in (query or {}).items() if value is not None}
        async with self.session.request(
            method, f"/sandbox{path}", params=params, timeout=aiohttp.ClientTimeout(), **options
        ) as response:
            text = await response.text()
            if response.status >= 400:
                try:
                    message = json.loads(text)["message"]
                except (ValueError, KeyError, TypeError):
                    message = text
                raise SandboxError(message, status=response.status)
            return json.loads(text) if text else None


def _form(body: Any, files: Files) -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("payload_json", json.dumps(body or {}), content_type="application/json")
    for name, value in files.items():
        several: Sequence[NamedFile]
        if isinstance(value, bytes):
            several = [(name, value)]
        elif isinstance(value, tuple):
            several = [(str(value[0]), bytes(value[1]))]
        else:
            several = value
        for filename, data in several:
            form.add_field(name, data, filename=filename, content_type="application/octet-stream")
    return form


def given(**values: Any) -> Json:
    """Return the arguments that are not None."""
    return {key: value for key, value in values.items() if value is not None}


def as_object(value: Any) -> Json:
    """Return a value known to be an object. Raises SandboxError where it is not."""
    if not isinstance(value, dict):
        raise SandboxError(f"the sandbox answered {value!r} where an object was expected")
    return value
