"""The live page: type, and the picture follows.

It draws by the same ImageService as everyone else: one copy of the weights, one queue, one set of
limits. Gradio is an extra and takes seconds to import, so it is imported only when a page is made.
"""

from __future__ import annotations

import asyncio
import html
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bot import exit_codes
from bot.errors import StartupError, install_hint
from bot.policy import Defaults
from bot.request import MAX_GUIDANCE, MAX_PROMPT, MAX_SEED, PictureSource, Wish, random_seed
from bot.web.pictures import Pictures
from bot.web.quiet import hush
from bot.web.sentences import caption, error_sentence, locale_of
from bot.web.uploads import NOT_HERE, guard
from bot.web.visitor import MOST_VISITORS, Frame, Visitors

FIRST_SEED: Final = 42
"""The seed the page opens with, as in the article it follows."""

STAMP: Final = "(...values) => [...values.slice(0, -1), performance.now()]"
"""Run in the browser: the last input becomes the time of the event. Requests may pass each other
on their way, and only this tells which one was made last."""

MOST_EVENTS: Final = 1000
"""Events that wait for their turn; each holds what it brought."""

STYLE: Final = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


def import_gradio() -> Any:
    """Return the module, told before its import to call nobody. Raises StartupError."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import gradio
    except ImportError as error:
        raise StartupError(
            f"The live page needs Gradio: {install_hint('web')}", exit_code=exit_codes.CONFIG
        ) from error
    return gradio


@dataclass(frozen=True, slots=True)
class Form:
    """What stands in the page's controls; a cleared number is None."""

    prompt: str
    picture: str | None
    strength: float
    guidance: float
    steps: float
    seed: float | None
    randomize: bool
    stamp: float

    async def wish(self) -> Wish:
        """Return what is asked for, with the uploaded picture's bytes. Raises FileNotFoundError."""
        data = await asyncio.to_thread(Path(self.picture).read_bytes) if self.picture else None
        chosen = self.seed is not None and not self.randomize
        return Wish(
            prompt=self.prompt,
            strength=self.strength,
            guidance_scale=self.guidance,
            num_inference_steps=int(self.steps),
            seed=int(self.seed) if chosen and self.seed is not None else random_seed(),
            sources=(PictureSource(data=data),) if data is not None else (),
            count=1,
        )


