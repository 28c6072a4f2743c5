"""Filling in one field of a select menu or a modal, as its component allows."""

from __future__ import annotations

from typing import Any, Final

from bot.sandbox.body import Upload
from bot.sandbox.components import SELECTS, STRING_SELECT, TEXT_INPUT
from bot.sandbox.errors import ControlError
from bot.sandbox.modals import CHECKBOX, CHECKBOX_GROUP, FILE_UPLOAD, RADIO_GROUP
from bot.sandbox.models import Json
from bot.sandbox.values import CHANNEL, MENTIONABLE, ROLE, USER, Resolver

SELECT_OF: Final = {5: USER, 6: ROLE, 7: MENTIONABLE, 8: CHANNEL}
"""The option type whose reference rules a kind of select shares."""


def fill(
    resolver: Resolver, field: Json, value: Any, uploads: list[Upload], *, in_modal: bool = False
) -> Json:
    """Return a component as submitted. Raises ControlError where the value does not fit.

    A text or a choice not given takes the default its component names. In a modal a field is
    required unless it says otherwise; a select on a message is bounded by `min_values` alone.
    """
    kind, custom_id = field["type"], field["custom_id"]
    base: Json = {"type": kind, "custom_id": custom_id, "id": field.get("id") or 0}
    if kind == TEXT_INPUT:
        return base | {"value": _text(field, value)}
    if kind == CHECKBOX:
        return base | {"value": bool(field.get("default") if value is None else value)}
    if kind == RADIO_GROUP:
        chosen = _several(field, value, required=bool(field.get("required", True)), most=1)
        return base | {"value": chosen[0] if chosen else None}
    required = bool(field.get("required", True)) if in_modal else _bound(field, "min_values") > 0
    if kind == FILE_UPLOAD:
        low = _bound(field, "min_values") if required else 0
        high = _bound(field, "max_values")
        if not low <= len(uploads) <= high:
            raise ControlError(f"{custom_id} takes {low} to {high} files, not {len(uploads)}.")
        return base | {"values": [resolver.attach(one) for one in uploads]}
    if kind in SELECTS or kind == CHECKBOX_GROUP:
        chosen = _several(field, value, required=required, most=_bound(field, "max_values"))
        if kind not in (STRING_SELECT, CHECKBOX_GROUP):
            chosen = [resolver.reference(SELECT_OF[kind], one) for one in chosen]
        return base | {"values": chosen}
    raise ControlError(f"{custom_id} has type {kind}, which cannot be filled in.")


def _bound(field: Json, key: str) -> int:
    value = field.get(key)
    return 1 if value is None else int(value)


def _text(field: Json, value: Any) -> str:
    text = str(field.get("value") or "") if value is None else str(value)
    low = field.get("min_length") or 0
    high = field.get("max_length") or 4000
    if not text and not field.get("required", True):
        return text
    if not max(1, low) <= len(text) <= high:
        raise ControlError(
            f"{field.get('label') or field['custom_id']} takes {max(1, low)} to {high} characters, "
            f"not {len(text)}."
        )
    return text


def _several(field: Json, value: Any, *, required: bool, most: int) -> list[str]:
    options = field.get("options")
    if value is None:
        chosen = [o["value"] for o in options or [] if o.get("default")]
        chosen += [str(one["id"]) for one in field.get("default_values") or []]
    else:
        chosen = [str(one) for one in (value if isinstance(value, list) else [value])]
    if options is not None:
        by_label = {o["label"]: o["value"] for o in options}
        known = [o["value"] for o in options]
        chosen = [one if one in known else by_label.get(one, one) for one in chosen]
        strange = [one for one in chosen if one not in known]
        if strange:
            raise ControlError(
                f"{field['custom_id']} has no choice {strange[0]!r}; it has {', '.join(known)}."
            )
    low = max(1, _bound(field, "min_values")) if required else 0
    if not (low <= len(chosen) <= most or (not required and not chosen)):
        raise ControlError(
            f"{field['custom_id']} takes {low} to {most} choices, not {len(chosen)}."
        )
    return chosen
