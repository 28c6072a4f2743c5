"""Refusals in Discord's own words and numbers, and those of the control API."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer Discord's REST API gives instead of a result.

    `rule` is for the person reading the traffic log: what the bot did against which rule.
    """

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        *,
        errors: dict[str, Any] | None = None,
        rule: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors
        self.rule = rule or f"{code}: {message}"

    def to_json(self) -> dict[str, Any]:
        """Return the body Discord sends."""
        body: dict[str, Any] = {"message": self.message, "code": self.code}
        if self.errors is not None:
            body["errors"] = self.errors
        return body


class ControlError(Exception):
    """Something a member cannot do, as a sentence for the person who tried."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def unauthorized() -> ApiError:
    """Return the refusal of a missing or wrong bot token."""
    return ApiError(401, 0, "401: Unauthorized", rule="the Authorization header is not this bot's")


def unknown(what: str) -> ApiError:
    """Return the 404 for a kind of thing: channel, guild, message, user, webhook, interaction."""
    codes = {
        "application": 10002,
        "channel": 10003,
        "guild": 10004,
        "member": 10007,
        "message": 10008,
        "role": 10011,
        "user": 10013,
        "webhook": 10015,
        "interaction": 10062,
        "application command": 10063,
    }
    return ApiError(404, codes[what], f"Unknown {what.title() if ' ' not in what else what}")


def missing_access() -> ApiError:
    """Return the refusal for a channel or guild the bot cannot see."""
    return ApiError(403, 50001, "Missing Access")


def missing_permissions(wanted: str) -> ApiError:
    """Return the refusal for an act the bot has no permission for."""
    return ApiError(
        403, 50013, "Missing Permissions", rule=f"50013: the bot lacks {wanted} in this channel"
    )


def too_large(size: int, limit: int) -> ApiError:
    """Return the refusal of an upload over the limit, both in bytes."""
    return ApiError(
        413,
        40005,
        "Request entity too large",
        rule=f"40005: a file of {size} bytes where the limit is {limit}",
    )


def bad_form(errors: dict[str, Any]) -> ApiError:
    """Return 50035 with its nested errors."""
    paths = ", ".join(_paths(errors)) or "body"
    return ApiError(400, 50035, "Invalid Form Body", errors=errors, rule=f"50035: {paths}")


def _paths(errors: dict[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key, value in errors.items():
        if key == "_errors":
            found.append(f"{prefix or 'body'}: {value[0]['message']}")
        else:
            found.extend(_paths(value, f"{prefix}.{key}" if prefix else str(key)))
    return found
