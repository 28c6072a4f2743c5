"""What the starter model knows: colours, kinds, places, styles, and the words for them."""

from __future__ import annotations

Rgb = tuple[float, float, float]

COLOURS: dict[str, Rgb] = {
    "red": (0.86, 0.11, 0.13),
    "orange": (0.97, 0.50, 0.06),
    "yellow": (0.99, 0.86, 0.15),
    "green": (0.15, 0.60, 0.22),
    "blue": (0.11, 0.27, 0.82),
    "purple": (0.50, 0.16, 0.66),
    "pink": (0.98, 0.56, 0.75),
    "brown": (0.45, 0.27, 0.13),
    "black": (0.05, 0.05, 0.06),
    "white": (0.97, 0.97, 0.96),
    "gray": (0.52, 0.53, 0.55),
    "cyan": (0.16, 0.80, 0.86),
}
"""sRGB in 0..1."""

PAPER: Rgb = (0.93, 0.92, 0.87)
"""The background when the prompt names none."""

KINDS: dict[str, str] = {
    "circle": "red",
    "square": "blue",
    "triangle": "green",
    "star": "yellow",
    "heart": "red",
    "diamond": "cyan",
    "ring": "orange",
    "cross": "red",
    "moon": "yellow",
    "flower": "pink",
    "sun": "yellow",
    "cloud": "white",
    "house": "red",
    "tree": "green",
    "boat": "brown",
    "fish": "orange",
    "cat": "orange",
    "smiley": "yellow",
    "mushroom": "red",
    "balloon": "purple",
}
"""Each kind and the colour it has when the prompt names none."""

RELATIONS = ("above", "below", "left", "right", "inside")
SIZES = ("medium", "small", "big")
PLACES = ("plain", "sea", "hills", "snow", "city")
TIMES = ("day", "sunset", "night")
STYLES = ("flat", "outlined", "watercolour", "pixel", "neon")

COUNTS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}

COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson", "scarlet"),
    "yellow": ("yellow", "golden"),
    "green": ("green", "lime", "olive"),
    "blue": ("blue", "navy"),
    "purple": ("purple", "violet", "magenta"),
    "pink": ("pink", "rose"),
    "brown": ("brown", "tan"),
    "gray": ("gray", "grey", "silver"),
    "cyan": ("cyan", "turquoise", "teal", "aqua"),
}
"""Other words for a colour; the first is the usual one."""

KIND_WORDS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "ball", "dot", "disc", "planet", "earth", "coin", "apple", "cherry"),
    "square": ("square", "box", "cube", "block", "book", "window", "phone", "computer", "gift"),
    "triangle": ("triangle", "pyramid", "mountain", "tent", "volcano", "pizza"),
    "star": ("star", "starfish", "sparkle", "snowflake", "explosion"),
    "heart": ("heart", "love", "valentine", "strawberry"),
    "diamond": ("diamond", "gem", "kite", "crystal", "jewel", "ruby"),
    "ring": ("ring", "donut", "wheel", "hoop", "bracelet", "clock"),
    "cross": ("cross", "plus sign", "plus", "sword", "airplane", "windmill"),
    "moon": ("moon", "crescent", "crescent moon", "banana"),
    "flower": ("flower", "blossom", "daisy", "tulip", "sunflower", "garden", "butterfly", "bee"),
    "sun": ("sun", "sunshine", "fire", "lamp"),
    "cloud": ("cloud", "sheep", "smoke", "ghost", "storm"),
    "house": ("house", "home", "cottage", "cabin", "castle", "building", "church", "tower", "barn"),
    "tree": ("tree", "oak", "plant", "bush", "forest", "woods", "broccoli"),
    "boat": ("boat", "ship", "sailboat", "yacht", "car", "truck", "spaceship", "rocket", "train"),
    "fish": ("fish", "goldfish", "shark", "whale", "dolphin", "bird", "duck", "parrot"),
    "cat": (
        *("cat", "kitten", "cat face", "dog", "fox", "animal", "puppy", "wolf", "lion", "tiger"),
        *("bear", "rabbit", "bunny", "horse", "owl", "dragon", "raccoon", "panda", "mouse", "pig"),
    ),
    "smiley": (
        *("smiley", "smiley face", "happy face", "face", "robot", "person", "man", "woman", "girl"),
        *("boy", "child", "astronaut", "wizard", "king", "queen", "knight", "portrait", "hero"),
    ),
    "mushroom": ("mushroom", "toadstool", "umbrella", "cake", "jellyfish"),
    "balloon": ("balloon", "party balloon", "egg", "bulb", "potion", "bottle"),
}
"""Words that name a kind, its own and those nearest to it; the first is the usual one.

A noun that is not here falls to the smiley (see `grammar`)."""

