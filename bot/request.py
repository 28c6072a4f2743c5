"""The frozen values that travel down and up the house: a request, its pictures, its timings."""

from __future__ import annotations

import io
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePath
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
"""An RGB picture on the host, shape (height, width, 3), sRGB."""

MAX_SEED: Final = 2**53 - 1
"""Discord's integer options travel as IEEE doubles, so seeds end where doubles stop counting."""

MAX_COUNT: Final = 4
MAX_STEPS: Final = 8
MAX_GUIDANCE: Final = 10.0
MAX_PROMPT: Final = 1000


@dataclass(frozen=True, slots=True)
class Size:
    """A named picture size in pixels; both sides are multiples of 64."""

    name: str
    width: int
    height: int

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height


SIZES: Final[Mapping[str, Size]] = {
    size.name: size
    for size in (
        Size("square", 512, 512),
        Size("portrait", 448, 576),
        Size("landscape", 576, 448),
        Size("tall", 384, 704),
        Size("wide", 704, 384),
    )
}
"""The buckets a member can choose: near 512² pixels, which few-step SDXL models are trained on."""

NAMED_FOR: Final = 512
"""The side that a model is made for whose pictures have exactly these sizes."""


@dataclass(frozen=True, slots=True)
class PictureSource:
    """A picture to start from, not fetched yet.

    Either `url` (one of Discord's own hosts) or `data` is given. `filename` and `claimed_bytes`
    are what Discord says of it; both are claims, checked when the bytes arrive. The ids, where the
    picture hangs on a message, let an expired address be asked for again. Where they do not, `keep`
    says that the store should keep a copy, and `kept_as` names one by job and place. `spoiler` says
    that it hides behind one, and so does what is drawn from it.
    """

    url: str | None = None
    data: bytes | None = field(default=None, repr=False)
    filename: str = "picture"
    claimed_bytes: int | None = None
    weight: float = 1.0
    channel_id: int | None = None
    message_id: int | None = None
    attachment_id: int | None = None
    keep: bool = False
    kept_as: tuple[str, int] | None = None
    spoiler: bool = False


@dataclass(frozen=True, slots=True)
class Lora:
    """A low-rank change of a model's weights: a .safetensors file, and how much of it to add.

    `path` is absolute, on the machine that draws.
    """

    path: str
    weight: float = 1.0

    @property
    def name(self) -> str:
        """The file's name without folder and suffix, for people."""
        return PurePath(self.path).stem


