"""A UNet's repeated blocks compiled, with a function of its own for each kind of block.

The library compiles all of them as one function. PyTorch then takes for variable whatever differs
between blocks, the number of places too; with a function for each width only rows are variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FunctionType
from typing import Any

import torch
from torch import nn

Run = Callable[..., Any]


class CompiledBlocks:
    """The blocks of `unet` that repeat, compiled when they are first used with `in_use`.

    Every kind is compiled twice: for one row, which PyTorch never takes for a variable number, and
    for any other number.
    """

    def __init__(self, unet: Any, *, compiled: Callable[[Run], Run] | None = None) -> None:
        make = compiled or partial(torch.compile, fullgraph=True)
        kinds: dict[tuple[torch.Size, ...], Run] = {}
        self._calls: dict[nn.Module, Run] = {}
        for block in unet.modules():
            if type(block).__name__ not in (unet._repeated_blocks or ()):
                continue
            kind = tuple(weight.shape for weight in block.parameters())
            if kind not in kinds:
                kinds[kind] = make(_function(f"{type(block).__name__}_{len(kinds)}"))
            self._calls[block] = partial(kinds[kind], block)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Have the UNet run the compiled blocks meanwhile."""
        for block, call in self._calls.items():
            block._compiled_call_impl = call
        try:
            yield
        finally:
            for block in self._calls:
                block._compiled_call_impl = None


def _run(block: Any, *inputs: Any, **options: Any) -> Any:
    return block.forward(*inputs, **options)


def _function(name: str) -> Run:
    """Return `_run` under another name: by its code PyTorch tells what it has compiled."""
    return FunctionType(_run.__code__.replace(co_name=name), _run.__globals__, name)
