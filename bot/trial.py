"""The settings and the report of a trial: the bot against a sandbox, on this machine alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.config import Settings, load_settings
from bot.conversation import Outcome


def trial_settings(
    folder: Path,
    *,
    api_base: str,
    gateway: str,
    token: str,
    model: str | None = None,
    default_steps: int | None = None,
) -> Settings:
    """Return settings for a bot that lives in `folder` and talks to the sandbox alone.

    The operator's environment still counts for everything but Discord's address, the token and
    the store, so that a trial never touches a real deployment's data.
    """
    return load_settings(
        api_base=api_base,
        gateway=gateway,
        token=token,
        model=model,
        database_url=f"sqlite+aiosqlite:///{folder / 'turbocord.db'}",
        limits_url="async+memory://",
        message_content=True,
        default_steps=default_steps,
        http_port=0,
        web_port=0,
    )


def report_of(
    record: Mapping[str, Any],
    outcome: Outcome | None,
    *,
    text: str,
    files: Sequence[Path],
    traffic: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the one JSON object `turbocord try` prints.

    Times are milliseconds; `rest_calls` are those the bot made for this one command, in order.
    """
    result = outcome.result if outcome else None
    request = result.request if result else None
    timings = result.timings if result else None
    return {
        "text": text,
        "refused": outcome is not None and result is None,
        "files": [str(path) for path in files],
        "parameters": {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "seeds": list(request.seeds),
            "width": request.size.width if request.size else None,
            "height": request.size.height if request.size else None,
            "steps": request.num_inference_steps,
            "guidance": request.guidance_scale,
            "strength": request.strength if request.sources else None,
        }
        if request
        else None,
        "timings": {
            "ack_ms": round(record["ack_ms"], 1),
            "intake_ms": round(timings.intake_ms, 1) if timings else None,
            "queue_ms": round(timings.queue_ms, 1) if timings else None,
            "pipeline_ms": round(timings.pipeline_ms, 1) if timings else None,
            "encode_ms": round(timings.encode_ms, 1) if timings else None,
            "total_ms": round(record["answer_ms"], 1),
        },
        "rest_calls": [
            f"{entry['method']} {entry['route']} {entry['status']}"
            for entry in traffic
            if entry["kind"] == "rest"
        ],
    }


def text_of(components: Sequence[Mapping[str, Any]]) -> str:
    """Return the words of a Components V2 message, line by line."""
    lines: list[str] = []
    for component in components:
        if component.get("type") == 10:
            lines.append(str(component.get("content", "")))
        lines.extend(filter(None, [text_of(component.get("components", ()))]))
    return "\n".join(lines)
