"""The Discord client: command tree, one error handler, one place that knows the API's address."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import aiohttp
import discord
import yarl
from discord import app_commands
from discord.ext import commands

from bot import exit_codes
from bot.arrivals import Arrivals
from bot.errors import StartupError, StoreError
from bot.replies import error_text, is_refusal, text_message
from bot.shard import Shard
from bot.store import Store
from bot.studio import Studio
from bot.words import catalogue

log = logging.getLogger(__name__)

# Voice is not used: its optional libraries are not missed.
discord.VoiceClient.warn_nacl = False
discord.VoiceClient.warn_dave = False

EXTENSIONS: Final = tuple(
    f"cogs.{name}"
    for name in (
        "imagine",
        "remix",
        "blend",
        "live",
        "mentions",
        "results",
        "settings",
        "status",
        "member",
        "audit",
        "recovery",
        "leftovers",
    )
)

TREE_HASH: Final = "command_tree_hash"

AUTHENTICATION_FAILED: Final = 4004
"""The gateway's close code for a token it does not accept."""

GUILDS_SECONDS = 0.5
"""A shard is ready once no further guild came for this long. What comes later counts as well."""

SHARD_PAUSE_SECONDS = 5.0
"""How long a shard that could not connect at the start waits for its next attempt."""

ACKS_AT_ONCE: Final = 40
"""Acknowledgements on their way at any time; each needs a connection of its own."""
SHARDS_REFUSED: Final = (4010, 4011)
"""The gateway's close codes for a shard that cannot be, or that has too many guilds."""

PERMISSIONS: Final = discord.Permissions(
    view_channel=True,
    send_messages=True,
    send_messages_in_threads=True,
    attach_files=True,
    read_message_history=True,
)
"""Exactly what the bot needs in a guild; `turbocord invite` asks for these and no more."""


def invite_link(token: str) -> str:
    """Return the link by which someone who manages a guild invites the bot.

    A bot token's first part is the application's id in base64. Raises ValueError without one.
    """
    try:
        head = token.split(".")[0]
        application_id = int(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except ValueError:
        raise ValueError("DISCORD_TOKEN is missing or is not a bot token") from None
    return discord.utils.oauth_url(
        application_id, permissions=PERMISSIONS, scopes=("bot", "applications.commands")
    )


def point_at(api_base: str, gateway: str | None) -> None:
    """Make discord.py speak to another server than discord.com.

    These class attributes are what discord.py reads; the default gateway matters because an
    invalidated session dials it without asking the API again.
    """
    discord.http.Route.BASE = f"{api_base}/api/v10"
    if gateway is not None:
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)
    if api_base != "https://discord.com":
        discord.asset.Asset.BASE = api_base


def _login_failed() -> StartupError:
    return StartupError(
        "Discord does not accept DISCORD_TOKEN: reset it in the developer portal",
        exit_code=exit_codes.LOGIN,
    )


def _intent_missing() -> StartupError:
    return StartupError(
        "TURBOCORD_MESSAGE_CONTENT is on, but the message content intent is not enabled "
        "for this application in the developer portal",
        exit_code=exit_codes.INTENTS,
    )


