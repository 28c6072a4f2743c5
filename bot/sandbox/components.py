"""Checks of message components, both of the old rows and of Components V2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from bot.sandbox.form import Form, Path
from bot.sandbox.models import Json

ROW, BUTTON, STRING_SELECT, TEXT_INPUT = 1, 2, 3, 4
SELECTS: Final = frozenset({3, 5, 6, 7, 8})
SECTION, TEXT, THUMBNAIL, GALLERY, FILE, SEPARATOR, CONTAINER = 9, 10, 11, 12, 13, 14, 17
V2_TOP: Final = frozenset({ROW, SECTION, TEXT, GALLERY, FILE, SEPARATOR, CONTAINER})
IN_CONTAINER: Final = V2_TOP - {CONTAINER}
MAX_V2_COMPONENTS: Final = 40
MAX_V2_TEXT: Final = 4000


def walk(components: Any) -> Iterator[Json]:
    """Go over every component of a tree, accessories and labelled ones included."""
    for one in components if isinstance(components, list) else ():
        if not isinstance(one, dict):
            continue
        yield one
        yield from walk(one.get("components"))
        yield from walk([one[key] for key in ("accessory", "component") if one.get(key)])


def media_items(components: list[Any]) -> Iterator[Json]:
    """Go over every media item that a tree shows."""
    for one in walk(components):
        if one.get("type") == THUMBNAIL and isinstance(one.get("media"), dict):
            yield one["media"]
        elif one.get("type") == FILE and isinstance(one.get("file"), dict):
            yield one["file"]
        elif one.get("type") == GALLERY:
            items = one.get("items") or []
            yield from (i["media"] for i in items if isinstance(i.get("media"), dict))


def text_of(components: list[Any]) -> str:
    """Return all the text of a tree's text displays."""
    texts = [str(one.get("content", "")) for one in walk(components) if one.get("type") == TEXT]
    return "\n".join(texts)


_SELECT_DEFAULTS: Final[Json] = {"min_values": 1, "max_values": 1}
DEFAULTS: Final[dict[int, Json]] = {
    **dict.fromkeys(SELECTS, _SELECT_DEFAULTS),
    THUMBNAIL: {"description": None, "spoiler": False},
    FILE: {"name": "", "size": 0, "spoiler": False},
    SEPARATOR: {"spacing": 1, "divider": True},
    CONTAINER: {"accent_color": None, "spoiler": False},
}
"""What Discord adds to a component that does not say, by type."""


def complete(components: list[Any]) -> None:
    """Fill in what Discord does on arrival: an `id` for each component, and its defaults."""
    taken = {one.get("id") for one in walk(components)}
    fresh = 1
    for one in walk(components):
        defaults = DEFAULTS.get(one["type"], {})
        for key in [key for key, value in one.items() if value is None and key not in defaults]:
            del one[key]
        one |= {key: value for key, value in defaults.items() if one.get(key) is None}
        for holder in [one, *(one.get("options") or [])]:
            if isinstance(holder.get("emoji"), dict):
                holder["emoji"] = {k: v for k, v in holder["emoji"].items() if v is not None}
        for item in one.get("items") or []:
            item |= {"description": item.get("description"), "spoiler": bool(item.get("spoiler"))}
        if not one.get("id"):
            while fresh in taken:
                fresh += 1
            taken.add(fresh)
            one["id"] = fresh


def check_components(
    form: Form, components: Any, *, v2: bool, path: Path = ("components",)
) -> None:
    """Note every fault of a message's components."""
    if not form.count(path, components, 0, MAX_V2_COMPONENTS if v2 else 5):
        return
    allowed = V2_TOP if v2 else frozenset({ROW})
    for index, one in enumerate(components):
        _check(form, (*path, index), one, allowed)
    if not form.sound:
        return
    for key, code in (
        ("custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED"),
        ("id", "COMPONENT_ID_DUPLICATED"),
    ):
        values = [one[key] for one in walk(components) if one.get(key)]
        form.unique(path, values, code, f"Component {key.replace('_', ' ')} cannot be duplicated")
    if not v2:
        return
    if sum(1 for _ in walk(components)) > MAX_V2_COMPONENTS:
        form.add(
            path,
            "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
            f"The total number of components cannot exceed {MAX_V2_COMPONENTS}",
        )
    texts = (one for one in walk(components) if one["type"] == TEXT)
    if sum(len(str(one["content"])) for one in texts) > MAX_V2_TEXT:
        form.add(
            path,
            "COMPONENT_TEXT_DISPLAY_MAX_LENGTH",
            f"The total length of text displays cannot exceed {MAX_V2_TEXT} characters",
        )


