"""Checking recorded REST calls against Discord's published OpenAPI description of its API.

The description is a file beside the checkout, not part of it; tests that need it carry
`needs_contract` and are skipped where it is absent. What discord.py is known to send beside the
description, and Discord takes, is tolerated by name below.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

CONTRACT = Path(__file__).resolve().parents[2] / "shared" / "discord-openapi.json"

needs_contract = pytest.mark.skipif(
    not CONTRACT.is_file(), reason="Discord's OpenAPI description is not beside this checkout"
)

# Properties that discord.py sends and Discord accepts although its description lacks them.
TOLERATED = {
    "IncomingWebhookUpdateRequestPartial": ["tts"],
    "IncomingWebhookUpdateForInteractionCallbackRequestPartial": ["tts"],
    "RichEmbed": ["flags"],
    "ApplicationCommandUpdateRequest": ["nsfw"],
    "ApplicationCommandCreateRequest": ["nsfw"],
    "MessageEditRequestPartial": ["tts"],
}
# The documentation lists the type of media channels, the description does not.
GUILD_MEDIA = 16
# A kept attachment may be echoed whole, as it was received.
OPEN = {"MessageAttachmentRequest"}


@functools.cache
def described() -> dict[str, Any]:
    """Return the description as published."""
    found: dict[str, Any] = json.loads(CONTRACT.read_text())
    return found


@functools.cache
def contract() -> dict[str, Any]:
    """Return the description, made strict: an object may hold nothing that is not described."""
    found: dict[str, Any] = json.loads(CONTRACT.read_text())
    schemas = found["components"]["schemas"]
    for name, schema in schemas.items():
        for extra in TOLERATED.get(name, []):
            schema["properties"].setdefault(extra, {})
        if name not in OPEN:
            _close(schema)
    schemas["ChannelTypes"]["oneOf"].append({"const": GUILD_MEDIA})
    schemas["SnowflakeType"] = {
        "anyOf": [schemas["SnowflakeType"], {"type": "integer", "minimum": 0}]
    }
    return found


def _close(schema: Any, *, combined: bool = False) -> None:
    """Forbid undescribed properties, except in the branches of an allOf, which share an object."""
    if isinstance(schema, list):
        for one in schema:
            _close(one)
        return
    if not isinstance(schema, dict):
        return
    if "properties" in schema and not combined:
        schema.setdefault("additionalProperties", False)
    for key, value in schema.items():
        if key == "allOf":
            for branch in value:
                _close(branch, combined=True)
        elif key == "properties":
            for one in value.values():
                _close(one)
        elif key in ("items", "oneOf", "anyOf"):
            _close(value)


@functools.cache
def _validator(route: str, method: str) -> jsonschema.Draft202012Validator | None:
    body = contract()["paths"][route][method].get("requestBody")
    if body is None:
        return None
    schema = body["content"]["application/json"]["schema"]
    root = {"components": contract()["components"], "allOf": [schema]}
    return jsonschema.Draft202012Validator(root)


def contract_errors(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with recorded REST calls, one sentence each; empty where all is well.

    `entries` are the sandbox's traffic entries as mappings; those of other kinds, and calls the
    sandbox refused or spoiled, are passed over.
    """
    errors: list[str] = []
    for entry in entries:
        if entry["kind"] != "rest" or entry["fault"] or (entry["status"] or 500) >= 400:
            continue
        errors += [f"{entry['method']} {entry['route']}: {one}" for one in _errors(entry)]
    return errors


def _errors(entry: Mapping[str, Any]) -> list[str]:
    route, method = entry["route"], entry["method"].lower()
    described = contract()["paths"].get(route, {})
    if method not in described:
        return ["the contract has no such route"]
    errors = []
    known = {
        one["name"]
        for one in [*described.get("parameters", []), *described[method].get("parameters", [])]
        if one["in"] == "query"
    }
    errors += [f"unknown query {name!r}" for name in entry["query"] if name not in known]
    for part in entry["parts"]:
        if part["name"] not in {f"files[{number}]" for number in range(10)}:
            errors.append(f"a file in the field {part['name']!r}")
    validator = _validator(route, method)
    if validator is None:
        if entry["body"] is not None:
            errors.append("a body where none is described")
        return errors
    if entry["body"] is None:
        return errors
    found = jsonschema.exceptions.best_match(validator.iter_errors(entry["body"]))
    if found is not None:
        errors.append(f"{found.json_path}: {found.message[:400]}")
    return errors


@functools.cache
def _response_validator(
    route: str, method: str, status: int
) -> jsonschema.Draft202012Validator | None:
    responses = described()["paths"].get(route, {}).get(method, {}).get("responses", {})
    answer = responses.get(str(status)) or responses.get(f"{status // 100}XX")
    if answer is None or "$ref" in answer or "content" not in answer:
        return None
    schema = answer["content"]["application/json"]["schema"]
    root = {"components": described()["components"], "allOf": [schema]}
    return jsonschema.Draft202012Validator(root)


def response_errors(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what the sandbox itself answered otherwise than the contract says."""
    errors: list[str] = []
    for entry in entries:
        if entry["kind"] != "rest" or entry["response"] is None:
            continue
        validator = _response_validator(entry["route"], entry["method"].lower(), entry["status"])
        if validator is None:
            continue
        found = jsonschema.exceptions.best_match(validator.iter_errors(entry["response"]))
        if found is not None:
            where = f"{entry['method']} {entry['route']} {found.json_path}"
            errors.append(f"{where}: {found.message[:400]}")
    return errors
