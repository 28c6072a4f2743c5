"""Checks of the modals a bot opens."""

from __future__ import annotations

from typing import Any, Final

from bot.sandbox.components import SELECTS, TEXT, TEXT_INPUT, check_options, check_select, walk
from bot.sandbox.form import Form, Path
from bot.sandbox.models import Json

LABEL, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX = 18, 19, 21, 22, 23
IN_LABEL: Final = (3, 4, 5, 6, 7, 8, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX)


def check_modal(form: Form, modal: Any, path: Path = ("data",)) -> None:
    """Note every fault of a modal: title, custom_id, and one to five components."""
    if not form.mapping(path, modal):
        return
    form.length((*path, "title"), modal.get("title"), 1, 45)
    form.length((*path, "custom_id"), modal.get("custom_id"), 1, 100)
    components = modal.get("components")
    where = (*path, "components")
    if not form.count(where, components, 1, 5) or not isinstance(components, list):
        return
    for index, one in enumerate(components):
        here = (*where, index)
        if not form.mapping(here, one):
            continue
        kind = one.get("type")
        if not form.choice((*here, "type"), kind, (1, TEXT, LABEL)):
            continue
        if kind == 1:
            if form.count((*here, "components"), one.get("components"), 1, 1):
                child = one["components"][0]
                inner = (*here, "components", 0)
                if form.choice((*inner, "type"), child.get("type"), (TEXT_INPUT, *SELECTS)):
                    _field(form, inner, child, in_label=False)
        elif kind == TEXT:
            form.length((*here, "content"), one.get("content"), 1, 4000)
        else:
            form.length((*here, "label"), one.get("label"), 1, 45)
            if one.get("description") is not None:
                form.length((*here, "description"), one["description"], 0, 100)
            child = one.get("component")
            inner = (*here, "component")
            if form.mapping(inner, child) and form.choice(
                (*inner, "type"), child.get("type"), IN_LABEL
            ):
                _field(form, inner, child, in_label=True)
    ids = [one["custom_id"] for one in walk(components) if one.get("custom_id")]
    message = "Component custom id cannot be duplicated"
    form.unique(where, ids, "COMPONENT_CUSTOM_ID_DUPLICATED", message)


def _field(form: Form, path: Path, one: Json, *, in_label: bool) -> None:
    kind = one["type"]
    if kind in SELECTS:
        check_select(form, path, one)
        return
    form.length((*path, "custom_id"), one.get("custom_id"), 1, 100)
    if kind == TEXT_INPUT:
        if not in_label:
            form.length((*path, "label"), one.get("label"), 1, 45)
        form.choice((*path, "style"), one.get("style"), (1, 2))
        for key, low in (("min_length", 0), ("max_length", 1)):
            if one.get(key) is not None:
                form.number((*path, key), one[key], low, 4000)
        if one.get("value") is not None:
            form.length((*path, "value"), one["value"], 0, one.get("max_length") or 4000)
        if one.get("placeholder") is not None:
            form.length((*path, "placeholder"), one["placeholder"], 0, 100)
    elif kind == FILE_UPLOAD:
        form.optional_number((*path, "min_values"), one.get("min_values"), 0, 10)
        form.optional_number((*path, "max_values"), one.get("max_values"), 1, 10)
    elif kind == RADIO_GROUP:
        check_options(form, (*path, "options"), one.get("options"), low=2, high=10)
    elif kind == CHECKBOX_GROUP:
        check_options(form, (*path, "options"), one.get("options"), low=1, high=10)
