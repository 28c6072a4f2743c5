"""Every way a request can fail, as one tree.

    TurbocordError
    ├── Refused                 the member can act on it; never logged as a fault
    │   ├── BadParameter        a value outside its range, or an unknown flag
    │   ├── BadPicture          the picture could not be fetched, read or used
    │   │   └── SeveralPictures     there are several, and it was not said which
    │   ├── RateLimited         the guild or member has used up its pictures for now
    │   ├── QueueFull           too much is waiting already
    │   ├── NotAllowed          a setting, ban or permission forbids it
    │   └── Flagged             the picture check finds it unfit for where it would be shown
    ├── Abandoned               nobody waits for the answer any more
    ├── EngineError             ours to mend; logged with its cause
    │   ├── OutOfMemory         the device could not hold even one picture
    │   ├── BadOutput           NaN or black pixels, twice
    │   ├── WeightsUnavailable  a model or LoRA that is configured cannot be loaded
    │   ├── EngineStalled       the device call never came back
    │   ├── CheckFailed         the picture check gave no verdict, so nothing is shown
    │   └── EngineStopping      the process is shutting down
    ├── StoreError              the store is away, full or locked; drawing goes on without it
    ├── DeliveryFailed          the picture was drawn, Discord would not take it
    └── StartupError            the process cannot start; carries its exit code

An error carries a `code` and the `details` its sentence needs. The words themselves live in the
message catalogues, because the reader's language is known only at the edge (`bot.replies`).
"""

from __future__ import annotations

from typing import ClassVar


class Snippet(str):
    """A detail that is already in Discord's own form (a channel, a time) and shown as it is."""

    __slots__ = ()


class Phrase(Snippet):
    """A detail that is a key of the message catalogues, said in the reader's language."""

    __slots__ = ()


class TurbocordError(Exception):
    """Any failure this project raises on purpose.

    `code` names the sentence in the message catalogues (`error.<code>`); `details` fills it in.
    """

    default_code: ClassVar[str] = "internal"

    def __init__(self, code: str | None = None, **details: object) -> None:
        self.code = code or self.default_code
        self.details = details
        shown = ", ".join(f"{name}={value!r}" for name, value in details.items())
        super().__init__(f"{self.code}({shown})" if shown else self.code)


class Refused(TurbocordError):
    """The request cannot be served as it is, and the member can do something about it."""

    default_code = "refused"


class BadParameter(Refused):
    """A parameter is out of range or unknown; `details["name"]` says which."""

    default_code = "bad_parameter"


class BadPicture(Refused):
    """The given picture cannot be used; the code says what was wrong."""

    default_code = "picture_unknown"


class SeveralPictures(BadPicture):
    """A message has several pictures and it was not said which one is meant; `names` are theirs."""

    default_code = "several_pictures"

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        super().__init__(count=len(names))


class RateLimited(Refused):
    """A guild's or member's window is used up; `scope` is `guild` or `member`.

    `retry_after` is the number of seconds until the same request would be admitted. It is None
    where it never would be, because `cost` alone is above the limit: the code is then
    `over_limit_<scope>`.
    """

    default_code = "rate_limited"

    def __init__(
        self,
        scope: str,
        *,
        retry_after: float | None,
        limit: int,
        per_seconds: int,
        cost: int = 1,
    ) -> None:
        self.scope = scope
        self.retry_after = retry_after
        super().__init__(
            f"over_limit_{scope}" if retry_after is None else f"rate_limited_{scope}",
            retry_after=retry_after,
            limit=limit,
            per_seconds=per_seconds,
            cost=cost,
        )


class QueueFull(Refused):
    """Too many pictures wait already; `retry_after` estimates, in seconds, when there is room."""

    default_code = "queue_full"

    def __init__(self, scope: str, *, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(f"queue_full_{scope}", retry_after=retry_after)


class NotAllowed(Refused):
    """A setting, ban or permission forbids it."""

    default_code = "not_allowed"


class Flagged(Refused):
    """The picture check finds a picture unfit for everyone, and here everyone would see it.

    `drawn` says that it is one of ours, which has cost the device its time. `elsewhere` says that
    the guild allows it in age-restricted channels.
    """

    default_code = "flagged_output"

    def __init__(self, *, drawn: bool, elsewhere: bool) -> None:
        self.drawn = drawn
        side = "output" if drawn else "input"
        super().__init__(f"flagged_{side}_elsewhere" if elsewhere else f"flagged_{side}")


class Abandoned(TurbocordError):
    """Whoever asked is gone: the interaction was cancelled, deleted or has expired."""

    default_code = "abandoned"


class EngineError(TurbocordError):
    """The engine could not draw the picture."""

    default_code = "engine_failed"


class OutOfMemory(EngineError):
    """The device cannot hold this picture even alone."""

    default_code = "out_of_memory"


class BadOutput(EngineError):
    """The model gave NaN or a black picture, and did so again in full precision."""

    default_code = "bad_output"


class WeightsUnavailable(EngineError):
    """A configured model or LoRA cannot be loaded; `details["name"]` says which.

    The codes are `model_unavailable`, `lora_missing` and `lora_unfit`.
    """

    default_code = "model_unavailable"


class EngineStalled(EngineError):
    """A device call did not come back in time and its worker was replaced."""

    default_code = "engine_stalled"


class CheckFailed(EngineError):
    """The picture check gave no verdict, and what is not judged is not shown."""

    default_code = "check_failed"


class EngineStopping(EngineError):
    """The process is shutting down and takes no more work."""

    default_code = "engine_stopping"


class StoreError(TurbocordError):
    """The store could not do what was asked; `details["reason"]` says why in a few words.

    Whoever catches it goes on without the store: no picture is withheld for its sake.
    """

    default_code = "store_unavailable"


class DeliveryFailed(TurbocordError):
    """The picture exists, but no way of handing it over worked."""

    default_code = "delivery_failed"


class StartupError(TurbocordError):
    """The process cannot start.

    `message` is one complete sentence for the operator; `exit_code` is documented in the README.
    """

    default_code = "startup"

    def __init__(self, message: str, *, exit_code: int) -> None:
        self.message = message
        self.exit_code = exit_code
        super().__init__("startup", message=message)

    def __str__(self) -> str:
        return self.message


def install_hint(extra: str) -> str:
    """Return the command that installs an optional part; turbocord itself is on no index."""
    return f"pip install -c constraints.txt '.[{extra}]' in turbocord's folder"