def _check(form: Form, path: Path, one: Any, allowed: frozenset[int]) -> None:
    if not form.mapping(path, one):
        return
    kind = one.get("type")
    if not form.choice((*path, "type"), kind, tuple(sorted(allowed))):
        return
    if one.get("id") is not None:
        form.number((*path, "id"), one["id"], 0, 2**31 - 1)
    if kind == ROW:
        _row(form, path, one)
    elif kind == CONTAINER:
        if form.count((*path, "components"), one.get("components"), 1, MAX_V2_COMPONENTS):
            for index, child in enumerate(one["components"]):
                _check(form, (*path, "components", index), child, IN_CONTAINER)
    elif kind == SECTION:
        if form.count((*path, "components"), one.get("components"), 1, 3):
            for index, child in enumerate(one["components"]):
                _check(form, (*path, "components", index), child, frozenset({TEXT}))
        if one.get("accessory") is None:
            form.required((*path, "accessory"))
        else:
            _check(form, (*path, "accessory"), one["accessory"], frozenset({BUTTON, THUMBNAIL}))
    elif kind == TEXT:
        form.length((*path, "content"), one.get("content"), 1, MAX_V2_TEXT)
    elif kind == GALLERY:
        if form.count((*path, "items"), one.get("items"), 1, 10):
            for index, item in enumerate(one["items"]):
                _described(form, (*path, "items", index), item, "media")
    elif kind == THUMBNAIL:
        _described(form, path, one, "media")
    elif kind == FILE:
        _described(form, path, one, "file")
    elif kind == BUTTON:
        check_button(form, path, one)


def _described(form: Form, path: Path, item: Any, key: str) -> None:
    if not form.mapping(path, item):
        return
    media = item.get(key)
    if not isinstance(media, dict) or not media.get("url"):
        form.required((*path, key, "url"))
    elif key == "file" and not str(media["url"]).startswith(("attachment://", "http")):
        form.add((*path, key, "url"), "URL_TYPE_INVALID_SCHEME", "Not a well formed URL.")
    if item.get("description") is not None:
        form.length((*path, "description"), item["description"], 0, 1024)


def _row(form: Form, path: Path, row: Json) -> None:
    children = row.get("components")
    if not form.count((*path, "components"), children, 1, 5) or not isinstance(children, list):
        return
    has_select = any(isinstance(c, dict) and c.get("type") in SELECTS for c in children)
    if has_select and len(children) > 1:
        form.add((*path, "components"), "BASE_TYPE_BAD_LENGTH", "A row holds one select menu only.")
    for index, child in enumerate(children):
        here = (*path, "components", index)
        if form.mapping(here, child) and form.choice(
            (*here, "type"), child.get("type"), (BUTTON, *sorted(SELECTS))
        ):
            if child["type"] == BUTTON:
                check_button(form, here, child)
            else:
                check_select(form, here, child)


def check_button(form: Form, path: Path, button: Json) -> None:
    """Note the faults of one button."""
    style = button.get("style")
    if not form.choice((*path, "style"), style, (1, 2, 3, 4, 5, 6)):
        return
    if style == 5:
        if not button.get("url"):
            form.add((*path, "url"), "BUTTON_COMPONENT_URL_REQUIRED", "A url is required")
        elif len(str(button["url"])) > 512:
            form.length((*path, "url"), button["url"], 1, 512)
        if button.get("custom_id"):
            form.add(
                (*path, "custom_id"),
                "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE",
                "A custom id and url cannot both be specified",
            )
    elif style != 6:
        if not button.get("custom_id"):
            form.add(
                (*path, "custom_id"),
                "BUTTON_COMPONENT_CUSTOM_ID_REQUIRED",
                "A custom id is required",
            )
        else:
            form.length((*path, "custom_id"), button["custom_id"], 1, 100)
    if button.get("label"):
        form.length((*path, "label"), button["label"], 0, 80)
    elif not button.get("emoji") and style != 6:
        form.add((*path, "label"), "BUTTON_COMPONENT_LABEL_OR_EMOJI_REQUIRED", "Say something")


def check_select(form: Form, path: Path, select: Json) -> None:
    """Note the faults of one select menu."""
    form.length((*path, "custom_id"), select.get("custom_id"), 1, 100)
    if select.get("placeholder") is not None:
        form.length((*path, "placeholder"), select["placeholder"], 0, 150)
    high = select.get("max_values")
    form.optional_number((*path, "min_values"), select.get("min_values"), 0, 25)
    form.optional_number((*path, "max_values"), high, 1, 25)
    if select.get("type") == STRING_SELECT:
        check_options(form, (*path, "options"), select.get("options"))
        options = select.get("options")
        if isinstance(options, list) and isinstance(high, int) and high > len(options) > 0:
            message = f"Value should be less than or equal to {len(options)}."
            form.add((*path, "max_values"), "NUMBER_TYPE_MAX", message)


def check_options(form: Form, path: Path, options: Any, *, low: int = 1, high: int = 25) -> None:
    """Note the faults of the options of a select, a radio group or a checkbox group."""
    if not form.count(path, options, low, high):
        return
    for index, option in enumerate(options):
        here = (*path, index)
        if form.mapping(here, option):
            form.length((*here, "label"), option.get("label"), 1, 100)
            form.length((*here, "value"), option.get("value"), 1, 100)
            if option.get("description") is not None:
                form.length((*here, "description"), option["description"], 0, 100)
    values = [option.get("value") for option in options if isinstance(option, dict)]
    form.unique(
        path, values, "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", "The value is already used"
    )
