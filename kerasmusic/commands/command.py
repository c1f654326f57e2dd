"""The parts that all commands share: an example in the help, `--import`, `--quiet` and `--force`, and their output."""

from __future__ import annotations

import inspect
import json
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from kerasmusic.errors import ArgumentError, KerasMusicWarning
from kerasmusic.models.extensions import request_import
from kerasmusic.progress import hide_progress


class ExampleCommand(click.Command):
    """A command with `--import` and `--quiet`, and an example at the end of its help, as it stands.

    Args:
        example: lines that could be typed.
    """

    def __init__(self, *arguments: Any, example: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.example = inspect.cleandoc(example)
        self.params += [
            click.Option(
                ["--import"],
                multiple=True,
                metavar="MODULE",
                expose_value=False,
                callback=_keep_imports,
                help="Import a module with models, blocks, presets or targets of your own, from here or installed.",
            ),
            click.Option(
                ["--quiet", "-q"],
                is_flag=True,
                expose_value=False,
                callback=_keep_quiet,
                is_eager=True,
                help="Print only results and errors.",
            ),
        ]

    def invoke(self, ctx: click.Context) -> object:
        for module in ctx.meta[IMPORTS]:
            request_import(module)
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        lines = "\n".join(f"  {line}".rstrip() for line in self.example.splitlines())
        formatter.write(f"\nexample:\n{lines}\n")


class LateHelp(click.Option):
    """An option whose help is written when it is shown, since its default stands in a module that needs NumPy.

    Args:
        late_help: writes the help.
    """

    def __init__(self, *arguments: Any, late_help: Callable[[], str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.late_help = late_help

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        self.help = self.late_help()
        return super().get_help_record(ctx)


def listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> listed(["jax", "tensorflow", "torch"])
    'jax, tensorflow or torch'
    """
    *before, last = names
    return f"{', '.join(before)} or {last}" if before else last


def command(name: str, example: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Makes a function a command; its docstring is the help."""
    return click.command(name, cls=ExampleCommand, example=example, context_settings={"max_content_width": 100})


def say(text: str) -> None:
    """Prints progress for a person to read, unless `--quiet`."""
    if not _is_quiet():
        click.echo(text)


def warn(text: str) -> None:
    """Prints a warning on the standard error, unless `--quiet`."""
    if not _is_quiet():
        click.echo(text, err=True)


@contextmanager
def shown_warnings() -> Iterator[None]:
    """Prints the warnings that kerasmusic's own functions issue as `warn` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", KerasMusicWarning)
        former = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **further: Any) -> None:
            if issubclass(category, KerasMusicWarning):
                warn(str(message))
            else:
                former(message, category, *place, **further)

        warnings.showwarning = show
        yield


def length(seconds: float) -> str:
    """A length of music in words.

    >>> length(7.25), length(272.4), length(3599.9), length(43_260)
    ('7.2 s', '4 min 32 s', '1 h 0 min', '12 h 1 min')
    """
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def answer(values: object) -> None:
    """Prints JSON for a script to read; NaN becomes null, since JSON has none."""
    click.echo(json.dumps(_without_nan(values), indent=1, default=str, allow_nan=False))


def _without_nan(values: object) -> object:
    if isinstance(values, dict):
        return {name: _without_nan(value) for name, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [_without_nan(value) for value in values]
    return None if isinstance(values, float) and math.isnan(values) else values


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for a script to read.")


FORCE = f"{__name__}.force"


def _keep_force(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[FORCE] = value


force = click.option(
    "--force",
    is_flag=True,
    expose_value=False,
    callback=_keep_force,
    is_eager=True,
    help="Also replace existing files that -o does not name.",
)


def default_output(path: Path, *, own: bool = False) -> Path:
    """Checks a path that a command writes to by default, since the user has not named it.

    A file that `-o` names is replaced, as by `cp`. A file under a default name may be somebody's data: it is replaced
    only with `--force`, an option of every command that calls this.

    Args:
        path: the default path.
        own: whether a file of that name can only be one that kerasmusic made of the same source, such as the exported
            model in a run's folder; it is replaced.

    Raises:
        ArgumentError: the path exists.
    """
    if os.path.lexists(path) and not own and not click.get_current_context().meta[FORCE]:
        raise ArgumentError(f"{path}: exists; name the output with -o, or replace what is there with --force")
    return path


IMPORTS = f"{__name__}.imports"


def _keep_imports(context: click.Context, parameter: click.Parameter, modules: tuple[str, ...]) -> None:
    context.meta[IMPORTS] = modules


def _keep_quiet(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.meta[__name__] = True
        hide_progress()


def _is_quiet() -> bool:
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(__name__))
