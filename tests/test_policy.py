from __future__ import annotations

import pytest

from bot.errors import BadParameter
from bot.policy import Defaults, resolve
from bot.request import MAX_SEED, Asker, PictureSource, Wish, effective_steps

ASKER = Asker(user_id=1, guild_id=2, max_bytes=1234)
PICTURE = PictureSource(data=b"x")


def test_the_article_s_defaults_fill_an_empty_wish() -> None:
    request = resolve(Wish(prompt=" a cat "), ASKER, Defaults())
    assert request.prompt == "a cat"
    assert (request.num_inference_steps, request.guidance_scale) == (2, 0.0)
    assert request.size is not None
    assert request.size.name == "square"
    assert 0 <= request.seed <= MAX_SEED
    assert request.max_bytes == 1234


def test_a_remix_leaves_the_size_to_the_source() -> None:
    request = resolve(Wish(prompt="snow", sources=(PICTURE,)), ASKER, Defaults())
    assert request.size is None
    assert request.strength == 0.7


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        (Wish(prompt="a", num_inference_steps=9), "steps"),
        (Wish(prompt="a", count=5), "count"),
        (Wish(prompt="a", strength=0.0), "strength"),
        (Wish(prompt="a", strength=float("nan")), "strength"),
        (Wish(prompt="a", seed=MAX_SEED + 1), "seed"),
        (Wish(prompt="a", seed=10**400), "seed"),
        (Wish(prompt="a", guidance_scale=-1.0), "guidance"),
        (Wish(prompt="a", size="round"), "size"),
        (Wish(prompt="  "), "prompt"),
        (Wish(prompt="a" * 1001), "prompt"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(wish: Wish, name: str) -> None:
    with pytest.raises(BadParameter) as caught:
        resolve(wish, ASKER, Defaults())
    assert caught.value.details["name"] == name


@pytest.mark.parametrize(("steps", "strength", "expected"), [(1, 0.3, 4), (2, 0.5, 2), (4, 1, 4)])
def test_steps_are_raised_to_the_first_that_runs(
    steps: int, strength: float, expected: int
) -> None:
    assert effective_steps(steps, strength) == expected
    assert int(expected * strength) >= 1


def test_a_gentle_remix_never_runs_zero_steps() -> None:
    for percent in range(1, 101):
        for steps in range(1, 9):
            assert int(effective_steps(steps, percent / 100) * (percent / 100)) >= 1
    request = resolve(
        Wish(prompt="a", strength=0.1, num_inference_steps=1, sources=(PICTURE,)), ASKER, Defaults()
    )
    assert request.num_inference_steps == 10


def test_seeds_count_up_and_wrap() -> None:
    request = resolve(Wish(prompt="a", seed=MAX_SEED, count=2), ASKER, Defaults())
    assert request.seeds == (MAX_SEED, 0)
