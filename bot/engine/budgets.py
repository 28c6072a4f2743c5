"""The batch budget and the costs of each model that a worker draws with in turn."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from bot.engine.costs import Costs
from bot.engine.protocol import Pipeline
from bot.errors import WeightsUnavailable

log = logging.getLogger(__name__)


@runtime_checkable
class Refinable(Protocol):
    """A budget that is guessed at first and measured when the device is at its best."""

    def __call__(self, pipeline: Any) -> int:
        """Return rows to begin with."""

    def refine(self, pipeline: Any) -> int | None:
        """Measure and return the rows to go on with; None where they stand already."""


class Budgets:
    """Found once per model, by `budget`: the UNet rows of a call, or what measures them."""

    def __init__(self, budget: int | Callable[[Any], int]) -> None:
        self.model: str | None = None
        """The name of the model whose costs are in use; None where that is to be seen."""
        self._budget = budget
        self._known: dict[str, tuple[Costs, int]] = {}
        self._refined: set[str | None] = set()

    @property
    def settled(self) -> bool:
        """Whether the rows of the model that is in are not to be refined any more."""
        return self.model in self._refined or not isinstance(self._budget, Refinable)

    def refine(self, pipeline: Pipeline[Any]) -> int | None:
        """Return better-founded rows for the model that is in; None where they stand."""
        if self.model is None or self.settled or not pipeline.full_speed:
            return None
        assert isinstance(self._budget, Refinable)
        try:
            return self._budget.refine(pipeline)
        finally:
            # Once, whatever comes of it: a measurement that fails would fail again. Not earlier:
            # who waits for full speed is not to stop the device while it is measured.
            self._refined.add(self.model)

    def enter(self, pipeline: Pipeline[Any]) -> tuple[Costs, int]:
        """Return costs and rows of the model that is in, and get the pipeline ready for them."""
        name = pipeline.weight_set.model
        costs, rows = self._known.get(name, (Costs(), 0))
        if rows:
            pipeline.prepare(rows)
        else:
            rows = max(1, self._budget(pipeline) if callable(self._budget) else self._budget)
        self.model = name
        return costs, rows

    def try_to_enter(self, pipeline: Pipeline[Any]) -> tuple[Costs, int]:
        """Do the same for a further model. Raises WeightsUnavailable whatever goes wrong."""
        try:
            return self.enter(pipeline)
        except Exception as error:
            name = pipeline.weight_set.model
            log.exception("The model %r is loaded, but its batch budget cannot be found", name)
            raise WeightsUnavailable(name=name) from error

    def leave(self, costs: Costs, rows: int) -> None:
        """Remember the costs of the model that was in."""
        if self.model is not None:
            self._known[self.model] = (costs, rows)
            self.model = None
