"""Scenes and prompts: every scene can be said, and what is held out stays out."""

from __future__ import annotations

import random

import pytest

from bot.models.starter import vocabulary as words
from bot.models.starter.grammar import (
    CONTAINERS,
    SCOPES,
    Scene,
    Thing,
    caption,
    held_out,
    remix,
    sample_scene,
)
from bot.models.starter.lessons import LessonMaker, Plan


def test_plain_captions_say_all_that_the_scene_holds() -> None:
    rng = random.Random(0)
    cases = {
        Scene((Thing("cat", "red"),), background="blue"): "a red cat on a blue background",
        Scene((Thing("star", "pink"),), count=3): "three pink stars",
        Scene((Thing("fish", "orange"),), count=2): "two orange fish",
        Scene(
            (Thing("heart", "red"), Thing("square", "white")), relation="inside"
        ): "a red heart inside a white square",
        Scene((Thing("house", "red"),), place="snow", time="night"): (
            "a red house in the snow at night"
        ),
        Scene((Thing("tree", "green"),), size="big", style="watercolour"): ("a big green tree"),
    }
    for scene, text in cases.items():
        assert caption(scene, rng, plain=True).startswith(text)


@pytest.mark.parametrize("name", SCOPES)
def test_sampled_scenes_stay_in_their_scope(name: str) -> None:
    rng = random.Random(1)
    scope = SCOPES[name]
    for _ in range(400):
        scene = sample_scene(rng, scope)
        assert scope.counts or scene.count == 1
        assert scope.relations or scene.relation is None
        assert scope.landscapes or scene.place == "plain"
        assert scope.styled or scene.style == "flat"
        colours = [thing.colour for thing in scene.things]
        assert len(set(colours)) == len(colours)
        if scene.place == "plain":
            assert scene.background not in colours
        assert caption(scene, rng)


def test_a_tenth_of_combinations_is_held_out_and_never_a_lesson() -> None:
    rng = random.Random(2)
    scenes = [sample_scene(rng, SCOPES["full"]) for _ in range(3000)]
    share = sum(held_out(scene) for scene in scenes) / len(scenes)
    assert 0.07 < share < 0.13
    maker = LessonMaker(Plan(SCOPES["full"]), seed=3)
    assert not any(held_out(maker.scene()) for _ in range(500))


def test_remix_keeps_the_layout_and_takes_the_rest() -> None:
    rng = random.Random(4)
    source = Scene((Thing("cat", "red"),), count=4, background="white")
    other = Scene((Thing("star", "blue"),), background="black", style="neon", size="big")
    mixed = remix(source, other, rng)
    assert (mixed.count, mixed.size, mixed.relation) == (4, "medium", None)
    assert (mixed.things, mixed.background, mixed.style) == (other.things, "black", "neon")


def test_remix_of_a_pair_stays_drawable() -> None:
    rng = random.Random(5)
    pair = Scene((Thing("cat", "red"), Thing("circle", "blue")), relation="inside")
    for _ in range(100):
        mixed = remix(pair, sample_scene(rng, SCOPES["single"]), rng)
        assert mixed.things[1].kind in CONTAINERS
        assert mixed.things[0].colour != mixed.things[1].colour


def test_every_kind_has_words_and_plurals() -> None:
    for kind in words.KINDS:
        assert words.KIND_WORDS[kind][0] == kind
    assert words.plural("cross") == "crosses"
    assert words.plural("fish") == "fish"
    assert words.plural("daisy") == "daisies"
    assert words.plural("cat") == "cats"
