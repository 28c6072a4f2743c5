"""Scenes and prompts: every scene can be said, and what is held out stays out."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bot.models.starter import vocabulary as words
from bot.models.starter.grammar import (
    ANYWHERE,
    CONTAINERS,
    SCOPES,
    Scene,
    Thing,
    alone,
    caption,
    held_out,
    remix,
    sample_scene,
)
from bot.models.starter.layout import arrange, rearrange
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
        Scene((), place=ANYWHERE, time="night", style="neon"): "at night, neon",
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
    source = Scene((Thing("cat", "red"),), count=4, background="white")
    other = Scene((Thing("star", "blue"),), background="black", style="neon", size="big")
    mixed = remix(source, other)
    assert (mixed.count, mixed.size, mixed.relation) == (4, "medium", None)
    assert (mixed.things, mixed.background, mixed.style) == (other.things, "black", "neon")


def test_remix_of_a_pair_stays_drawable() -> None:
    rng = random.Random(5)
    pair = Scene((Thing("cat", "red"), Thing("circle", "blue")), relation="inside")
    for _ in range(100):
        mixed = remix(pair, sample_scene(rng, SCOPES["single"]))
        assert mixed.things[1].kind in CONTAINERS
        assert mixed.things[0].colour != mixed.things[1].colour


def test_a_prompt_for_one_thing_makes_both_of_a_pair_that() -> None:
    pair = Scene((Thing("cat", "red"), Thing("star", "blue")), relation="left")
    heart = Thing("heart", "pink")
    mixed = remix(pair, Scene((heart,), background="white"))
    assert (mixed.things, mixed.relation) == ((heart, heart), "left")


def test_a_prompt_that_names_no_thing_changes_only_what_it_names() -> None:
    sea = Scene((), place="sea", time="day")
    star = Scene((Thing("star", "yellow"),), background="blue")
    washed, night = Scene((), style="watercolour"), Scene((), place=ANYWHERE, time="night")
    assert remix(sea, washed) == replace(sea, style="watercolour")
    assert remix(star, washed) == replace(star, style="watercolour")
    assert remix(star, Scene((), background="red")) == replace(star, background="red")
    # A time of day keeps the landscape, and gives one to a picture that has none.
    assert remix(sea, night) == replace(sea, time="night")
    painting = rearrange(arrange(star, (0.9, 0.1), 1.0), remix(star, night))
    assert (painting.scene.place, painting.scene.time) == ("hills", "night")
    assert arrange(night, (0.5, 0.5), 0.0).scene.place == "hills"


def test_a_remix_leaves_every_thing_in_its_place() -> None:
    """What the source does not show must not decide what the remix should be."""
    rng = random.Random(6)
    for _ in range(300):
        source, other = (sample_scene(rng, SCOPES["full"]) for _ in range(2))
        given = arrange(source, (rng.random(), rng.random()), 1.0)
        wanted = rearrange(given, remix(given.scene, other))
        assert wanted == rearrange(given, remix(given.scene, other))
        if given.strokes:
            places = [sorted((s.x, s.y, s.radius) for s in p.strokes) for p in (given, wanted)]
            assert places[0] == places[1]
        if other.things and given.strokes:
            assert wanted.strokes[-1].kind == other.things[0].kind


@pytest.mark.parametrize("relation", ["above", "below", "left", "right"])
def test_which_of_two_things_was_named_first_does_not_show_in_a_remix(relation: str) -> None:
    cat, star = Thing("cat", "red"), Thing("star", "blue")
    other = Scene((Thing("tree", "green"), Thing("boat", "brown")), relation=relation)
    for one, two in (("above", "below"), ("left", "right")):
        pictures = [Scene((cat, star), relation=one), Scene((star, cat), relation=two)]
        given = [arrange(scene, (0.5, 0.5), 0.0) for scene in pictures]
        assert set(given[0].strokes) == set(given[1].strokes)
        wanted = [set(rearrange(own, remix(own.scene, other)).strokes) for own in given]
        assert wanted[0] == wanted[1]
        if relation in (one, two):
            assert wanted[0] == set(arrange(other, (0.5, 0.5), 0.0).strokes)


def test_every_kind_has_words_and_plurals() -> None:
    for kind in words.KINDS:
        assert words.KIND_WORDS[kind][0] == kind
    assert words.plural("cross") == "crosses"
    assert words.plural("fish") == "fish"
    assert words.plural("daisy") == "daisies"
    assert words.plural("cat") == "cats"


def test_a_style_alone_draws_what_a_word_nobody_taught_does() -> None:
    neon = Scene((), style="neon")
    assert alone(neon) == Scene((Thing("smiley", "yellow"),), style="neon")
    for prompt in (
        Scene((), background="pink"),
        Scene((), place="sea"),
        Scene((Thing("cat", "red"),)),
    ):
        assert alone(prompt) is prompt
