"""Scenes and the prompts that ask for them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bot.models.starter import vocabulary as words


@dataclass(frozen=True, slots=True)
class Thing:
    """One kind in one colour."""

    kind: str
    colour: str


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a prompt can say; what it leaves open is the layout's (see `layout`).

    `things` holds one thing, or two where there is a `relation`: the first stands in that relation
    to the second. `count` repeats a single thing. Without a thing a prompt names a landscape by
    itself, or only how things are to look ("as a watercolour"): in a remix they are the source's.
    `background` is None where none is named, `place` is ANYWHERE where only a time of day is.
    """

    things: tuple[Thing, ...]
    count: int = 1
    relation: str | None = None
    size: str = "medium"
    background: str | None = None
    place: str = "plain"
    time: str = "day"
    style: str = "flat"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part of the grammar a training stage draws from: shares of scenes, in 0..1."""

    kinds: tuple[str, ...] = tuple(words.KINDS)
    counts: float = 0.2
    relations: float = 0.25
    landscapes: float = 0.15
    sizes: float = 0.2
    styled: float = 0.2
    styles: tuple[str, ...] = words.STYLES[1:]
    """What those that are styled are drawn from; twice in is twice as often."""
    bare: float = 0.0
    """Scenes without a thing."""


SCOPES: dict[str, Scope] = {
    "single": Scope(counts=0, relations=0, landscapes=0, sizes=0, styled=0),
    "layouts": Scope(landscapes=0, sizes=0.15, styled=0),
    "places": Scope(styled=0),
    "scenes": Scope(relations=0, landscapes=0.2, sizes=0.25, styled=0.3, bare=0.08),
    "full": Scope(bare=0.08),
    # What the full scope leaves weakest: two kinds beside each other, sizes, and pixel art.
    "weakest": Scope(
        counts=0.1,
        relations=0.45,
        landscapes=0.1,
        sizes=0.7,
        styled=0.3,
        styles=(*words.STYLES[1:], "pixel"),
        bare=0.05,
    ),
    # Remixes of two things by two others.
    "pairs": Scope(counts=0.1, relations=0.6, landscapes=0.15, sizes=0.3),
}


ANYWHERE = "anywhere"
"""The place of a prompt that names no more than a time of day ("at night")."""
HOME = "hills"
"""The landscape that such a prompt gives a picture without one."""


def held_out(scene: Scene) -> bool:
    """Tell whether the scene's combination of things and background is kept out of training.

    Without a thing there is nothing to combine: "make it neon" is a lesson like any other.
    """
    if not scene.things:
        return False
    parts = [f"{thing.colour} {thing.kind}" for thing in scene.things]
    parts += [str(scene.relation), str(scene.count), str(scene.background), scene.place]
    return hashlib.sha256("|".join(parts).encode()).digest()[0] % 10 == 0


def sample_scene(rng: random.Random, scope: Scope) -> Scene:
    """Draw a scene from `scope`; held-out combinations are among them."""
    kind = rng.random()
    style = rng.choice(scope.styles) if rng.random() < scope.styled else "flat"
    if rng.random() < scope.bare:
        return sample_bare(rng)
    if kind < scope.landscapes:
        place = rng.choice((*words.PLACES[1:], ANYWHERE))
        thing = Thing(_kind(rng, scope), rng.choice(list(words.COLOURS)))
        return Scene((thing,), place=place, time=rng.choice(words.TIMES), style=style)
    background = rng.choice(list(words.COLOURS)) if rng.random() < 0.8 else None
    first = Thing(_kind(rng, scope), _colour(rng, background))
    base = Scene((first,), background=background, style=style)
    kind -= scope.landscapes
    if kind < scope.counts:
        return replace(base, count=rng.randint(2, 5))
    if kind < scope.counts + scope.relations:
        relation = rng.choice(words.RELATIONS)
        kinds = CONTAINERS if relation == "inside" else scope.kinds
        second = Thing(rng.choice(kinds), _colour(rng, background, first.colour))
        return replace(base, things=(first, second), relation=relation)
    size = rng.choice(("small", "big")) if rng.random() < scope.sizes else "medium"
    return replace(base, size=size)


def sample_bare(rng: random.Random) -> Scene:
    """Draw a scene without a thing: a landscape, a background or no more than a style."""
    if (what := rng.random()) < 0.4:
        return Scene((), style=rng.choice(words.STYLES[1:]))
    style = rng.choice(words.STYLES[1:]) if rng.random() < 0.4 else "flat"
    if what < 0.75:
        place = ANYWHERE if rng.random() < 0.4 else rng.choice(words.PLACES[1:])
        return Scene((), place=place, time=rng.choice(words.TIMES), style=style)
    return Scene((), background=rng.choice(list(words.COLOURS)), style=style)


def alone(prompt: Scene) -> Scene:
    """Return what a prompt draws where there is no picture for it to change.

    One that names no more than a style draws what a word nobody taught does, in that style.
    """
    if prompt.things or prompt.background or prompt.place != "plain":
        return prompt
    return replace(prompt, things=(Thing(UNKNOWN, words.KINDS[UNKNOWN]),))


CONTAINERS = ("circle", "square", "heart", "diamond")
"""Kinds with room for another thing inside."""


def _kind(rng: random.Random, scope: Scope) -> str:
    return rng.choice(scope.kinds)


def _colour(rng: random.Random, *taken: str | None) -> str:
    return rng.choice([colour for colour in words.COLOURS if colour not in taken])


def remix(scene: Scene, other: Scene) -> Scene:
    """Return `scene` with its layout kept and colours, kinds, light and style taken from `other`.

    What a picture of `scene` should become at a middle strength under a prompt for `other`. Nothing
    in it is left to chance: a model that learned from chance would draw the mean of all chances.
    """
    if not other.things:
        return _changed(scene, other)
    if not scene.things:
        return other
    things = [other.things[min(i, len(other.things) - 1)] for i in range(len(scene.things))]
    if scene.relation == "inside":
        things[1] = _outer(scene, other, things)
    relation = _relation(scene.relation, other.relation)
    return replace(
        other, things=tuple(things), count=scene.count, relation=relation, size=scene.size
    )


def _relation(own: str | None, other: str | None) -> str | None:
    """Return how a remix's first thing stands to its second, where the source's two are.

    A picture does not show which of its two its prompt named first. So the new prompt says it, and
    where it does not, the first thing is above or on the left.
    """
    for axis in (("above", "below"), ("left", "right")):
        if own in axis:
            return other if other in axis else axis[0]
    return own


def _changed(scene: Scene, other: Scene) -> Scene:
    """Return `scene` as a prompt without a thing asks for it."""
    if other.place != "plain":
        stays = other.place == ANYWHERE and scene.place != "plain"
        place = scene.place if stays else other.place
        return replace(scene, place=place, time=other.time, style=other.style)
    if other.background:
        return replace(scene, background=other.background, place="plain", style=other.style)
    return replace(scene, style=other.style)


def _outer(scene: Scene, other: Scene, things: Sequence[Thing]) -> Thing:
    """Return the second of `things`, around the first: something with room, in another colour."""
    inner, outer = things
    own = scene.things[1]
    kind = outer.kind if outer.kind in CONTAINERS and len(other.things) == 2 else own.kind
    colours = (outer.colour, own.colour, other.background, "white", "gray")
    return Thing(kind, next(colour for colour in colours if colour and colour != inner.colour))


_OPENINGS = ("", "", "", "", "a picture of ", "a drawing of ", "draw ", "an icon of ", "make ")
_ADJECTIVES = ("nice", "cute", "beautiful", "simple", "happy", "lovely", "pretty", "cool")
_ENDINGS = ("", "", "", "", "", ".", "!", ", 4k", ", high quality", ", please")
_RELATION_WORDS = {
    "above": ("above", "over", "on top of"),
    "below": ("below", "under", "beneath"),
    "left": ("left of", "to the left of", "on the left of"),
    "right": ("right of", "to the right of", "on the right of"),
    "inside": ("inside", "in", "within"),
}
_SIZE_WORDS = {"small": ("small", "tiny", "little"), "big": ("big", "large", "huge", "giant")}


def caption(scene: Scene, rng: random.Random, *, plain: bool = False) -> str:
    """Return a prompt for `scene`; `plain` keeps to the usual words and order."""

    def pick(options: Sequence[str]) -> str:
        return options[0] if plain or rng.random() < 0.6 else rng.choice(options)

    def colour(name: str) -> str:
        return pick(words.COLOUR_WORDS.get(name, (name,)))

    def phrase(thing: Thing, size: str = "medium", *, many: bool = False) -> str:
        parts = [pick(_SIZE_WORDS[size])] if size != "medium" else []
        if not plain and rng.random() < 0.08:
            parts.append(rng.choice(_ADJECTIVES))
        usual = thing.colour == words.KINDS[thing.kind]
        if plain or not (usual and rng.random() < 0.4):
            parts.append(colour(thing.colour))
        noun = pick(words.KIND_WORDS[thing.kind])
        if not plain and thing.kind == UNKNOWN and rng.random() < 0.4:
            noun = _made_up(rng)
        parts.append(words.plural(noun) if many else noun)
        return " ".join(parts)

    if not scene.things:
        return _bare_caption(scene, rng, pick, colour, plain=plain)
    if scene.count > 1:
        number = words.COUNTS[scene.count]
        number = number if plain or rng.random() < 0.8 else str(scene.count)
        text = f"{number} {phrase(scene.things[0], many=True)}"
    else:
        text = _article(phrase(scene.things[0], scene.size))
    if scene.relation:
        text += f" {pick(_RELATION_WORDS[scene.relation])} {_article(phrase(scene.things[1]))}"
    if scene.place == ANYWHERE:
        text += _after(pick(words.MOMENT_PHRASES[scene.time]), " ")
    elif scene.place != "plain":
        text += f" {pick(words.PLACE_WORDS[scene.place])}"
        text += _after(pick(words.TIME_WORDS[scene.time]), " ")
    elif scene.background:
        text += _background(colour(scene.background), rng, plain)
    if not plain and rng.random() < 0.15:
        # Bare words, as people type them.
        text = text.removeprefix("a ").removeprefix("an ")
    style = pick(words.STYLE_WORDS[scene.style])
    if not plain and style and " " not in style and rng.random() < 0.3:
        text = f"{style} {text}"
        style = ""
    text += _after(style, ", " if plain or rng.random() < 0.7 else " ")
    if plain:
        return text
    if rng.random() < 0.2:
        text += "".join(f", {word}" for word in rng.sample(words.FILLERS, rng.randint(1, 3)))
    return rng.choice(_OPENINGS) + text + rng.choice(_ENDINGS)


UNKNOWN = "smiley"
"""What a noun that nobody taught stands for."""


def _made_up(rng: random.Random) -> str:
    """Return a word that is none, so that the encoders meet words they do not know."""
    syllables = rng.randint(1, 4)
    parts = (rng.choice("bcdfghjklmnprstvwxyz") + rng.choice("aeiou") for _ in range(syllables))
    return "".join(parts) + rng.choice(("", "n", "r", "s", "x", "l", "t"))


_CHANGES = ("make it ", "turn it into ", "turn this into ", "now ", "", "", "", "the same ")


def _bare_caption(
    scene: Scene,
    rng: random.Random,
    pick: Callable[[Sequence[str]], str],
    colour: Callable[[str], str],
    *,
    plain: bool,
) -> str:
    """Return a prompt without a thing: a landscape, or what a remix should change."""
    style = pick(words.STYLE_WORDS[scene.style])
    change = "" if plain else rng.choice(_CHANGES)
    if scene.place == ANYWHERE:
        moment = pick(words.MOMENT_PHRASES[scene.time] + words.MOMENT_WORDS[scene.time])
        return change + moment + _after(style, ", ")
    if scene.place != "plain":
        landscape = pick(words.LANDSCAPE_WORDS[scene.place])
        if change and rng.random() < 0.5:
            landscape = pick(words.PLACE_WORDS[scene.place])
        text = change + landscape + _after(pick(words.TIME_WORDS[scene.time]), " ")
        return text + _after(style, ", ")
    if scene.background:
        name = colour(scene.background)
        options = (f"{_article(name)} background", f"on {name}", f"make the background {name}")
        return pick(options) + _after(style, ", ")
    return change + style


def _background(colour: str, rng: random.Random, plain: bool) -> str:
    usual = f" on {_article(colour)} background"
    if plain or rng.random() < 0.5:
        return usual
    return rng.choice(
        (
            f" on {colour}",
            f", {colour} background",
            f" with {_article(colour)} background",
            f" against {_article(colour)} background",
        )
    )


def _article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _after(text: str, separator: str) -> str:
    return separator + text if text else ""
