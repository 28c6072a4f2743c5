"""The GPU's own kernels compiled for one; run by test_cuda_layers in a process of its own."""

from __future__ import annotations

from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from bot.engine import cuda_kernels as kernels


def test_kernels_compile_for_a_gpu() -> None:
    sizes = {"places": "i32", "channels": "i32", "each": "i32", "width": "i32"}
    tile = {"R": 32, "C": 64}
    half, single = "*fp16", "*fp32"
    cases: list[tuple[Any, dict[str, str], dict[str, Any]]] = [
        (kernels._sum, {"x": half, "sums": single}, tile),
        (kernels._apply, {"x": half, "out": half, "folded": single}, {"SILU": True, **tile}),
        (
            kernels._add,
            {"x": half, "other": half, "out": half, "bias": half, "second": half},
            {"HAS_SECOND": True, **tile},
        ),
        (
            kernels._add,
            {"x": half, "other": half, "out": half, "bias": half},
            {"second": None, "HAS_SECOND": False, **tile},
        ),
        (kernels._double, {"x": half, "out": half}, tile),
    ]
    fold = {"sums": single, "folded": single, "weight": half, "bias": half}
    fold |= {"per_group": "i32", "splits": "i32", "eps": "fp32"}
    for given in (False, True):
        flags = {"HAS_BEFORE": given, "HAS_ALSO": given, "S": 64, "G": 16}
        more = {"before": half, "also": half} if given else {}
        none = {} if given else {"before": None, "also": None}
        cases.append((kernels._fold, {**fold, **more}, {**flags, **none}))
    for kernel, types, constants in cases:
        signature = {name: {**sizes, **types}.get(name, "constexpr") for name in kernel.arg_names}
        places = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
        source = ASTSource(fn=kernel, signature=signature, constexprs=places)
        assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]
