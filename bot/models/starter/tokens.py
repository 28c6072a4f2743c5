"""The byte-pair vocabulary, learned once from captions and kept: learning it again may differ."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from transformers import CLIPTokenizer

from bot.models.starter.grammar import SCOPES, caption, sample_scene

START, END = "<|startoftext|>", "<|endoftext|>"
CONTEXT = 77
MERGES = 900
_COMMON = (
    "the a an of in on at and with is are its one two three four five six seven eight nine "
    "ten some many dog bird car horse person man woman child king queen dragon cartoon anime "
    "portrait photo realistic style art painting sketch poster logo sign colour color light "
    "dark bright old new forest river lake road street mountain beach island desert garden "
    "room space sky rain fire summer winter spring autumn christmas halloween birthday party "
    "holding wearing looking flying "
)


def learn_tokenizers(folder: Path, *, captions: int = 20_000, seed: int = 1) -> None:
    """Write `tokenizer` and `tokenizer_2` under `folder`; they differ in their padding only."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    for _ in range(captions):
        counts.update(_words(caption(sample_scene(rng, SCOPES["full"]), rng)))
    for word in _COMMON.split():
        counts[word] += 50
    vocab, merges = _pairs(counts)
    for name, pad in (("tokenizer", END), ("tokenizer_2", "!")):
        tokenizer = CLIPTokenizer(
            vocab=vocab,
            merges=merges,
            bos_token=START,
            eos_token=END,
            unk_token=END,
            pad_token=pad,
            model_max_length=CONTEXT,
        )
        tokenizer.save_pretrained(folder / name)


def load_tokenizers(folder: Path) -> tuple[Any, Any]:
    """Return both tokenizers of a model folder."""
    return (
        CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        CLIPTokenizer.from_pretrained(folder / "tokenizer_2"),
    )


def _words(text: str) -> list[str]:
    for mark in ",.!-":
        text = text.replace(mark, f" {mark} ")
    return text.lower().split()


def _pairs(counts: Counter[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Learn byte-pair merges (Sennrich et al., 2016) over words that end in `</w>`."""
    symbols = _byte_symbols()
    vocab = {symbol: i for i, symbol in enumerate(symbols + [s + "</w>" for s in symbols])}
    split = {word: [*word[:-1], word[-1] + "</w>"] for word in counts}
    merges: list[tuple[str, str]] = []
    while len(merges) < MERGES:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in split.items():
            for pair in pairwise(parts):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        vocab.setdefault("".join(best), len(vocab))
        split = {word: _merge(parts, best) for word, parts in split.items()}
    for special in (START, END):
        vocab[special] = len(vocab)
    return vocab, merges


def _merge(parts: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def _byte_symbols() -> list[str]:
    """Return one printable character per byte, in the order of GPT-2's byte-level alphabet."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(rest))]
