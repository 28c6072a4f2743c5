"""A client of the control API, for programs that act as members."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp

from bot.sandbox.client_http import Files, Json, Name, SandboxError, as_object, given
from bot.sandbox.client_world import WorldClient


class SandboxClient(WorldClient):
    """Acts as members of a sandbox over HTTP; enter it as an async context manager.

    Users, channels and guilds are ids or names. Every method raises SandboxError where the
    sandbox refuses.
    """

    async def about(self) -> Json:
        """Return the server's addresses, token and application id."""
        return as_object(await self.call("GET", ""))

    async def world(self, user: Name = None) -> Json:
        """Return what one member's client shows: guilds, channels, people, commands."""
        return as_object(await self.call("GET", "/world", query={"user": user}))

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
        body = given(
            content=content,
            user=user,
            channel=channel,
            guild=guild,
            reply_to=reply_to,
            forward=forward,
            ping=ping,
        )
        return as_object(await self.call("POST", "/messages", body, files=files))

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
        return as_object(await self.call("GET", f"/messages/{message_id}", query={"user": user}))

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
        body = given(content=content, user=user)
        return as_object(await self.call("PATCH", f"/messages/{message_id}", body))

    async def delete(self, message_id: Name, *, user: Name = None) -> None:
        """Delete a message."""
        await self.call("DELETE", f"/messages/{message_id}", query={"user": user})

    async def dismiss(self, message_id: Name, *, user: Name = None) -> None:
        """Put away an ephemeral message."""
        await self.call("POST", f"/messages/{message_id}/dismiss", given(user=user))

    async def dm(self, user: Name = None, *, with_users: Sequence[Name] | None = None) -> Json:
        """Open a private channel, with the bot unless others are named; return it."""
        others = list(with_users) if with_users else None
        return as_object(await self.call("POST", "/dms", given(user=user) | {"with": others}))

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
        act = given(kind="command", text=text, user=user, channel=channel, guild=guild)
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
        act = given(kind="command", name=name, user=user, channel=channel, guild=guild)
        return await self._act(act | {"options": dict(options or {})}, files)

    async def invoke_many(self, acts: Sequence[Mapping[str, Any]]) -> list[str]:
        """Carry out many acts at once, each as POST /sandbox/interactions takes it."""
        found = await self.call("POST", "/interactions", [dict(one) for one in acts])
        refused = [one["message"] for one in found if "id" not in one]
        if refused:
            raise SandboxError(f"{len(refused)} of {len(found)} acts were refused: {refused[0]}")
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
        act = given(kind="autocomplete", name=name, user=user, channel=channel, guild=guild)
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
        act = given(kind="context_menu", name=name, message=message, target_user=target_user)
        return await self._act(act | given(user=user, channel=channel, guild=guild), None)

    async def press(self, message_id: Name, custom_id: str, *, user: Name = None) -> str:
        """Press a button, named by its custom_id or its label."""
        act = given(kind="button", message=message_id, custom_id=custom_id, user=user)
        return await self._act(act, None)

    async def select(
        self, message_id: Name, custom_id: str, values: Sequence[str], *, user: Name = None
    ) -> str:
        """Choose in a select menu, by value or label."""
        act = given(kind="select", message=message_id, custom_id=custom_id, user=user)
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
        act = given(kind="modal", interaction=interaction_id, user=user)
        return await self._act(act | {"values": dict(values or {})}, files)

    async def close_modal(self, interaction_id: Name) -> None:
        """Dismiss a modal without submitting it."""
        await self.call("POST", f"/interactions/{interaction_id}/close_modal", {})

    async def _act(self, act: Json, files: Files | None) -> str:
        return str((await self.call("POST", "/interactions", act, files=files))["id"])

    async def interaction(self, interaction_id: Name) -> Json:
        """Return an interaction's record as it stands."""
        return as_object(await self.call("GET", f"/interactions/{interaction_id}"))

    async def wait_response(
        self, interaction_id: Name, *, timeout: float = 10.0, until: str = "answer"
    ) -> Json:
        """Return an interaction's record once it is acknowledged, answered or holds files.

        Raises SandboxError where nobody answered within three seconds; TimeoutError where it did
        not come so far within `timeout` seconds.
        """
        query = {"wait": timeout, "until": until}
        record = as_object(await self.call("GET", f"/interactions/{interaction_id}", query=query))
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
                    yield as_object(json.loads(await socket.receive_str(timeout=timeout)))

            await socket.receive_str(timeout=timeout)
            yield frames()