class Page:
    """Builds the page and answers its events."""

    def __init__(self, visitors: Visitors, pictures: Pictures, defaults: Defaults) -> None:
        self.visitors = visitors
        self.pictures = pictures
        self.defaults = defaults

    def build(self) -> Any:
        """Return the page as Gradio blocks. Raises StartupError where Gradio is missing."""
        gr = import_gradio()
        with gr.Blocks(
            title="turbocord", analytics_enabled=False, delete_cache=(300, 1800), fill_width=True
        ) as blocks:
            with gr.Row(elem_id="words"):
                prompt = gr.Textbox(
                    placeholder="What should be drawn? The picture follows as you type.",
                    label="Prompt",
                    max_length=MAX_PROMPT,
                    autofocus=True,
                    scale=6,
                    elem_id="prompt",
                )
                submit = gr.Button("Generate", variant="primary", scale=1, elem_id="generate")
            with gr.Row():
                source = gr.Image(
                    sources=["upload", "webcam", "clipboard"],
                    type="filepath",
                    label="Start from a picture (optional)",
                    height=580,
                    elem_id="source",
                )
                source.preprocess = as_uploaded
                shown = gr.HTML(empty_view(), elem_id="shown")
            with gr.Row():
                strength = gr.Slider(
                    0.05,
                    1.0,
                    self.defaults.strength,
                    step=0.05,
                    label="Strength",
                    info="How far to go from the picture",
                    elem_id="strength",
                )
                guidance = gr.Slider(
                    0.0,
                    MAX_GUIDANCE,
                    self.defaults.guidance_scale,
                    step=0.1,
                    label="Guidance",
                    info="How closely to follow the words",
                    elem_id="guidance",
                )
                steps = gr.Slider(
                    1,
                    self.defaults.max_steps,
                    self.defaults.num_inference_steps,
                    step=1,
                    label="Steps",
                    info="How much work to put in",
                    elem_id="steps",
                )
                with gr.Column(min_width=220):
                    seed = gr.Number(
                        FIRST_SEED,
                        label="Seed",
                        precision=0,
                        minimum=0,
                        maximum=MAX_SEED,
                        elem_id="seed",
                    )
                    randomize = gr.Checkbox(False, label="Randomize each time", elem_id="randomize")
            stamp = gr.Number(0, visible=False)
            controls = (prompt, source, strength, guidance, steps, seed, randomize, stamp)
            gr.on(
                [
                    submit.click,
                    # Unlike `input` these also come of pasted text; nothing but the visitor
                    # changes the two.
                    prompt.change,
                    source.change,
                    prompt.submit,
                    *(one.input for one in (strength, guidance, steps, seed, randomize)),
                ],
                self._listener(gr),
                inputs=list(controls),
                js=STAMP,
                outputs=[shown, seed],
                # What is overtaken is dropped here, not by the browser, which knows no limits.
                trigger_mode="multiple",
                concurrency_limit=None,
                show_progress="hidden",
                api_visibility="private",
            )
            blocks.unload(self._leave(gr))
        # By itself Gradio keeps ten thousand sessions, and any number of events.
        blocks.state_session_capacity = MOST_VISITORS
        blocks.queue(max_size=MOST_EVENTS)
        guard(blocks, lambda words: gr.Error(words, print_exception=False))
        hush(blocks, gr.Error)
        return blocks

    def _listener(self, gr: Any) -> Callable[..., AsyncIterator[Any]]:
        """Return the event handler; Gradio finds the request by its annotation."""

        async def draw(request: Any, *values: Any) -> AsyncIterator[Any]:
            form = Form(*values)
            locale = locale_of(request.headers.get("accept-language", ""))
            try:
                wish = await form.wish()
            except FileNotFoundError:
                # It went since it was looked for: uploads make room for later ones.
                raise gr.Error(NOT_HERE, print_exception=False) from None
            # Gradio empties the outputs of an event that yields nothing, as an overtaken one does.
            yield gr.skip(), gr.skip()
            async for frame in self.visitors.of(request.session_hash or "").draw(
                wish, stamp=form.stamp
            ):
                view = self.view(frame, locale)
                drawn_again = form.randomize or form.seed is None
                yield view, wish.seed if drawn_again and frame.result else gr.skip()

        draw.__annotations__["request"] = gr.Request
        return draw

    def _leave(self, gr: Any) -> Callable[..., None]:
        def leave(request: Any) -> None:
            self.visitors.forget(request.session_hash or "")

        leave.__annotations__["request"] = gr.Request
        return leave

    def view(self, frame: Frame, locale: str) -> str:
        """Return a frame as HTML; every word of a member is escaped."""
        if frame.result is not None:
            picture = frame.result.pictures[0]
            address = f"pictures/{self.pictures.put(picture)}"
            words = html.escape(caption(frame.result, locale=locale))
            alt = html.escape(frame.result.request.prompt or "picture", quote=True)
            return (
                f'<figure><a href="{address}" download="{html.escape(picture.filename)}">'
                f'<img src="{address}" alt="{alt}" width="{picture.width}" '
                f'height="{picture.height}"></a><figcaption>{words}</figcaption></figure>'
            )
        assert frame.error is not None
        sentence = html.escape(error_sentence(frame.error, locale=locale, job_id=frame.job_id))
        kind = "waiting" if frame.waiting else "refused"
        return f'<p class="{kind}" role="status">{sentence}</p>'


def as_uploaded(payload: Any) -> str | None:
    """Return the path of an uploaded file as it came.

    Gradio's own way opens every upload with Pillow on the event loop; our intake does that
    elsewhere, within bounds, and says in words what is wrong with a file.
    """
    return None if payload is None else payload.path


def empty_view() -> str:
    """Return what stands in the picture's place before the first."""
    return '<p class="empty">Your picture appears here.</p>'
