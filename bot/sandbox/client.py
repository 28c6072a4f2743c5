"""A client of the control API, for programs that act as members."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
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


class SandboxClient:
    """Acts as members of a sandbox over HTTP; enter it as an async context manager.

    Users, channels and guilds are ids or names. Every method raises SandboxError where the
    sandbox refuses.
    """

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

    async def about(self) -> Json:
        """Return the server's addresses, token and application id."""
        return _object(await self.call("GET", ""))

    async def world(self, user: Name = None) -> Json:
        """Return what one member's client shows: guilds, channels, people, commands."""
        return _object(await self.call("GET", "/world", query={"user": user}))

    async def send(
        self,
        content: str = "",
        *,
        user: Name = None,
        channel: Name = None,
        guild: Name = None,
        files: Files | None = None,
        reply_to: Name = None,
        forward: Name = None,
        ping: bool = True,
    ) -> Json:
        """Send a message and return it."""
        body = _given(
            content=content,
            user=user,
            channel=channel,
            guild=guild,
            reply_to=reply_to,
            forward=forward,
            ping=ping,
        )
        return _object(await self.call("POST", "/messages", body, files=files))

    async def messages(
        self,
        channel: Name = None,
        *,
        user: Name = None,
        guild: Name = None,
        limit: int = 50,
        after: Name = None,
    ) -> list[Json]:
        """Return what a member sees of a channel, oldest first."""
        query = {"channel": channel, "user": user, "guild": guild, "limit": limit, "after": after}
        return list(await self.call("GET", "/messages", query=query))

    async def message(self, message_id: Name, *, user: Name = None) -> Json:
        """Return one message, its files' addresses signed afresh."""
        return _object(await self.call("GET", f"/messages/{message_id}", query={"user": user}))

    async def wait_message(
        self,
        channel: Name = None,
        *,
        user: Name = None,
        guild: Name = None,
        author: str | None = None,
        after: Name = None,
        timeout: float = 10.0,
    ) -> Json:
        """Return the first message after another, of an author if named; wait for it.

        Raises TimeoutError.
        """
        async with contextlib.AsyncExitStack() as stack:
            stream = await stack.enter_async_context(self.events(user=user, timeout=timeout))
            for message in await self.messages(channel, user=user, guild=guild, after=after):
                if author in (None, message["author"]["username"]):
                    return message
            async for event in stream:
                if event["type"] not in ("message_create", "message_update"):
                    continue
                for message in await self.messages(channel, user=user, guild=guild, after=after):
                    if author in (None, message["author"]["username"]):
                        return message
        raise TimeoutError(f"no message came within {timeout:g} s")

    async def edit(self, message_id: Name, content: str, *, user: Name = None) -> Json:
        """Change one's own message."""
        body = _given(content=content, user=user)
        return _object(await self.call("PATCH", f"/messages/{message_id}", body))

    async def delete(self, message_id: Name, *, user: Name = None) -> None:
        """Delete a message."""
        await self.call("DELETE", f"/messages/{message_id}", query={"user": user})

    async def dismiss(self, message_id: Name, *, user: Name = None) -> None:
        """Put away an ephemeral message."""
        await self.call("POST", f"/messages/{message_id}/dismiss", _given(user=user))

    async def dm(self, user: Name = None, *, with_users: Sequence[Name] | None = None) -> Json:
        """Open a private channel, with the bot unless others are named; return it."""
        others = list(with_users) if with_users else None
        return _object(await self.call("POST", "/dms", _given(user=user) | {"with": others}))

    async def command(
        self,
        text: str,
        *,
        user: Name = None,
        channel: Name = None,
        guild: Name = None,
        files: Files | None = None,
    ) -> str:
        """Run a slash command as typed; return the interaction's id."""
        act = _given(kind="command", text=text, user=user, channel=channel, guild=guild)
        return await self._act(act, files)

    async def invoke(
        self,
        name: str,
        options: Mapping[str, Any] | None = None,
        *,
        user: Name = None,
        channel: Name = None,
        guild: Name = None,
        files: Files | None = None,
    ) -> str:
        """Run a slash command with options by name; return the interaction's id."""
        act = _given(kind="command", name=name, user=user, channel=channel, guild=guild)
        return await self._act(act | {"options": dict(options or {})}, files)

    async def invoke_many(self, acts: Sequence[Mapping[str, Any]]) -> list[str]:
        """Carry out many acts at once, each as POST /sandbox/interactions takes it."""
        found = await self.call("POST", "/interactions", [dict(one) for one in acts])
        return [one["id"] for one in found]

    async def autocomplete(
        self,
        name: str,
        focused: str,
        options: Mapping[str, Any] | None = None,
        *,
        user: Name = None,
        channel: Name = None,
        guild: Name = None,
        timeout: float = 5.0,
    ) -> list[Json]:
        """Return the choices the bot offers for an option as far as typed."""
        act = _given(kind="autocomplete", name=name, user=user, channel=channel, guild=guild)
        act |= {"focused": focused, "options": dict(options or {})}
        record = await self.wait_response(await self._act(act, None), timeout=timeout)
        return list(record["choices"] or [])

    async def context_menu(
        self,
        name: str,
        *,
        message: Name = None,
        target_user: Name = None,
        user: Name = None,
        channel: Name = None,
        guild: Name = None,
    ) -> str:
        """Run a command from the context menu of a message or a user."""
        act = _given(kind="context_menu", name=name, message=message, target_user=target_user)
        return await self._act(act | _given(user=user, channel=channel, guild=guild), None)

    async def press(self, message_id: Name, custom_id: str, *, user: Name = None) -> str:
        """Press a button, named by its custom_id or its label."""
        act = _given(kind="button", message=message_id, custom_id=custom_id, user=user)
        return await self._act(act, None)

    async def select(
        self, message_id: Name, custom_id: str, values: Sequence[str], *, user: Name = None
    ) -> str:
        """Choose in a select menu, by value or label."""
        act = _given(kind="select", message=message_id, custom_id=custom_id, user=user)
        return await self._act(act | {"values": list(values)}, None)

    async def submit_modal(
        self,
        interaction_id: Name,
        values: Mapping[str, Any] | None = None,
        *,
        files: Files | None = None,
        user: Name = None,
    ) -> str:
        """Submit the modal an interaction opened, values and files by custom_id."""
        act = _given(kind="modal", interaction=interaction_id, user=user)
        return await self._act(act | {"values": dict(values or {})}, files)

    async def close_modal(self, interaction_id: Name) -> None:
        """Dismiss a modal without submitting it."""
        await self.call("POST", f"/interactions/{interaction_id}/close_modal", {})

    async def _act(self, act: Json, files: Files | None) -> str:
        return str((await self.call("POST", "/interactions", act, files=files))["id"])

    async def interaction(self, interaction_id: Name) -> Json:
        """Return an interaction's record as it stands."""
        return _object(await self.call("GET", f"/interactions/{interaction_id}"))

    async def wait_response(
        self, interaction_id: Name, *, timeout: float = 10.0, until: str = "answer"
    ) -> Json:
        """Return an interaction's record once it is acknowledged, answered or holds files.

        Raises SandboxError where nobody answered within three seconds; TimeoutError where it did
        not come so far within `timeout` seconds.
        """
        query = {"wait": timeout, "until": until}
        record = _object(await self.call("GET", f"/interactions/{interaction_id}", query=query))
        if record["error"]:
            raise SandboxError(record["error"], status=504)
        if not record["reached"]:
            raise TimeoutError(
                f"interaction {interaction_id} is {record['state']} after {timeout:g} s"
            )
        return record

    async def download(self, attachment: Mapping[str, Any] | str) -> bytes:
        """Return the bytes of an attachment or address. Raises SandboxError where it is gone."""
        url = attachment if isinstance(attachment, str) else attachment["url"]
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            if response.status != 200:
                raise SandboxError(await response.text(), status=response.status)
            return await response.read()

    async def traffic(
        self, *, after: int = 0, kind: str | None = None, broken_only: bool = False
    ) -> list[Json]:
        """Return the log of the wire, newest last."""
        query = {"after": after, "kind": kind, "broken": 1 if broken_only else None}
        return list(await self.call("GET", "/traffic", query=query))

    async def create_user(self, name: str, **options: Any) -> Json:
        """Create a person; options are locale and has_installed."""
        return _object(await self.call("POST", "/users", {"name": name} | options))

    async def set_user(self, user: Name, **options: Any) -> Json:
        """Change a person's locale, has_installed or accepts_dms."""
        return _object(await self.call("PATCH", f"/users/{user}", options))

    async def create_guild(self, name: str, **options: Any) -> Json:
        """Create a guild; options are owner, channels, members and bot."""
        return _object(await self.call("POST", "/guilds", {"name": name} | options))

    async def set_guild(self, guild: Name, **options: Any) -> Json:
        """Change a guild's name, premium_tier, locale, or whether the bot is in it."""
        return _object(await self.call("PATCH", f"/guilds/{guild}", options))

    async def set_member(self, guild: Name, user: Name, **options: Any) -> Json:
        """Change a member's permissions or nick, or whether they are present."""
        return _object(await self.call("PATCH", f"/guilds/{guild}/members/{user}", options))

    async def create_channel(self, guild: Name, name: str, **options: Any) -> Json:
        """Create a text channel; options are nsfw and topic."""
        body = {"guild": guild, "name": name} | options
        return _object(await self.call("POST", "/channels", body))

    async def set_channel(self, channel: Name, *, guild: Name = None, **options: Any) -> Json:
        """Change a channel's name, nsfw or topic."""
        query = {"guild": guild}
        return _object(await self.call("PATCH", f"/channels/{channel}", options, query=query))

    async def delete_channel(self, channel: Name, *, guild: Name = None) -> None:
        """Delete a channel."""
        await self.call("DELETE", f"/channels/{channel}", query={"guild": guild})

    async def set_overwrite(
        self, channel: Name, target: Name, *, allow: int = 0, deny: int = 0, guild: Name = None
    ) -> Json:
        """Allow or deny permissions to a role or member in one channel."""
        path = f"/channels/{channel}/overwrites/{target}"
        body = {"allow": allow, "deny": deny}
        return _object(await self.call("PUT", path, body, query={"guild": guild}))

    async def settings(self, **options: Any) -> Json:
        """Change privileged_intents or rate_limits; return what is set."""
        return _object(await self.call("PATCH", "/settings", options))

    async def advance(self, seconds: float) -> float:
        """Move the sandbox's clock forward; return its time."""
        return float((await self.call("POST", "/clock", {"advance": seconds}))["now"])

    async def fault(self, target: str, kind: str, **options: Any) -> Json:
        """Put a fault in force for "rest" or "cdn"; see `bot.sandbox.faults.Fault`."""
        return _object(
            await self.call("POST", "/faults", {"target": target, "kind": kind} | options)
        )

    async def faults(self) -> list[Json]:
        """Return the faults in force with their counts."""
        return list(await self.call("GET", "/faults"))

    async def clear_faults(self) -> None:
        """Take every fault out of force."""
        await self.call("DELETE", "/faults")

    async def gateway_fault(self, kind: str, **options: Any) -> int:
        """Deal a blow to the gateway's connections; return how many it hit."""
        found = await self.call("POST", "/faults/gateway", {"kind": kind} | options)
        return int(found["connections"])

    async def expire(self, interaction_id: Name) -> None:
        """Make an interaction's token worthless."""
        await self.call("POST", "/faults/expire", {"interaction": interaction_id})

    @contextlib.asynccontextmanager
    async def events(
        self, user: Name = None, *, traffic: bool = False, timeout: float | None = None
    ) -> AsyncIterator[AsyncIterator[Json]]:
        """Open the stream of what a member sees; iterating raises TimeoutError after `timeout`."""
        if user is None:
            user = (await self.world())["user"]["id"]
        query = {"user": str(user)} | ({"traffic": "1"} if traffic else {})
        async with self.session.ws_connect("/sandbox/events", params=query) as socket:

            async def frames() -> AsyncIterator[Json]:
                while True:
                    yield _object(json.loads(await socket.receive_str(timeout=timeout)))

            await socket.receive_str(timeout=timeout)
            yield frames()


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


def _given(**values: Any) -> Json:
    return {key: value for key, value in values.items() if value is not None}


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise SandboxError(f"the sandbox answered {value!r} where an object was expected")
    return value
