"""How the bot answers an interaction: the callback, then edits and follow-ups by its token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bot.sandbox import posting
from bot.sandbox.body import Upload
from bot.sandbox.errors import ApiError, bad_form, unknown
from bot.sandbox.form import Form
from bot.sandbox.modals import check_modal
from bot.sandbox.models import EPHEMERAL, LOADING, Channel, Interaction, Json, Message
from bot.sandbox.payload import response_metadata

if TYPE_CHECKING:
    from bot.sandbox.core import Core

ACK_WITHIN_S: Final = 3.0
TOKEN_LIVES_S: Final = 900.0
USER_APP_FOLLOWUPS: Final = 5

REPLY, DEFER, DEFER_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9
ALLOWED: Final = {
    2: (REPLY, DEFER, MODAL),
    3: (REPLY, DEFER, DEFER_UPDATE, UPDATE, MODAL),
    4: (CHOICES,),
    5: (REPLY, DEFER, DEFER_UPDATE, UPDATE),
}
"""Callback types by interaction type: command, component, autocomplete, modal."""


def acknowledge(
    core: Core, interaction: Interaction, kind: Any, data: Json, files: list[Upload]
) -> Message | None:
    """Take the first and only callback of an interaction; return the message it leads to.

    Raises ApiError: 10062 after three seconds, 40060 for a second answer, 50035 for a callback
    that does not fit, and what a message body can raise.
    """
    now = core.clock.now()
    if interaction.acked_at is not None:
        raise ApiError(400, 40060, "Interaction has already been acknowledged.")
    late = now - interaction.created_at
    if late > ACK_WITHIN_S or interaction.failed or interaction.invalidated:
        error = unknown("interaction")
        if late > ACK_WITHIN_S:
            error.rule = f"10062: answered after {late:.2f} s; Discord waits {ACK_WITHIN_S:g} s"
        raise error
    channel = core.state.channel(interaction.channel_id)
    form = Form()
    allowed = ALLOWED[interaction.kind]
    if interaction.kind == 5 and interaction.message_id is None:
        allowed = (REPLY, DEFER)
    form.choice(("type",), kind, allowed)
    form.check()
    message = _apply(core, interaction, channel, kind, data, files)
    interaction.acked_at, interaction.callback_type = now, kind
    if kind not in (DEFER, DEFER_UPDATE):
        interaction.answered_at = now
    if interaction.deadline is not None:
        interaction.deadline.cancel()
    _changed(core, interaction)
    return message


def _apply(
    core: Core,
    interaction: Interaction,
    channel: Channel,
    kind: int,
    data: Json,
    files: list[Upload],
) -> Message | None:
    if kind == CHOICES:
        interaction.choices = _checked_choices(data)
        return None
    if kind == MODAL:
        form = Form()
        check_modal(form, data)
        form.check()
        interaction.modal = data
        return None
    if kind == DEFER_UPDATE or (kind == UPDATE and interaction.message_id is not None):
        message = core.state.message(channel.id, interaction.message_id or 0)
        interaction.response_id = message.id
        interaction.deferred = kind == DEFER_UPDATE
        if kind == UPDATE:
            posting.write(core, message, data, files, _terms(core, interaction, channel))
            message.edited_at = core.clock.now()
            posting.announce_edit(core, message)
        return message
    flags = data.get("flags") or 0
    message = _new_response(core, interaction, channel, ephemeral=bool(flags & EPHEMERAL))
    if kind == DEFER:
        if flags & ~EPHEMERAL:
            error = {"code": "FLAGS_NOT_ALLOWED", "message": "Only EPHEMERAL may be set on a defer"}
            raise bad_form({"data": {"flags": {"_errors": [error]}}})
        message.flags |= LOADING
        interaction.deferred = True
    else:
        posting.write(core, message, data, files, _terms(core, interaction, channel))
    interaction.response_id = message.id
    posting.publish(core, message)
    return message


def _checked_choices(data: Json) -> list[Json]:
    form, choices = Form(), data.get("choices")
    if form.count(("data", "choices"), choices, 0, 25):
        for index, one in enumerate(choices or []):
            form.length(("data", "choices", index, "name"), one.get("name"), 1, 100)
            if isinstance(one.get("value"), str):
                form.length(("data", "choices", index, "value"), one["value"], 1, 100)
    form.check()
    return list(choices or [])


def _new_response(
    core: Core, interaction: Interaction, channel: Channel, *, ephemeral: bool
) -> Message:
    kind = {2: 23 if interaction.data.get("type", 1) != 1 else 20}.get(interaction.kind, 0)
    message = posting.blank(core, channel, core.state.application_id, kind=kind)
    message.webhook_id = core.state.application_id
    message.interaction_id = interaction.id
    message.interaction_metadata = response_metadata(core, interaction)
    if ephemeral or interaction.force_ephemeral:
        message.ephemeral_for = interaction.user_id
    return message


def _terms(core: Core, interaction: Interaction, channel: Channel) -> posting.Terms:
    terms = posting.terms_for(core, channel, core.state.application_id, webhook=True)
    return posting.Terms(
        interaction.attachment_size_limit, terms.default_mentions, terms.may_ping_everyone
    )


def by_token(core: Core, token: str) -> Interaction:
    """Return the interaction a webhook token opens.

    Raises ApiError: 50027 for a token that is unknown or past its 15 minutes, 10015 before the
    interaction was acknowledged.
    """
    interaction = core.state.by_token.get(token)
    rule = None
    if interaction is not None:
        age = core.clock.now() - interaction.created_at
        if age <= TOKEN_LIVES_S and not interaction.invalidated:
            if interaction.acked_at is None:
                error = unknown("webhook")
                error.rule = "10015: the interaction's token was used before its callback"
                raise error
            return interaction
        rule = f"50027: the token is {age / 60:.1f} min old; it lived {TOKEN_LIVES_S / 60:g} min"
    raise ApiError(401, 50027, "Invalid Webhook Token", rule=rule)


def find(core: Core, interaction: Interaction, name: str) -> Message:
    """Return the message a webhook path names: @original, or one of this interaction by id."""
    core.state.channel(interaction.channel_id)
    original = interaction.response_id
    wanted = original if name == "@original" else int(name) if name.isdecimal() else None
    if wanted is None or (wanted != original and wanted not in interaction.followup_ids):
        raise unknown("message")
    return core.state.message(interaction.channel_id, wanted)


def edit(
    core: Core, interaction: Interaction, message: Message, payload: Json, files: list[Upload]
) -> None:
    """Change an answer; the first change of a deferred one is the answer itself."""
    channel = core.state.channel(interaction.channel_id)
    posting.write(core, message, payload, files, _terms(core, interaction, channel))
    now = core.clock.now()
    was_loading = interaction.deferred and interaction.answered_at is None
    if not was_loading or interaction.callback_type == DEFER_UPDATE:
        message.edited_at = now
    if message.id == interaction.response_id and interaction.answered_at is None:
        interaction.answered_at = now
    interaction.edits.append(
        {
            "message_id": str(message.id),
            "after_ms": round((now - interaction.created_at) * 1000, 3),
            "files": [one.filename for one in message.attachments],
        }
    )
    posting.announce_edit(core, message)
    _changed(core, interaction)


def follow_up(core: Core, interaction: Interaction, payload: Json, files: list[Upload]) -> Message:
    """Send one more message; the first after a deferral takes the place of "thinking…".

    Raises ApiError 40094 past the five that an application only installed by users may send.
    """
    channel = core.state.channel(interaction.channel_id)
    original = core.state.messages[channel.id].get(interaction.response_id or 0)
    if original is not None and original.flags & LOADING:
        flags = payload.get("flags")
        body = payload if flags is None else payload | {"flags": flags & ~EPHEMERAL}
        edit(core, interaction, original, body, files)
        return original
    if interaction.user_installed_only:
        if interaction.followups_sent >= USER_APP_FOLLOWUPS:
            raise ApiError(
                400, 40094, "Maximum number of follow-up messages for this interaction reached"
            )
        interaction.followups_sent += 1
    ephemeral = bool((payload.get("flags") or 0) & EPHEMERAL)
    message = _new_response(core, interaction, channel, ephemeral=ephemeral)
    message.kind = 0
    if message.interaction_metadata is not None and original is not None:
        message.interaction_metadata["original_response_message_id"] = str(original.id)
    posting.write(core, message, payload, files, _terms(core, interaction, channel))
    interaction.followup_ids.append(message.id)
    if interaction.answered_at is None:
        interaction.answered_at = core.clock.now()
    posting.publish(core, message)
    _changed(core, interaction)
    return message


def remove(core: Core, interaction: Interaction, message: Message) -> None:
    """Delete an answer."""
    posting.delete(core, message)
    if message.id == interaction.response_id:
        interaction.original_deleted = True
        if interaction.answered_at is None:
            interaction.answered_at = core.clock.now()
    elif message.id in interaction.followup_ids:
        interaction.followup_ids.remove(message.id)
    _changed(core, interaction)


def expire(core: Core, interaction: Interaction) -> None:
    """Note that nobody answered in time; the member reads that the application did not respond."""
    if interaction.acked_at is None and not interaction.failed:
        interaction.failed = True
        interaction.error = "The application did not respond"
        _changed(core, interaction)


def invalidate(core: Core, interaction: Interaction) -> None:
    """Make an interaction's token worthless at once, as after its 15 minutes."""
    interaction.invalidated = True
    expire(core, interaction)


def callback_resource(interaction: Interaction, kind: int, message: Json | None) -> Json:
    """Return the answer to `?with_response=1`; only a message written at once is a resource."""
    about: Json = {"id": str(interaction.id), "type": interaction.kind}
    if message is None:
        return {"interaction": about}
    about |= {
        "response_message_id": message["id"],
        "response_message_loading": bool(message["flags"] & LOADING),
        "response_message_ephemeral": bool(message["flags"] & EPHEMERAL),
    }
    if kind not in (REPLY, UPDATE):
        return {"interaction": about}
    return {"interaction": about, "resource": {"type": kind, "message": message}}


def _changed(core: Core, interaction: Interaction) -> None:
    interaction.touch()
    core.events.interaction(interaction)
