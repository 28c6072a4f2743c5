"""How often the UNet's repeated blocks are compiled, by a compiler that changes nothing."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import torch

from bot.engine.compiled_blocks import CompiledBlocks
from bot.models.random_weights import build_random_pipeline
from bot.models.tiny import TINY


@torch.inference_mode()
def test_each_kind_is_compiled_for_one_row_and_for_any_number() -> None:
    pipeline = build_random_pipeline(TINY, seed=1)
    unet = pipeline.unet
    compiled: Counter[int] = Counter()

    def compiler(graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        tensors = [each for each in inputs if isinstance(each, torch.Tensor)]
        (places,) = {each.shape[1] for each in tensors if each.ndim == 3} - {77}
        # A number that is variable would be no plain integer.
        assert isinstance(places, int)
        compiled[places] += 1
        return graph.forward

    def run(rows: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(rows)
        return unet(
            torch.randn(rows, unet.config.in_channels, 16, 16, generator=generator),
            torch.full((rows,), 500.0),
            encoder_hidden_states=torch.randn(
                rows, 77, unet.config.cross_attention_dim, generator=generator
            ),
            added_cond_kwargs={
                "text_embeds": torch.randn(
                    rows, pipeline.text_encoder_2.config.projection_dim, generator=generator
                ),
                "time_ids": torch.tensor([[512.0, 512.0, 0.0, 0.0, 512.0, 512.0]] * rows),
            },
            return_dict=False,
        )[0]

    blocks = CompiledBlocks(unet, compiled=partial(torch.compile, backend=compiler, fullgraph=True))
    for rows in (1, 8, 3, 2, 1, 5):
        wanted = run(rows)
        assert sum(compiled.values()) <= 2 * len(compiled)
        with blocks.in_use():
            assert torch.allclose(run(rows), wanted, atol=1e-5)
    assert compiled
    assert set(compiled.values()) == {2}
