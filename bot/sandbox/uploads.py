"""From the files and the `attachments` list of a request to the attachments of a message."""

from __future__ import annotations

import re
from typing import Any, Final

from bot.sandbox.body import Upload
from bot.sandbox.cdn import Cdn, describe, safe_filename
from bot.sandbox.components import media_items, walk
from bot.sandbox.errors import too_large
from bot.sandbox.form import Form
from bot.sandbox.models import Attachment, Json, Message
from bot.sandbox.state import State

MAX_FILES: Final = 10
_FIELD: Final = re.compile(r"files?\[(\d+)\]$")
_CDN_PATH: Final = re.compile(r"attachments/\d+/(\d+)/")


def check_uploads(
    form: Form, payload: Json, files: list[Upload], kept: list[Attachment], limit: int
) -> set[str]:
    """Note faults of the files and their list; return the names the message will have.

    Raises ApiError 40005 for a file over `limit` bytes.
    """
    for upload in files:
        if len(upload.data) > limit:
            raise too_large(len(upload.data), limit)
    listed = payload.get("attachments")
    if listed is not None and not form.count(("attachments",), listed, 0, MAX_FILES):
        return set()
    uploads = _by_index(files)
    names = {str(one.id): one.filename for one in kept}
    kept_ids = set(names)
    names |= {key: upload.filename for key, upload in uploads.items()}
    for index, item in enumerate(listed or []):
        here = ("attachments", index)
        if not form.mapping(here, item):
            continue
        if str(item.get("id")) not in names:
            form.add(
                here,
                "MESSAGE_ATTACHMENT_NOT_FOUND",
                f"Attachment data for ID {item.get('id')} not found",
            )
        for key, most in (("description", 1024), ("filename", 1024), ("title", 1024)):
            if item.get(key) is not None:
                form.length((*here, key), item[key], 0, most)
        if str(item.get("id")) in uploads and item.get("filename"):
            names[str(item["id"])] = str(item["filename"])
        kept_ids.discard(str(item.get("id")))
    remaining = len(kept) if listed is None else 0
    if len(files) + remaining > MAX_FILES:
        form.add(
            ("attachments",),
            "BASE_TYPE_BAD_LENGTH",
            f"Must be between 0 and {MAX_FILES} in length.",
        )
    dropped = kept_ids if listed is not None else set()
    return {safe_filename(name) for key, name in names.items() if key not in dropped}


def check_media(form: Form, components: list[Json], names: set[str]) -> None:
    """Note a fault for each component that shows a file the message will not have."""
    for item in media_items(components):
        url = str(item.get("url"))
        if url.startswith("attachment://") and safe_filename(url[13:]) not in names:
            form.add(
                ("components",),
                "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
                f"The referenced attachment {url} was not found",
            )


def _by_index(files: list[Upload]) -> dict[str, Upload]:
    """Return uploads by the number in their field's name, or else by their place."""
    found: dict[str, Upload] = {}
    for place, upload in enumerate(files):
        match = _FIELD.match(upload.name)
        found[match.group(1) if match else str(place)] = upload
    return found


def store(
    state: State,
    cdn: Cdn,
    payload: Json,
    files: list[Upload],
    kept: list[Attachment],
    *,
    channel_id: int,
    ephemeral: bool,
) -> list[Attachment]:
    """Keep the new files and return the message's attachments in the order listed.

    What is neither listed nor new is dropped, unless nothing is listed at all.
    """
    listed = payload.get("attachments")
    uploads = _by_index(files)
    by_id = {str(one.id): one for one in kept}
    specs = listed if listed is not None else [{"id": key} for key in by_id]
    named = {str(spec["id"]) for spec in specs}
    specs = [*specs, *({"id": key} for key in uploads if key not in named)]
    result: list[Attachment] = []
    for spec in specs:
        key = str(spec["id"])
        if key in uploads:
            attachment = new_attachment(
                state,
                cdn,
                spec.get("filename") or uploads[key].filename,
                uploads[key].data,
                channel_id=channel_id,
                ephemeral=ephemeral,
            )
            attachment.description = spec.get("description")
            attachment.title = spec.get("title")
        else:
            attachment = by_id.pop(key)
            if "description" in spec:
                attachment.description = spec["description"]
        result.append(attachment)
    for gone in by_id.values():
        cdn.drop(gone.id)
    return result


def new_attachment(
    state: State, cdn: Cdn, filename: str, data: bytes, *, channel_id: int, ephemeral: bool
) -> Attachment:
    """Keep bytes as a new attachment."""
    name = safe_filename(filename)
    content_type, width, height = describe(name, data)
    attachment = Attachment(
        state.ids.next(),
        name,
        len(data),
        content_type,
        width,
        height,
        channel_id,
        state.clock.now(),
        ephemeral=ephemeral,
    )
    cdn.put(attachment.id, data)
    return attachment


def resolve_media(state: State, message: Message, attachments: list[Attachment]) -> None:
    """Tie `attachment://` addresses in components and embeds to the message's attachments.

    An attachment shown that way leaves the message's own list, on Discord as here.
    """
    by_name = {one.filename: one for one in reversed(attachments)}
    by_id = {str(one.id): one for one in attachments}
    for attachment in attachments:
        attachment.consumed = False
    for item in media_items(message.components):
        found = _find(item.get("url"), by_name, by_id)
        if found is not None:
            _tie(item, found)
        else:
            item |= {"id": item.get("id") or str(state.ids.next()), "loading_state": 2}
            item.setdefault("proxy_url", item.get("url"))
    for one in walk(message.components):
        shown = by_id.get(str((one.get("file") or {}).get("attachment_id")))
        if shown is not None:
            one |= {"name": shown.filename, "size": shown.size}
    for embed in message.embeds:
        embed.setdefault("type", "rich")
        for holder in (embed.get("image"), embed.get("thumbnail")):
            found = _find((holder or {}).get("url"), by_name, by_id)
            if holder is not None and found is not None:
                found.consumed = True
                holder |= {"attachment_id": str(found.id)}
                holder |= {"width": found.width, "height": found.height}


def _find(
    url: Any, by_name: dict[str, Attachment], by_id: dict[str, Attachment]
) -> Attachment | None:
    text = str(url or "")
    if text.startswith("attachment://"):
        return by_name.get(safe_filename(text.removeprefix("attachment://")))
    match = _CDN_PATH.search(text)
    return by_id.get(match.group(1)) if match else None


def _tie(item: Json, attachment: Attachment) -> None:
    attachment.consumed = True
    item.clear()
    item |= {
        "id": str(attachment.id),
        "attachment_id": str(attachment.id),
        "url": "",
        "proxy_url": "",
        "width": attachment.width,
        "height": attachment.height,
        "content_type": attachment.content_type,
        "placeholder": "",
        "placeholder_version": 1,
        "loading_state": 2,
        "flags": 0,
    }
