"""`turbocord model`: fetch, verify and list models."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from bot import exit_codes
from bot.config import Settings, load_settings
from bot.errors import StartupError
from bot.models.catalog import SOURCES, ModelError, installed_path, load_catalog
from bot.models.catalog import list_installed as find_installed
from bot.models.catalog_fetch import carry_out, free_bytes, human_bytes, plan_fetch
from bot.models.catalog_verify import FileCheck, State, verify

app = typer.Typer(name="model", help="Fetch, verify and list models.", no_args_is_help=True)

_MARKS: Final = {
    State.OK: "[green]✓[/]",
    State.UNKNOWN: "[yellow]?[/]",
    State.PICKLE: "[yellow]![/]",
    State.DAMAGED: "[red]✗[/]",
    State.MISSING: "[red]✗[/]",
}

Into = Annotated[
    Path | None,
    typer.Option("--into", help="Folder that holds models; else TURBOCORD_MODELS_DIR, or here."),
]
Catalog = Annotated[
    Path | None, typer.Option(help="Your own catalogue file; else TURBOCORD_CATALOG, or none.")
]


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A name from the catalogue.")] = "sdxl-turbo",
    source: Annotated[str, typer.Option("--from", help="huggingface or modelscope.")] = SOURCES[0],
    variant: Annotated[
        str | None, typer.Option(help="Such as fp16; each model has its own.")
    ] = None,
    into: Into = None,
    catalog: Catalog = None,
) -> None:
    """Fetch a model's files, resuming where an earlier run was broken off."""
    console = Console()
    with _errors_in_words():
        hub = next((known for known in SOURCES if known == source), None)
        if hub is None:
            raise ModelError(
                f"--from must be {' or '.join(SOURCES)}, not {source!r}.",
                exit_code=exit_codes.CONFIG,
            )
        settings = load_settings()
        root, extra = _where(settings, into, catalog)
        plan = plan_fetch(name, source=hub, variant=variant, target=root, extra=extra)
        entry = plan.entry
        console.print(
            f"[bold]{escape(entry.title)}[/] ({plan.variant}), {len(plan.downloads)} files, "
            f"{human_bytes(plan.size)}, {human_bytes(plan.missing)} to fetch, "
            f"{human_bytes(free_bytes(plan.folder))} free"
        )
        console.print(f"Licence: {escape(entry.licence)}. {escape(entry.licence_note)}")
        with _bars(console) as bars:
            whole = bars.add_task("all files", total=plan.size)
            on_disk: dict[str, int] = {}
            current = bars.add_task("", total=None)

            def progress(path: str, done: int, size: int) -> None:
                on_disk[path] = done
                bars.update(current, description=escape(path), completed=done, total=size)
                bars.update(whole, completed=sum(on_disk.values()))

            folder = carry_out(plan, progress=progress)
        console.print(f"[green]✓[/] {escape(str(folder))}")
        use = f"TURBOCORD_MODEL={plan.model}"
        if extra != settings.catalog:
            use += f" and TURBOCORD_CATALOG={extra}"
        console.print(f"Use it with {escape(use)}", soft_wrap=True)


@app.command(name="verify")
def verify_(
    model: Annotated[
        str, typer.Argument(help="A catalogue name, a folder or a file.")
    ] = "sdxl-turbo",
    into: Into = None,
    catalog: Catalog = None,
) -> None:
    """Check the hash of every file of a model."""
    console = Console()

    def show(check: FileCheck) -> None:
        console.print(
            f"{_MARKS[check.state]} {escape(check.path)}  [dim]{escape(check.detail)}[/]",
            soft_wrap=True,
        )

    with _errors_in_words():
        root, extra = _where(load_settings(), into, catalog)
        checks = verify(_located(model, root, extra), checked=show, extra=extra)
        bad = [check for check in checks if check.bad]
        if bad:
            raise ModelError(
                f"{len(bad)} of {len(checks)} files are damaged or missing; run "
                "`turbocord model fetch` again, which brings only those."
            )
        sure = sum(check.state is State.OK for check in checks)
        console.print(f"{sure} of {len(checks)} files have the right hash, none is damaged.")


@app.command(name="list")
def list_(into: Into = None, catalog: Catalog = None) -> None:
    """Show the models of the catalogue and those that are installed."""
    console = Console()
    with _errors_in_words():
        settings = load_settings()
        root, extra = _where(settings, into, catalog)
        installed = find_installed(root, extra=extra)
        used = _in_use(settings)
        table = Table(box=None, pad_edge=False)
        for heading in (
            "",
            "name",
            "steps",
            "guidance",
            "pixels",
            "licence",
            "variants",
            "used",
            "installed",
        ):
            table.add_column(heading, overflow="fold")
        for entry in load_catalog(extra).values():
            here = next((model for model in installed if model.entry is entry), None)
            table.add_row(
                "[green]✓[/]" if here else " ",
                escape(entry.name),
                f"{entry.steps}",
                f"{entry.guidance:g}",
                f"{entry.size}",
                escape(entry.licence),
                " ".join(entry.variants),
                used.get(here.path.absolute(), "") if here else "",
                f"{escape(str(here.path))} ({human_bytes(here.size)})" if here else "",
            )
        for model in installed:
            if model.entry is None:
                where = f"{escape(str(model.path))} ({human_bytes(model.size)})"
                known = used.get(model.path.absolute(), "")
                table.add_row(
                    "[green]✓[/]", "(not in the catalogue)", "", "", "", "", "", known, where
                )
        console.print(table)


def _where(settings: Settings, into: Path | None, catalog: Path | None) -> tuple[Path, Path | None]:
    """Return where models are kept and the operator's catalogue: as told, or as configured."""
    return into or settings.models_dir, catalog or settings.catalog


def _in_use(settings: Settings) -> dict[Path, str]:
    """Return by path which models the settings name: the first, and further ones to choose."""
    used: dict[Path, str] = {}
    for source in (settings.model, *settings.models):
        found = installed_path(source, settings.models_dir, extra=settings.catalog)
        path = (found or Path(source).expanduser()).absolute()
        # A single file is listed by its folder.
        path = path.parent if path.suffix == ".safetensors" else path
        used.setdefault(path, "further" if used else "first")
    return used


def _located(model: str, root: Path, extra: Path | None) -> Path:
    if (path := installed_path(model, root, extra=extra)) is not None:
        return path
    if model in load_catalog(extra):
        raise ModelError(
            f"{model} is not in {root.absolute()}; fetch it with `turbocord model fetch {model}`."
        )
    return Path(model).expanduser()


@contextmanager
def _errors_in_words() -> Iterator[None]:
    try:
        yield
    except StartupError as error:
        sys.stderr.write(f"turbocord: {error}\n")
        raise typer.Exit(error.exit_code) from error


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
