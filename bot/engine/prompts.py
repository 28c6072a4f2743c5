"""Prompts to embeddings: one batched pass of both text encoders, remembered for the next time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

Prompt = tuple[Hashable, str]
"""What tells the text encoders' weights apart, and the text."""


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """What the UNet is told of one prompt: `embeds` (tokens, width) and `pooled` (width_2,)."""

    embeds: torch.Tensor
    pooled: torch.Tensor

    @property
    def nbytes(self) -> int:
        """The device memory it holds."""
        return self.embeds.nbytes + self.pooled.nbytes


class PromptCache:
    """Conditions by prompt, the least recently used dropped beyond `max_bytes`.

    A prompt is known beside the variant of the text encoders that read it. Engines that share one
    set of weights share one cache, so it is thread-safe.
    """

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self.max_bytes = max_bytes
        self.nbytes = 0
        self._kept: OrderedDict[Prompt, Condition] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, prompt: Prompt) -> Condition | None:
        """Return what is remembered of `prompt`."""
        with self._lock:
            condition = self._kept.get(prompt)
            if condition is not None:
                self._kept.move_to_end(prompt)
            return condition

    def put(self, prompt: Prompt, condition: Condition) -> None:
        """Remember `condition`, unless it alone is over the bound."""
        if condition.nbytes > self.max_bytes:
            return
        with self._lock:
            if prompt in self._kept:
                return
            self._kept[prompt] = condition
            self.nbytes += condition.nbytes
            while self.nbytes > self.max_bytes:
                _, dropped = self._kept.popitem(last=False)
                self.nbytes -= dropped.nbytes

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self.nbytes = 0


class PromptEncoder:
    """SDXL's pair of text encoders, as the stock pipeline uses them.

    The penultimate hidden states of both are joined along their width; the second one's projection
    is the pooled condition. `variant` tells which weights the encoders have at the moment.
    """

    def __init__(
        self,
        stock: Any,
        cache: PromptCache,
        variant: Callable[[], Hashable] = lambda: None,
    ) -> None:
        self._variant = variant
        self._tokenizers = (stock.tokenizer, stock.tokenizer_2)
        self._encoders = (stock.text_encoder, stock.text_encoder_2)
        self._cache = cache
        self.run: Callable[..., tuple[torch.Tensor, ...]] = self.encode_tokens

    def encode(self, prompts: Sequence[str]) -> list[Condition]:
        """Return one Condition per prompt, in order; each unknown prompt is encoded once."""
        found: dict[str, Condition] = {}
        variant = self._variant()
        for prompt in dict.fromkeys(prompts):
            if (known := self._cache.get((variant, prompt))) is not None:
                found[prompt] = known
        unknown = [prompt for prompt in dict.fromkeys(prompts) if prompt not in found]
        if unknown:
            found.update(zip(unknown, self._encode(unknown), strict=True))
            for prompt in unknown:
                self._cache.put((variant, prompt), found[prompt])
        return [found[prompt] for prompt in prompts]

    def encode_tokens(self, tokens: torch.Tensor, tokens_2: torch.Tensor) -> tuple[Any, ...]:
        """Return embeds (n, tokens, width) and pooled (n, width_2) for both tokenizers' ids."""
        return self.join(self.read(0, tokens), self.read(1, tokens_2))

    def read(self, encoder: int, tokens: torch.Tensor) -> Any:
        """Return what one of the two encoders makes of its tokenizer's ids."""
        return self._encoders[encoder](tokens, output_hidden_states=True)

    def join(self, first: Any, second: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return embeds and pooled of what both encoders made."""
        return torch.cat((first.hidden_states[-2], second.hidden_states[-2]), dim=-1), second[0]

    def _encode(self, prompts: list[str]) -> list[Condition]:
        ids = [
            tokenizer(
                prompts,
                padding="max_length",
                max_length=tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            ).input_ids.to(encoder.device)
            for tokenizer, encoder in zip(self._tokenizers, self._encoders, strict=True)
        ]
        embeds, pooled = self.run(*ids)
        # Rows are copied out: a view would keep the whole batch in memory for one prompt's sake.
        return [Condition(embeds[i].clone(), pooled[i].clone()) for i in range(len(prompts))]
