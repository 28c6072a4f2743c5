"""Collecting the faults of a request body in the nested shape Discord answers with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.sandbox.errors import bad_form

Path = tuple[str | int, ...]


class Form:
    """The faults found in one body; `check` raises them all as one 50035."""

    def __init__(self) -> None:
        self._tree: dict[str, Any] = {}

    def add(self, path: Path, code: str, message: str) -> None:
        """Note one fault at a path such as ("embeds", 0, "title")."""
        node = self._tree
        for step in path:
            node = node.setdefault(str(step), {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    @property
    def sound(self) -> bool:
        """Whether no fault was noted so far."""
        return not self._tree

    def check(self) -> None:
        """Raise ApiError 50035 if any fault was noted."""
        if self._tree:
            raise bad_form(self._tree)

    def length(self, path: Path, value: Any, low: int, high: int) -> bool:
        """Check that a value is text of `low` to `high` characters; return whether it is."""
        if not isinstance(value, str):
            self.add(path, "BASE_TYPE_BAD_TYPE", "Must be a string.")
        elif low and not value:
            self.required(path)
        elif len(value) > high:
            self.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {high} or fewer in length.")
        elif len(value) < low:
            self.add(path, "BASE_TYPE_MIN_LENGTH", f"Must be {low} or more in length.")
        else:
            return True
        return False

    def count(self, path: Path, values: Any, low: int, high: int) -> bool:
        """Check that a value is a list of `low` to `high` items; return whether it is."""
        if not isinstance(values, list):
            self.add(path, "BASE_TYPE_BAD_TYPE", "Only iterables may be used in a ListType.")
        elif not low <= len(values) <= high:
            self.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {low} and {high} in length.")
        else:
            return True
        return False

    def number(self, path: Path, value: Any, low: float, high: float) -> bool:
        """Check that a value is a number between two; return whether it is."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.add(path, "NUMBER_TYPE_COERCE", f'Value "{value}" is not int.')
        elif not low <= value <= high:
            edge = (
                f"greater than or equal to {low}"
                if value < low
                else f"less than or equal to {high}"
            )
            self.add(path, "NUMBER_TYPE_RANGE", f"Value should be {edge}.")
        else:
            return True
        return False

    def optional_number(self, path: Path, value: Any, low: float, high: float) -> bool:
        """Check a number that may be absent or null."""
        return value is None or self.number(path, value, low, high)

    def choice(self, path: Path, value: Any, allowed: tuple[Any, ...]) -> bool:
        """Check that a value is one of those allowed; return whether it is."""
        if isinstance(value, int | str) and not isinstance(value, bool) and value in allowed:
            return True
        words = ", ".join(map(str, allowed))
        self.add(path, "BASE_TYPE_CHOICES", f"Value must be one of {{{words}}}.")
        return False

    def required(self, path: Path) -> None:
        """Note that a field is missing."""
        self.add(path, "BASE_TYPE_REQUIRED", "This field is required")

    def unique(self, path: Path, values: list[Any], code: str, message: str) -> None:
        """Check that no two values are alike."""
        seen = [repr(value) for value in values]
        if len(seen) != len(set(seen)):
            self.add(path, code, message)

    def mapping(self, path: Path, value: Any) -> bool:
        """Check that a value is an object; return whether it is."""
        if isinstance(value, Mapping):
            return True
        self.add(path, "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
        return False
