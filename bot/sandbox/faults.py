"""Faults to order: rules that spoil REST calls and CDN fetches, and blows to the gateway."""

from __future__ import annotations

import fnmatch
import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from bot.sandbox.clock import Clock
from bot.sandbox.errors import ControlError

REST_KINDS: Final = frozenset({"rate_limit", "error", "reset", "stall", "slow"})
CDN_KINDS: Final = frozenset(
    {"error", "reset", "stall", "slow", "truncate", "expired", "length", "type"}
)


@dataclass
class Fault:
    """One rule: which calls it spoils, how, and how often.

    `route` is a shell pattern over the route's template or the path itself. Of the calls that
    match, the first `skip` pass; each later one is hit with `probability` until `times` were.
    `moment` is when it strikes: "during" the upload, before the body was read; "before" the call
    does its work; "after" it, so that only the answer is spoiled.

    rest: rate_limit (via, is_global, retry_after), error (status, code, message), reset (TCP),
    stall (seconds, then reset), slow (seconds, then as usual).
    cdn: error (status), expired, reset, stall (seconds), slow (bytes_per_second), truncate (to
    length bytes, half where None), length (claimed, twice the size where None), type
    (content_type).
    """

    id: int
    target: str
    kind: str
    method: str = "*"
    route: str = "*"
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0
    seed: int = 0
    moment: str = "before"
    status: int = 500
    code: int = 0
    message: str = ""
    via: bool = True
    is_global: bool = False
    retry_after: float = 1.0
    seconds: float = 5.0
    bytes_per_second: int = 1024
    content_type: str = "text/html"
    length: int | None = None
    hits: int = 0
    seen: int = 0
    _random: random.Random = field(default_factory=random.Random, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._patterns = [re.compile(fnmatch.translate(self.route))]

    def strikes(self, method: str, template: str, path: str) -> bool:
        """Count a call and decide whether this rule spoils it."""
        if self.method not in ("*", method) or not any(
            pattern.match(text) for pattern in self._patterns for text in (template, path)
        ):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.hits >= self.times):
            return False
        if self.probability < 1.0 and self._random.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def to_json(self) -> dict[str, Any]:
        """Return the rule with its counts."""
        return {key: value for key, value in vars(self).items() if not key.startswith("_")}


_FIELDS: Final = frozenset(Fault.__dataclass_fields__) - {"id", "hits", "seen", "_random"}


class Faults:
    """The rules in force, oldest first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rules: dict[int, Fault] = {}
        self._ids = itertools.count(1)
        self._refusals = 0

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._rules.values())

    def add(self, target: str, kind: str, **options: Any) -> Fault:
        """Put a rule in force. Raises ControlError for a kind or an option that does not exist."""
        kinds = {"rest": REST_KINDS, "cdn": CDN_KINDS}.get(target)
        if kinds is None or kind not in kinds:
            raise ControlError(
                f"There is no fault {kind!r} for {target!r}: rest has "
                f"{', '.join(sorted(REST_KINDS))}; cdn has {', '.join(sorted(CDN_KINDS))}."
            )
        strange = set(options) - _FIELDS
        if strange:
            raise ControlError(
                f"A fault has no option {', '.join(sorted(strange))}; "
                f"it has {', '.join(sorted(_FIELDS - {'target', 'kind'}))}."
            )
        fault = Fault(next(self._ids), target, kind, **options)
        self._rules[fault.id] = fault
        return fault

    def match(self, target: str, method: str, template: str, path: str) -> Fault | None:
        """Return the rule that spoils this call, if any."""
        for fault in list(self._rules.values()):
            if fault.target == target and fault.strikes(method, template, path):
                return fault
        return None

    def refuse_next_resumes(self, times: int) -> None:
        """Answer the next resumes with an invalid session."""
        self._refusals = times

    def refuse_resume(self) -> bool:
        """Say whether this resume is to be refused."""
        if self._refusals > 0:
            self._refusals -= 1
            return True
        return False

    def remove(self, fault_id: int) -> None:
        """Take a rule out of force."""
        self._rules.pop(fault_id, None)

    def clear(self) -> None:
        """Take every rule out of force."""
        self._rules.clear()
        self._refusals = 0
