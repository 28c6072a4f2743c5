from __future__ import annotations

from dataclasses import replace

import pytest

from bot.errors import BadParameter, NotAllowed
from bot.policy import Defaults, check, choose_model, on_flagged, quotas, resolve
from bot.ratelimit import Quota
from bot.request import (
    MAX_SEED,
    Asker,
    Lora,
    ModelChoice,
    OnFlagged,
    PictureSource,
    Style,
    WeightSet,
    Wish,
    effective_steps,
)
from bot.store import GuildSettings, NsfwPolicy

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


def test_half_of_a_surrogate_pair_reaches_no_tokenizer() -> None:
    request = resolve(Wish(prompt="a \ud800cat", negative_prompt="\udfff"), ASKER, Defaults())
    assert (request.prompt, request.negative_prompt) == ("a ?cat", "?")


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


def test_a_thread_is_allowed_where_its_channel_is() -> None:
    rules = GuildSettings(allowed_channel_ids=frozenset({7}))
    check(Wish(prompt="a"), Asker(user_id=1, guild_id=2, channel_id=7), rules)
    check(Wish(prompt="a"), Asker(user_id=1, guild_id=2, channel_id=9, parent_channel_id=7), rules)
    with pytest.raises(NotAllowed):
        check(Wish(prompt="a"), Asker(user_id=1, guild_id=2, channel_id=9), rules)


@pytest.mark.parametrize(
    ("policy", "adults", "everyone"),
    [
        (NsfwPolicy.OFF, OnFlagged.REFUSE, OnFlagged.REFUSE),
        (NsfwPolicy.AGE_RESTRICTED, OnFlagged.SHOW, OnFlagged.REFUSE_HERE),
        (NsfwPolicy.SPOILER, OnFlagged.SPOILER, OnFlagged.SPOILER),
    ],
)
def test_the_guild_s_policy_says_what_becomes_of_flagged_pictures(
    policy: NsfwPolicy, adults: OnFlagged, everyone: OnFlagged
) -> None:
    assert on_flagged(policy, Asker(user_id=1, guild_id=2, age_restricted=True)) is adults
    assert on_flagged(policy, Asker(user_id=1, guild_id=2)) is everyone
    assert on_flagged(policy, Asker(user_id=1, age_restricted=True)) is OnFlagged.REFUSE


def test_of_several_roles_the_most_generous_limit_holds() -> None:
    rules = GuildSettings(
        guild_quota=(60, 60),
        member_quota=(10, 60),
        role_quotas=((1, 2, 60), (2, 300, 3600), (3, 5, 60)),
    )
    guild = Quota(60, 60)

    def of(*roles: int) -> Asker:
        return replace(ASKER, role_ids=frozenset(roles))

    assert quotas(rules, of()) == (guild, Quota(10, 60))
    assert quotas(rules, of(9)) == (guild, Quota(10, 60))
    assert quotas(rules, of(1, 9)) == (guild, Quota(2, 60))
    assert quotas(rules, of(1, 3)) == (guild, Quota(5, 60))
    # As many a minute, and more at once.
    assert quotas(rules, of(1, 2, 3)) == (guild, Quota(300, 3600))
    assert quotas(GuildSettings(), of(1)) == (None, None)
    # Where the app is there for its user alone, nothing is counted by the guild.
    assert quotas(rules, replace(of(1), by_guild=False)) == (None, None)


def test_a_style_that_is_no_more_is_missed_by_who_names_it_now() -> None:
    usual = Defaults(style="gone")
    styles = {"pixel": Style("pixel", "{prompt}, pixel art")}
    assert resolve(Wish(prompt="a"), ASKER, usual, styles).style is None
    assert (
        resolve(Wish(prompt="a", style="gone", recalled=True), ASKER, usual, styles).style is None
    )
    with pytest.raises(BadParameter):
        resolve(Wish(prompt="a", style="gone"), ASKER, usual, styles)
    named = resolve(Wish(prompt="a", style="Pixel"), ASKER, usual, styles).style
    assert named is not None
    assert named.name == "pixel"
    none = Wish(prompt="a", style="")
    assert resolve(none, ASKER, Defaults(style="pixel"), styles).style is None


FIRST = ModelChoice("first", "first", size=512)
FOUR = ModelChoice("four", "four", "four", steps=4, max_steps=4, guidance=1.5, size=1024)
TWO = ModelChoice("two", "two", "two", steps=2, max_steps=2)
MODELS = {one.name: one for one in (FIRST, FOUR, TWO)}
OPERATOR = Defaults(num_inference_steps=1, max_steps=3, guidance_scale=0.5, model=FIRST)


def test_a_model_comes_with_its_own_defaults() -> None:
    assert OPERATOR.of(None) is OPERATOR
    assert OPERATOR.of(FIRST) is OPERATOR
    four = OPERATOR.of(FOUR)
    # What it was made for, though the operator's ceiling is lower; not above what it can use.
    assert (four.num_inference_steps, four.max_steps, four.guidance_scale) == (4, 4, 1.5)
    two = OPERATOR.of(TWO)
    assert (two.num_inference_steps, two.max_steps, two.guidance_scale) == (2, 2, 0.5)
    request = resolve(Wish(prompt="a"), ASKER, four)
    assert (request.model, request.num_inference_steps) == (FOUR, 4)
    assert request.weight_set == WeightSet("four")
    with pytest.raises(BadParameter, match="steps"):
        resolve(Wish(prompt="a", num_inference_steps=3), ASKER, two)


def test_a_guild_has_a_usual_model_and_its_steps_are_for_that_one() -> None:
    rules = GuildSettings(default_model="four", default_steps=3, max_steps=3)
    assert choose_model(None, rules, MODELS) is FOUR
    assert choose_model("two", rules, MODELS) is TWO
    assert OPERATOR.within(rules, FOUR).num_inference_steps == 3
    assert OPERATOR.within(rules, TWO).num_inference_steps == 2
    assert OPERATOR.within(rules, FIRST).num_inference_steps == 1
    # Without one it is the operator's first, and so it is once the guild's is configured no more.
    plain = GuildSettings(default_steps=2)
    assert choose_model(None, plain, MODELS) is FIRST
    assert choose_model(None, GuildSettings(default_model="gone"), MODELS) is FIRST
    assert OPERATOR.within(plain, FIRST).num_inference_steps == 2
    assert OPERATOR.within(plain, TWO).num_inference_steps == 2
    assert choose_model(None, plain, {}) is None


def test_an_unknown_model_is_refused_by_name() -> None:
    with pytest.raises(BadParameter) as caught:
        choose_model("nothing", GuildSettings(), MODELS)
    assert caught.value.details == {
        "name": "model",
        "value": "nothing",
        "allowed": "first, four, two",
    }


def test_a_style_brings_its_lora_and_no_more_steps_than_the_model_takes() -> None:
    styles = {"cut": Style("cut", lora="/loras/cut.safetensors", lora_weight=0.5)}
    styles["slow"] = Style("slow", num_inference_steps=4)
    request = resolve(Wish(prompt="a", style="cut"), ASKER, OPERATOR.of(TWO), styles)
    assert request.weight_set == WeightSet("two", Lora("/loras/cut.safetensors", 0.5))
    slow = resolve(Wish(prompt="a", style="slow"), ASKER, OPERATOR.of(TWO), styles)
    assert slow.num_inference_steps == 2
