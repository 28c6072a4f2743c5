"""The batch budget and the costs of each model that a worker draws with in turn."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from bot.engine.costs import Costs
from bot.engine.protocol import Pipeline
from bot.errors import WeightsUnavailable

log = logging.getLogger(__name__)


class Budgets:
    """Found once per model, by `budget`: the UNet rows of a call, or what measures them."""

    def __init__(self, budget: int | Callable[[Any], int]) -> None:
        self.model: str | None = None
        """The name of the model whose costs are in use; None where that is to be seen."""
        self._budget = budget
        self._known: dict[str, tuple[Costs, int]] = {}

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
