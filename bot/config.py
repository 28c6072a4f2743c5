"""Settings: everything an operator can choose, from the environment or a `.env` file.

Each field is `TURBOCORD_<NAME>` in the environment, except the bot's token, which is
`DISCORD_TOKEN`. Any other `TURBOCORD_` name is taken for a mistake and refused. The README's
configuration table is generated from the descriptions below.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    SettingsConfigDict,
)

from bot import exit_codes
from bot.errors import StartupError
from bot.request import MAX_COUNT, MAX_GUIDANCE, MAX_STEPS, SIZES

DISCORD_API = "https://discord.com"

NO_SETTINGS: Final = frozenset({"TURBOCORD_CACHE", "TURBOCORD_PUBLISH"})
"""Variables of ours that are read elsewhere: by `bot.models.tiny`, and by docker/compose.yaml."""


class Settings(BaseSettings):
    """The operator's choices; immutable once the process has started."""

    model_config = SettingsConfigDict(
        env_prefix="TURBOCORD_",
        env_file=".env",
        env_ignore_empty=True,
        # An .env file may be shared with other programs; `load_settings` sees to our own prefix.
        extra="ignore",
        frozen=True,
        validate_default=True,
        populate_by_name=True,
    )

    # Discord
    token: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="DISCORD_TOKEN",
        description="The bot's token from the developer portal.",
    )
    api_base: str = Field(
        default=DISCORD_API,
        description="Origin of the Discord API; another value points the bot at a compatible one.",
    )
    gateway: str | None = Field(
        default=None,
        description="Gateway WebSocket URL; asked of the API when empty.",
    )
    message_content: bool = Field(
        default=False,
        description="Ask for the privileged message content intent, so that replies with a "
        "mention can remix other members' pictures.",
    )
    shards: str | None = Field(
        default=None,
        pattern=r"^\d+(,\d+)*/\d+$",
        description="Shards this process runs and how many there are in all, as `0,1/4`; "
        "empty lets Discord recommend and this process run all.",
    )

    # Model and engine
    model: str = Field(
        default="starter",
        description="`starter`, a name from the catalogue, a folder in the sdxl-turbo layout, "
        "or one `.safetensors` file.",
    )
    models: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Further models, separated by commas, that members can choose; one at a time "
        "is on the device.",
    )
    models_waiting_bytes: int = Field(
        default=8 * 1024**3,
        ge=0,
        description="Host memory for models that wait for their turn; what does not fit is loaded "
        "from disk again.",
    )
    models_dir: Path = Field(
        default=Path(), description="Folder where fetched models are kept and found by name."
    )
    catalog: Path | None = Field(
        default=None, description="Your own catalogue file, added to the one that ships."
    )
    device: str = Field(default="auto", description="`auto`, `cpu`, `mps`, `cuda` or `cuda:0,1`.")
    vae: Literal["auto", "fp32", "tiny"] = Field(
        default="auto",
        description="Picture decoder: half precision where safe, always fp32, or TAESD-XL from the "
        "model's folder `vae_tiny`.",
    )
    max_batch: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Most pictures in one model call; 0 measures: a CPU at start, a GPU once it is "
        "at full speed.",
    )
    compile: bool = Field(
        default=True, description="Compile the model and capture CUDA graphs (CUDA only)."
    )
    cache_dir: Path = Field(
        default=Path("data/cache"), description="Compiled kernels, calibration, built models."
    )

    ray_address: str | None = Field(
        default=None,
        description="Ray cluster that draws instead of this machine: `auto` starts or finds a "
        "local one, `host:6379` joins another (extra `ray`).",
    )
    ray_cpu_engines: int = Field(
        default=0, ge=0, description="Engines without a GPU on the Ray cluster; 0 uses its GPUs."
    )

    # Defaults and ceilings
    default_steps: int = Field(default=2, ge=1, le=MAX_STEPS, description="Steps when none given.")
    default_strength: float = Field(
        default=0.7, gt=0.0, le=1.0, description="Remix strength when none is given."
    )
    default_guidance: float = Field(
        default=0.0, ge=0.0, le=MAX_GUIDANCE, description="Guidance scale when none is given."
    )
    default_size: str = Field(
        default="square", description=f"Size when none is given: {', '.join(SIZES)}."
    )
    max_count: int = Field(default=MAX_COUNT, ge=1, le=MAX_COUNT, description="Pictures a request.")
    max_steps: int = Field(
        default=4, ge=1, le=MAX_STEPS, description="Most steps a member may ask."
    )

    styles: Path | None = Field(
        default=None, description="A TOML file with style presets beside the built-in ones."
    )
    loras: Path | None = Field(
        default=None,
        description="Folder of the LoRA files that styles name; empty is the styles file's own.",
    )

    # Fair use
    guild_images: int = Field(default=120, ge=1, description="Pictures per guild and window.")
    guild_window: int = Field(default=60, ge=1, description="The guild window in seconds.")
    member_images: int = Field(default=20, ge=1, description="Pictures per member and window.")
    member_window: int = Field(default=60, ge=1, description="The member window in seconds.")
    limits_url: str = Field(
        default="async+memory://",
        description="Where the windows live; `async+redis://host:6379/0` shares them.",
    )
    queue_total: int = Field(default=512, ge=1, description="Pictures waiting in all.")
    queue_guild: int = Field(default=64, ge=1, description="Pictures waiting per guild.")
    queue_member: int = Field(default=12, ge=1, description="Pictures waiting per member.")

    # Pictures
    download_bytes: int = Field(
        default=25 * 1024 * 1024, ge=1024, description="Largest picture that is downloaded."
    )
    download_seconds: float = Field(
        default=15.0, gt=0, description="Longest a picture's download may take."
    )
    input_pixels: int = Field(
        default=64_000_000, ge=4096, description="Most pixels a given picture may have."
    )

    # Picture check
    safety_checker: Path | None = Field(
        default=None,
        description="Folder with a `StableDiffusionSafetyChecker`, which judges given and drawn "
        "pictures; empty judges none.",
    )
    safety_device: Literal["auto", "cpu"] = Field(
        default="auto", description="Where pictures are judged: the first GPU if any, or the CPU."
    )

    # Store
    database_url: str = Field(
        default="sqlite+aiosqlite:///data/turbocord.db",
        description="Jobs and settings; `postgresql+asyncpg://…` shares them between processes.",
    )
    retention_days: int = Field(
        default=30, ge=1, description="Days after which finished jobs are forgotten."
    )

    # Operations
    http_host: str = Field(default="127.0.0.1", description="Address of health and metrics.")
    http_port: int = Field(
        default=0, ge=0, le=65535, description="Port of health and metrics; 0 turns them off."
    )
    web_host: str = Field(default="127.0.0.1", description="Address of the live web page.")
    web_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port of the live web page (extra `web`); 0 turns it off.",
    )
    web_password: SecretStr = Field(
        default=SecretStr(""), description="Password of the live web page; empty lets everyone in."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="How much is logged."
    )
    log_format: Literal["human", "json"] = Field(
        default="human", description="Log lines for people or for machines."
    )
    drain_seconds: float = Field(
        default=20.0,
        ge=0,
        description="How long a stopping process finishes running work; keep it 30 s below the "
        "container's grace period.",
    )
    claim_seconds: float = Field(
        default=15.0,
        ge=1,
        description="Seconds after which what a dead process had accepted is taken over.",
    )
    owners: Annotated[tuple[int, ...], NoDecode] = Field(
        default=(), description="User ids, separated by commas, who may see operator details."
    )

    @field_validator("default_size")
    @classmethod
    def _size_is_named(cls, value: str) -> str:
        if value not in SIZES:
            raise ValueError(f"must be one of {', '.join(SIZES)}")
        return value

    @field_validator("shards")
    @classmethod
    def _shards_exist(cls, value: str | None) -> str | None:
        if value:
            parts, count = value.split("/")
            ids = [int(part) for part in parts.split(",")]
            if max(ids) >= int(count):
                raise ValueError(f"of {count} shards the last is {int(count) - 1}")
            if len(set(ids)) < len(ids):
                raise ValueError("names a shard twice")
        return value

    @field_validator("api_base")
    @classmethod
    def _no_trailing_slash(cls, value: str) -> str:
        if not value.startswith(("https://", "http://")):
            raise ValueError("must start with https:// or http://")
        return value.rstrip("/")

    @field_validator("owners", mode="before")
    @classmethod
    def _split_ids(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(int(part) for part in value.split(",") if part.strip())
        return value

    @field_validator("models", mode="before")
    @classmethod
    def _split_models(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def is_discord(self) -> bool:
        """Whether the real Discord is spoken to."""
        return self.api_base == DISCORD_API


def load_settings(**overrides: object) -> Settings:
    """Read the environment and `.env`; `overrides` win.

    Raises StartupError with the name of every wrong setting, so that a typo is refused at start.
    """
    wrong = _misspelt()
    try:
        settings = Settings(
            **{name: value for name, value in overrides.items() if value is not None}  # type: ignore[arg-type]  # pydantic checks them
        )
    except ValidationError as error:
        wrong += [
            f"{_variable(str(problem['loc'][0]))} {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
    if wrong:
        raise StartupError(f"Wrong setting: {'; '.join(wrong)}", exit_code=exit_codes.CONFIG)
    return settings


def _misspelt() -> list[str]:
    """Return what is wrong with every name that has our prefix and is no setting.

    Such a name was meant to be one: dropped in silence, it would leave a limit or a check off.
    """
    given = {**DotEnvSettingsSource(Settings).env_vars, **EnvSettingsSource(Settings).env_vars}
    ours = {name.upper() for name in given if name.upper().startswith("TURBOCORD_")}
    known = {field: _variable(field) for field in Settings.model_fields}
    problems = []
    for name in sorted(ours - set(known.values()) - NO_SETTINGS):
        # Compared without the prefix, which all have and which would make all alike.
        near = get_close_matches(name.removeprefix("TURBOCORD_").lower(), known, n=1)
        hint = f" (did you mean {known[near[0]]}?)" if near else ""
        problems.append(f"{name} is no setting{hint}")
    return problems


def _variable(location: str) -> str:
    """Return the environment variable's name for a field or alias."""
    if location == "token":
        return "DISCORD_TOKEN"
    return location if location.isupper() else f"TURBOCORD_{location.upper()}"


def settings_table() -> str:
    """Return the README's configuration table in Markdown, one row per setting."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        secret = isinstance(field.default, SecretStr)
        default = "" if secret or field.default is None else str(field.default)
        shown = f"`{default}`" if default and default != "()" else ""
        rows.append(f"| `{_variable(name)}` | {shown} | {field.description} |")
    return "\n".join(rows)