def _unreachable(why: str) -> StartupError:
    return StartupError(
        f"Cannot reach Discord ({why}): check the network and TURBOCORD_API_BASE, then start again",
        exit_code=exit_codes.UNREACHABLE,
    )


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turn what discord.py raises, when Discord will not have us, into a StartupError."""
    try:
        yield
    except discord.LoginFailure as error:
        raise _login_failed() from error
    except discord.PrivilegedIntentsRequired as error:
        raise _intent_missing() from error
    except discord.ConnectionClosed as error:
        if error.code == AUTHENTICATION_FAILED:
            raise _login_failed() from error
        if error.code in SHARDS_REFUSED:
            raise StartupError(
                f"Discord refuses these shards ({error.code}): raise the count in "
                "TURBOCORD_SHARDS, one for every 2,500 guilds or fewer, in every process",
                exit_code=exit_codes.CONFIG,
            ) from error
        raise _unreachable(f"the gateway closed with {error.code}") from error
    except (discord.HTTPException, discord.GatewayNotFound) as error:
        status = getattr(error, "status", 404)
        raise _unreachable(f"it answered HTTP {status}") from error
    except (aiohttp.ClientConnectionError, OSError) as error:
        raise _unreachable(type(error).__name__) from error


async def check_account(token: str, *, message_content: bool) -> None:
    """Log in and out again, so that what is wrong is said before a model is loaded.

    Raises StartupError where Discord cannot be reached, does not accept the token, or has not
    enabled the intent that `message_content` needs.
    """
    with refusals():
        async with discord.Client(intents=discord.Intents.none()) as client:
            await client.login(token)
            flags = client.application_flags
    has_intent = flags.gateway_message_content or flags.gateway_message_content_limited
    if message_content and not has_intent:
        raise _intent_missing()


class Catalogue(app_commands.Translator):
    """Translates command names and descriptions from the message catalogues."""

    async def translate(
        self,
        string: app_commands.locale_str,
        locale: discord.Locale,
        context: app_commands.TranslationContextTypes,
    ) -> str | None:
        """Return the words for `locale`, or None to leave the default."""
        key = string.extras.get("key")
        return catalogue(locale.value).get(key) if key else None


class TurboTree(app_commands.CommandTree["TurboBot"]):
    """The command tree; whatever a command did not handle becomes a sentence here."""

    async def interaction_check(self, interaction: discord.Interaction[TurboBot], /) -> bool:
        """Act on a command only if no other process, and no earlier copy of it, has."""
        return await interaction.client.takes(interaction.id)

    async def on_error(
        self, interaction: discord.Interaction[TurboBot], error: app_commands.AppCommandError
    ) -> None:
        """Answer for a command that raised, and log why."""
        await answer_failure(interaction, error)


async def answer_failure(interaction: discord.Interaction[TurboBot], error: BaseException) -> None:
    """Tell the member in a sentence only they see, and log what was not their doing.

    Every interaction callback, command or component, ends here when it fails, because discord.py
    itself would only log it and leave the member with "did not respond".
    """
    cause = getattr(error, "original", error)
    reference = format(interaction.id, "x")
    if is_refusal(cause):
        log.info("interaction %s refused: %s", reference, cause)
    else:
        log.error("interaction %s failed", reference, exc_info=cause)
    text = error_text(cause, locale=str(interaction.locale), now=time.time(), job_id=reference)
    message = text_message(text)
    try:
        if interaction.response.is_done():
            await interaction.followup.send(view=message.view(), ephemeral=True)
        else:
            await interaction.response.send_message(view=message.view(), ephemeral=True)
    except (discord.HTTPException, aiohttp.ClientError, OSError) as failed:
        # Not the error's own words: they can hold the interaction's token.
        why = getattr(failed, "status", type(failed).__name__)
        log.warning("interaction %s could not be told: %s", reference, why)


class TurboBot(commands.AutoShardedBot):
    """The bot; everything it works with is handed in, nothing is made here."""

    def __init__(
        self,
        *,
        studio: Studio,
        store: Store,
        arrivals: Arrivals,
        message_content: bool = False,
        shard_ids: Sequence[int] | None = None,
        shard_count: int | None = None,
    ) -> None:
        intents = discord.Intents(guilds=True, messages=True, message_content=message_content)
        super().__init__(
            command_prefix=commands.when_mentioned,
            tree_cls=TurboTree,
            intents=intents,
            help_command=None,
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=GUILDS_SECONDS,
            shard_ids=list(shard_ids) if shard_ids else None,  # type: ignore[arg-type]  # None is its default
            shard_count=shard_count,
        )
        self.studio = studio
        self.store = store
        self.acknowledging = asyncio.Semaphore(ACKS_AT_ONCE)
        self.arrivals = arrivals
        self.malformed_events = 0
        self._waiting: dict[int, str] = {}
        self._guard_parsers()

    def _guard_parsers(self) -> None:
        """Keep one malformed gateway event from ending the process.

        discord.py parses events inside the connection's own loop, so that an exception there
        (a missing key is enough) ends the shard and with it the client. There is no public hook.
        """
        parsers = self._connection.parsers
        for event, parse in list(parsers.items()):
            parsers[event] = self._guarded(event, parse)

    def _guarded(self, event: str, parse: Callable[[Any], None]) -> Callable[[Any], None]:
        def guarded(data: Any) -> None:
            try:
                parse(data)
            except Exception:
                self.malformed_events += 1
                log.exception("gateway event %s could not be read and was left out", event)

        return guarded

    def _unreadable(self) -> None:
        self.malformed_events += 1

    async def takes(self, event_id: int, *, eager: bool = True) -> bool:
        """Return whether this process acts on an interaction or a message, which it asks once.

        One that is not `eager`, or a process that stops, lets others go first.
        """
        return await self.arrivals.take(event_id, eager=eager and not self.studio.is_draining)

    # Waiting replies: deleting the "thinking" message is how a member says never mind.

    def watch_reply(self, message_id: int, job_id: str) -> None:
        """Abandon `job_id` when the message that announces it is deleted."""
        self._waiting[message_id] = job_id

    def forget_reply(self, message_id: int | None) -> None:
        """The reply was answered; its message may be deleted freely."""
        if message_id is not None:
            self._waiting.pop(message_id, None)

    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """Stop drawing for a request whose waiting message was deleted."""
        job_id = self._waiting.pop(payload.message_id, None)
        if job_id is not None:
            self.studio.abandon(job_id)

    async def setup_hook(self) -> None:
        """Load the cogs and sync the tree where it changed; runs before the gateway connects."""
        await self.tree.set_translator(Catalogue())
        for extension in EXTENSIONS:
            await self.load_extension(extension)
        await self.sync_if_changed()

    async def serve(self, token: str) -> None:
        """Log in, connect and stay until closed.

        Raises StartupError, with its documented exit code, where Discord refuses us for good.
        """
        with refusals():
            await self.start(token)

    async def launch_shard(
        self, gateway: yarl.URL, shard_id: int, *, initial: bool = False
    ) -> None:
        """Connect a shard, trying again until it is connected or the bot is closed.

        discord.py's own method awaits itself for each new attempt, so that a gateway that stays
        down for long enough ends in a RecursionError, and logs a traceback each time.
        """
        while not self.is_closed():
            connecting = discord.gateway.DiscordWebSocket.from_client(
                self, initial=initial, gateway=gateway, shard_id=shard_id
            )
            try:
                socket = await asyncio.wait_for(connecting, timeout=self.shard_connect_timeout)
            except Exception as error:  # whatever it was, it may be over next time
                log.warning(
                    "shard %d cannot reach the gateway (%s: %s): trying again in %g s",
                    *(shard_id, type(error).__name__, error, SHARD_PAUSE_SECONDS),
                    exc_info=log.isEnabledFor(logging.DEBUG),
                )
                initial = False
                await asyncio.sleep(SHARD_PAUSE_SECONDS)
            else:
                # What discord.py's own method does; the names are private to its class.
                queue = self._AutoShardedClient__queue  # type: ignore[attr-defined]
                shard = Shard(socket, self, queue.put_nowait, on_unreadable=self._unreadable)
                self._AutoShardedClient__shards[shard_id] = shard  # type: ignore[attr-defined]
                shard.launch()
                return

    async def upload_tree(self, token: str) -> None:
        """Log in, which loads the cogs, and upload the command tree whether it changed or not.

        Raises StartupError, with its documented exit code, where Discord does not take it.
        """
        with refusals():
            await self.login(token)
            await self.sync_if_changed(force=True)

    async def sync_if_changed(self, *, force: bool = False) -> bool:
        """Upload the command tree unless Discord has it already; Discord allows 200 creates a day.

        Returns whether it was uploaded.
        """
        digest = await self.tree_hash()
        try:
            known = await self.store.get_value(TREE_HASH)
        except StoreError:
            known = None
        if digest == known and not force:
            return False
        await self.tree.sync()
        log.info("command tree synced")
        try:
            await self.store.set_value(TREE_HASH, digest)
        except StoreError as error:
            log.warning("the tree's hash was not kept (%s): it is synced again next time", error)
        return True

    async def tree_hash(self) -> str:
        """Return a digest of the commands as they would be uploaded, for this application."""
        translator = self.tree.translator
        commands_json: list[dict[str, Any]] = [
            await command.get_translated_payload(self.tree, translator)
            if translator
            else command.to_dict(self.tree)
            for command in self.tree.get_commands()
        ]
        text = json.dumps([self.application_id, commands_json], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    async def on_message(self, message: discord.Message, /) -> None:
        """Leave messages to the cogs: there are no prefix commands to look for."""
