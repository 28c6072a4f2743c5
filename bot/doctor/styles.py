"""The models members choose between and the LoRAs of styles, as far as files tell."""

from __future__ import annotations

from bot.config import Settings
from bot.doctor.check import Check, fail, ok
from bot.errors import StartupError
from bot.models.choices import model_choices
from bot.styles import load_styles


def check_choices(settings: Settings) -> list[Check]:
    """Check that every model has a name of its own; nothing to say where there is one."""
    if not settings.models:
        return []
    try:
        choices = model_choices(
            settings.model, settings.models, root=settings.models_dir, extra=settings.catalog
        )
    except StartupError as error:
        return [fail("Models", str(error), "Change TURBOCORD_MODEL or TURBOCORD_MODELS.")]
    return [ok("Models", f"members choose between {', '.join(choices)}")]


def check_styles(settings: Settings) -> Check:
    """Check the styles file and that the LoRAs it names are whole.

    Whether they fit the model is seen when it is loaded.
    """
    here = settings.ray_address is None
    try:
        styles = load_styles(settings.styles, loras=settings.loras, find_loras=here)
    except StartupError as error:
        return fail("Styles", str(error), "Mend the file, or put the LoRA where it names it.")
    loras = [style.name for style in styles.values() if style.lora]
    detail = f"{len(styles)} styles"
    if loras:
        detail += f", with LoRAs: {', '.join(loras)}"
        if not here:
            detail += "; their files must be at the same paths on every node of the cluster"
    return ok("Styles", detail)