@dataclass(frozen=True, slots=True)
class WeightSet:
    """The weights a picture is drawn with: a model by name, "" for the first, and a LoRA on it.

    Pictures of one set can share a UNet call; a device holds one set at a time.
    """

    model: str = ""
    lora: Lora | None = None


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that members can choose, by `name`; `source` is what the operator called it.

    `key` is its name to the engine, "" for the first. The rest is what it is made for, where that
    is known: `size` is a side in pixels.
    """

    name: str
    source: str
    key: str = ""
    steps: int | None = None
    max_steps: int | None = None
    guidance: float | None = None
    size: int | None = None

    @property
    def scale(self) -> int:
        """How many times larger than the named sizes its pictures are along each side."""
        return max(1, round((self.size or NAMED_FOR) / NAMED_FOR))


@dataclass(frozen=True, slots=True)
class Style:
    """A named look: `prompt` is a template around the member's words, `{prompt}` marks the spot.

    `lora` is the path of a LoRA file and `lora_weight` how much of it to add.
    """

    name: str
    prompt: str = "{prompt}"
    negative_prompt: str = ""
    strength: float | None = None
    num_inference_steps: int | None = None
    lora: str | None = None
    lora_weight: float = 1.0

    @property
    def adapter(self) -> Lora | None:
        """The LoRA that the look is drawn with."""
        return Lora(self.lora, self.lora_weight) if self.lora else None

    def apply(self, prompt: str) -> str:
        """Return the prompt the model gets."""
        return self.prompt.replace("{prompt}", prompt)


class OnFlagged(StrEnum):
    """What becomes of a picture that the picture check finds unfit for everyone."""

    REFUSE = "refuse"
    REFUSE_HERE = "refuse_here"
    """Refused in this channel; the guild allows it in its age-restricted ones."""
    SPOILER = "spoiler"
    SHOW = "show"

    @property
    def refuses(self) -> bool:
        """Whether nobody may see it here."""
        return self in (OnFlagged.REFUSE, OnFlagged.REFUSE_HERE)


@dataclass(frozen=True, slots=True)
class Draw:
    """One picture for the engine to draw.

    `width` and `height` are pixels, multiples of 64. `sources` are RGB pictures of exactly that
    size: none is text-to-image, one is image-to-image, several are blended in latent space by
    `weights` (same length, any positive scale) before the image-to-image pass. `strength` is the
    share of the noise schedule that is run again over the source, 0 < strength <= 1. `seed` alone
    fixes the noise: the same Draw gives the same picture whatever else shares its batch, to within
    what sharing one rounds otherwise (in fp32 a level of 255).
    """

    prompt: str
    seed: int
    width: int = 512
    height: int = 512
    negative_prompt: str = ""
    num_inference_steps: int = 2
    guidance_scale: float = 0.0
    strength: float = 1.0
    sources: tuple[Image.Image, ...] = ()
    weights: tuple[float, ...] = ()
    weight_set: WeightSet = WeightSet()


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A finished picture as it comes from another machine: a PNG without metadata."""

    width: int
    height: int
    png: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What came of one Draw: its picture, and milliseconds spent waiting and on the device."""

    picture: Pixels | EncodedPicture
    queue_ms: float
    pipeline_ms: float

    @property
    def pixels(self) -> Pixels:
        """The picture's pixels; for an encoded one this decodes it."""
        if not isinstance(self.picture, EncodedPicture):
            return self.picture
        with Image.open(io.BytesIO(self.picture.png), formats=("PNG",)) as image:
            return np.asarray(image.convert("RGB"))


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and from where; ids are Discord snowflakes.

    `guild_id` is None outside guilds. `parent_channel_id` is that of the channel a thread hangs
    on. `max_bytes` is the upload limit per file there. `by_guild` is False where the app is there
    for its user alone.
    """

    user_id: int
    guild_id: int | None = None
    channel_id: int | None = None
    parent_channel_id: int | None = None
    role_ids: frozenset[int] = frozenset()
    age_restricted: bool = False
    manages_guild: bool = False
    max_bytes: int = 10 * 1024 * 1024
    by_guild: bool = True

    @property
    def counted_guild_id(self) -> int | None:
        """The guild whose limits and place in the queue hold; None leaves the user's own."""
        return self.guild_id if self.by_guild else None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a member said, before defaults, ceilings and rules; None is "you choose".

    An empty `style` is none, whatever the usual one is.
    `scale` multiplies the size that is chosen, for upscaling. A `recalled` wish repeats an earlier
    one: where less holds now, or more was run than asked for, its numbers are brought down.
    """

    prompt: str
    negative_prompt: str = ""
    count: int | None = None
    size: str | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    seed: int | None = None
    strength: float | None = None
    style: str | None = None
    model: str | None = None
    sources: tuple[PictureSource, ...] = ()
    private: bool = False
    scale: int = 1
    recalled: bool = False


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """What a member asked for, checked and complete, free of anything Discord.

    `guild_id` is None where the user counts alone. `size` is None where the source's own decides;
    `scale` multiplies whichever size it comes to, and so does the model's own. `model` None is the
    first.
    """

    prompt: str
    user_id: int
    seed: int
    guild_id: int | None = None
    negative_prompt: str = ""
    count: int = 1
    size: Size | None = None
    num_inference_steps: int = 2
    guidance_scale: float = 0.0
    strength: float = 0.7
    sources: tuple[PictureSource, ...] = ()
    style: Style | None = None
    model: ModelChoice | None = None
    private: bool = False
    scale: int = 1
    on_flagged: OnFlagged = OnFlagged.REFUSE
    max_bytes: int = 10 * 1024 * 1024
    job_id: str = field(default_factory=lambda: ImageRequest.new_job_id())

    @staticmethod
    def new_job_id() -> str:
        """Return 48 random bits in hex: short enough for a custom_id, too many to guess."""
        return secrets.token_hex(6)

    @property
    def model_prompt(self) -> str:
        """What the model is given: the member's words inside the style."""
        return self.style.apply(self.prompt) if self.style else self.prompt

    @property
    def model_negative_prompt(self) -> str:
        """The member's negative prompt with the style's."""
        parts = (self.negative_prompt, self.style.negative_prompt if self.style else "")
        return ", ".join(part for part in parts if part)

    @property
    def adapter(self) -> Lora | None:
        """The LoRA of the style."""
        return self.style.adapter if self.style else None

    @property
    def weight_set(self) -> WeightSet:
        """The weights that the pictures are drawn with."""
        return WeightSet(self.model.key if self.model else "", self.adapter)

    @property
    def seeds(self) -> tuple[int, ...]:
        """One seed per picture, counting up from the request's own."""
        return tuple((self.seed + offset) % (MAX_SEED + 1) for offset in range(self.count))


@dataclass(frozen=True, slots=True)
class Picture:
    """One finished picture as it is uploaded.

    `flagged` is the picture check's verdict; `spoiler` says that it is to be hidden behind one.
    """

    data: bytes = field(repr=False)
    filename: str
    width: int
    height: int
    seed: int
    flagged: bool = False
    spoiler: bool = False


@dataclass(frozen=True, slots=True)
class Timings:
    """Where a request's time went, in milliseconds of wall time.

    `check_ms` is the picture check's; its verdict on the outputs is awaited beside the encoding.
    """

    intake_ms: float = 0.0
    queue_ms: float = 0.0
    pipeline_ms: float = 0.0
    encode_ms: float = 0.0
    total_ms: float = 0.0
    check_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class ImageResult:
    """The finished pictures and the request as it was really run (size and steps resolved).

    `held_back` counts the pictures that were drawn and may not be shown.
    """

    request: ImageRequest
    pictures: tuple[Picture, ...]
    timings: Timings
    model: str
    held_back: int = 0


def random_seed() -> int:
    """Return a seed that Discord can carry back to us as an integer option."""
    return secrets.randbelow(MAX_SEED + 1)


def effective_steps(num_inference_steps: int, strength: float) -> int:
    """Return the step count at which image-to-image runs at least one step.

    diffusers runs `int(num_inference_steps * strength)` steps of the schedule; where that is 0 it
    crashes (diffusers issue 11092), so the count is raised to the least that gives one.
    """
    steps = num_inference_steps
    while int(steps * strength) < 1:
        steps += 1
    return steps