FILLERS = (
    *("cinematic", "detailed", "intricate", "masterpiece", "sharp", "soft light", "dramatic"),
    *("trending", "8k", "hd", "ultra", "best quality", "award winning", "high resolution"),
    *("colourful", "stylish", "modern", "vintage", "magical", "epic", "dreamy", "minimalist"),
    *("wearing a hat", "with a smile", "holding a cup", "looking left", "flying", "running"),
    *("sleeping", "dancing", "photo", "illustration", "render", "poster", "logo", "fantasy"),
)
"""What people write besides; it changes nothing."""

PLACE_WORDS: dict[str, tuple[str, ...]] = {
    "sea": ("on the sea", "at sea", "on the ocean", "by the sea", "on the water", "at the beach"),
    "hills": ("in the hills", "on the hills", "in a field", "in a meadow", "on the grass"),
    "snow": ("in the snow", "on snow", "in winter", "in a snowy field"),
    "city": ("in the city", "in a city", "in a town", "in front of a skyline"),
}
TIME_WORDS: dict[str, tuple[str, ...]] = {
    "day": ("", "", "by day", "on a sunny day", "in the morning"),
    "sunset": ("at sunset", "at sunset", "at dusk", "in the evening"),
    "night": ("at night", "at night", "by night", "in the moonlight", "under the stars"),
}
MOMENT_PHRASES = {time: tuple(filter(None, phrases)) for time, phrases in TIME_WORDS.items()}
"""A time of day without a place: the landscape is the source's."""
MOMENT_WORDS: dict[str, tuple[str, ...]] = {
    "day": ("day", "daytime", "morning"),
    "sunset": ("sunset", "dusk", "evening"),
    "night": ("night", "nighttime", "midnight"),
}
LANDSCAPE_WORDS: dict[str, tuple[str, ...]] = {
    "sea": ("the sea", "an ocean", "the beach", "a lake", "waves", "water"),
    "hills": ("hills", "green hills", "a meadow", "a field", "a landscape", "a valley", "grass"),
    "snow": ("snow", "a snowy landscape", "snowy hills", "a winter landscape", "winter"),
    "city": ("a city", "a skyline", "a town", "a street", "skyscrapers"),
}
"""A landscape by itself, without a thing in it."""
STYLE_WORDS: dict[str, tuple[str, ...]] = {
    "flat": ("", "", "", "", "flat art", "minimal", "flat colours"),
    "outlined": ("outlined", "line art", "as a cartoon", "comic style", "with outlines"),
    "watercolour": ("as a watercolour", "watercolour", "as a watercolor", "watercolor painting"),
    "pixel": ("pixel art", "as pixel art", "8-bit", "in pixels", "retro game"),
    "neon": ("neon", "glowing", "as a neon sign", "lit at night", "neon lights"),
}


def plural(word: str) -> str:
    """Return the plural of a kind's word."""
    if word.endswith(("fish", "sheep")):
        return word
    if word.endswith("y"):
        return word + "s" if word[-2] in "aeiou" else word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "sh", "ch")) else "s")
