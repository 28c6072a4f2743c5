"""The renderer, and the reader that judges pictures by it."""

from __future__ import annotations

import pytest
import torch

from bot.models.starter import reading
from bot.models.starter.grammar import Scene, Thing
from bot.models.starter.layout import arrange, layout_numbers
from bot.models.starter.render import render
from bot.models.starter.vocabulary import COLOURS, KINDS, PLACES, STYLES, TIMES

MIDDLE = (0.5, 0.5)


def picture(scene: Scene, height: int = 64, width: int = 64) -> torch.Tensor:
    return render([arrange(scene, MIDDLE, 0.0)], height, width, supersample=2)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_rendered_thing_is_read_back(kind: str) -> None:
    scene = Scene((Thing(kind, "red"),), background="blue")
    painting = arrange(scene, MIDDLE, 0.0)
    drawn = picture(scene)
    assert reading.read_background(drawn) == "blue"
    assert reading.read_colour(drawn, painting, 0) == "red"
    assert reading.read_kind(drawn, painting, 0) == kind


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_counts_are_read_back(count: int) -> None:
    scene = Scene((Thing("star", "yellow"),), count=count, background="black")
    assert reading.read_count(picture(scene), scene, MIDDLE, 0.0) == count


@pytest.mark.parametrize("relation", ["above", "below", "left", "right", "inside"])
def test_relations_are_read_back(relation: str) -> None:
    things = (Thing("heart", "red"), Thing("square", "white"))
    scene = Scene(things, relation=relation, background="green")
    assert reading.read_relation(picture(scene), scene, MIDDLE, 0.0) == relation
    painting = arrange(scene, MIDDLE, 0.0)
    assert [reading.read_kind(picture(scene), painting, i) for i in (0, 1)] == ["square", "heart"]


@pytest.mark.parametrize("style", STYLES)
def test_styles_are_read_back(style: str) -> None:
    scene = Scene((Thing("tree", "green"),), background="pink", style=style)
    assert reading.read_style(picture(scene), arrange(scene, MIDDLE, 0.0)) == style


@pytest.mark.parametrize("place", PLACES[1:])
@pytest.mark.parametrize("time", TIMES)
def test_landscapes_are_read_back(place: str, time: str) -> None:
    scene = Scene((Thing("boat", "red"),), place=place, time=time)
    painting = arrange(scene, MIDDLE, 0.0)
    assert reading.read_landscape(picture(scene), painting) == (place, time)


def test_grain_is_what_noise_stands_on_plain_ground() -> None:
    painting = arrange(Scene((Thing("star", "red"),), background="blue"), (0.2, 0.7), 1.0)
    picture = render([painting], 512, 512)[0]
    ground = reading.plain_ground([painting], 512)
    assert 0.5 < float(ground.float().mean()) < 0.95
    assert reading.read_grain(picture, ground) < 1e-5
    noise = torch.randn(3, 512, 512, generator=torch.Generator().manual_seed(0))
    # Only where nothing is shown, and a slope over the whole picture is none.
    slope = torch.linspace(0, 0.3, 512)
    noisy = picture + slope + torch.where(ground, 0.01, 0.5) * noise
    assert reading.read_grain(noisy, ground) == pytest.approx(0.01, rel=0.02)


def test_a_small_rendering_is_the_large_one_averaged() -> None:
    painting = arrange(Scene((Thing("cat", "orange"),), background="white"), (0.2, 0.7), 1.0)
    large = render([painting], 512, 512)
    small = render([painting], 64, 64, supersample=2)
    averaged = torch.nn.functional.avg_pool2d(large, 8)
    assert (averaged - small).abs().mean() < 0.004


def test_a_window_is_a_part_of_the_whole() -> None:
    painting = arrange(Scene((Thing("house", "red"),), background="cyan"), MIDDLE, 0.0)
    whole = render([painting], 256, 256)
    part = render([painting], 64, 64, window=(0.25, 0.5, 0.25))
    torch.testing.assert_close(part, whole[:, :, 128:192, 64:128], atol=1e-3, rtol=0)


def test_portrait_pictures_keep_things_round() -> None:
    drawn = picture(Scene((Thing("circle", "red"),), background="white"), 72, 56)
    red = (drawn - torch.tensor(COLOURS["red"])[:, None, None]).abs().amax(dim=0) < 0.2
    assert abs(int(red.any(dim=0).sum()) - int(red.any(dim=1).sum())) <= 1


def test_styles_places_and_times_all_look_different() -> None:
    thing = (Thing("boat", "red"),)
    scenes = [Scene(thing, background="green", style=style) for style in STYLES]
    scenes += [Scene(thing, place=place, time=time) for place in PLACES[1:] for time in TIMES]
    drawn = torch.stack([picture(scene) for scene in scenes])
    assert drawn.isfinite().all()
    assert drawn.amin() >= 0
    assert drawn.amax() <= 1
    apart = (drawn[:, None] - drawn[None]).abs().mean(dim=(2, 3, 4))
    assert (apart + torch.eye(len(scenes)))[:].amin() > 0.008


def test_layout_numbers_are_uniform_and_move_things() -> None:
    noise = torch.randn(400, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    numbers = layout_numbers(noise)
    assert numbers.shape == (400, 2)
    assert abs(float(numbers.mean()) - 0.5) < 0.05
    assert abs(float(numbers.std()) - 12**-0.5) < 0.03
    scene = Scene((Thing("star", "red"),))
    near, far = (arrange(scene, (0.9, 0.1), spread).strokes[0] for spread in (0.0, 1.0))
    assert (near.x, near.y) == (0, 0)
    assert far.x > 0 > far.y
