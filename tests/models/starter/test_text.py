"""Attributes and the text encoders that learn them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bot.models.starter.grammar import ANYWHERE, SCOPES, Scene, Thing
from bot.models.starter.text import ATTRIBUTES, Prompts, TextTrainer, attributes
from bot.models.starter.tokens import learn_tokenizers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("training")
    learn_tokenizers(path, captions=300)
    return path


def test_attributes_tell_scenes_apart() -> None:
    scenes = [
        Scene((Thing("cat", "red"),)),
        Scene((Thing("cat", "blue"),)),
        Scene((Thing("star", "red"),)),
        Scene((Thing("cat", "red"),), count=2),
        Scene((Thing("cat", "red"),), size="big"),
        Scene((Thing("cat", "red"),), background="green"),
        Scene((Thing("cat", "red"),), style="pixel"),
        Scene((Thing("cat", "red"),), place="sea", time="night"),
        Scene((Thing("cat", "red"),), place="sea", time="day"),
        Scene((), place="sea", time="night"),
        Scene((), place=ANYWHERE, time="night"),
        Scene((), place=ANYWHERE, time="day"),
        Scene((), style="pixel"),
        Scene((Thing("cat", "red"), Thing("star", "blue")), relation="left"),
        Scene((Thing("star", "blue"), Thing("cat", "red")), relation="left"),
        Scene((Thing("cat", "red"), Thing("star", "blue")), relation="above"),
    ]
    vectors = [tuple(attributes(scene)) for scene in scenes]
    assert len(set(vectors)) == len(scenes)
    assert {len(vector) for vector in vectors} == {ATTRIBUTES}


def test_any_text_has_tokens_of_the_pipelines_length(folder: Path) -> None:
    ids, ids_2 = Prompts(folder)(["a red cat", "日本 zeppelin 🎈", "", "word " * 200])
    assert ids.shape == ids_2.shape == (4, 77)
    first, second = Prompts(folder).tokenizers
    assert (ids[:, 0] == first.bos_token_id).all()
    assert ids[0, -1] == first.eos_token_id
    assert ids_2[0, -1] != second.eos_token_id
    assert first.decode(ids[0], skip_special_tokens=True).strip() == "a red cat"


def test_learning_the_tokenizer_twice_gives_the_same(folder: Path, tmp_path: Path) -> None:
    learn_tokenizers(tmp_path, captions=300)
    for name in ("tokenizer", "tokenizer_2"):
        again = (tmp_path / name / "tokenizer.json").read_text(encoding="utf-8")
        assert again == (folder / name / "tokenizer.json").read_text(encoding="utf-8")


def test_the_encoders_learn(folder: Path) -> None:
    trainer = TextTrainer(folder, SCOPES["single"], seed=0, device=torch.device("cpu"))
    losses = [trainer.step(16, 2e-3)["loss"] for _ in range(12)]
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
