"""Bars for what takes more than a moment, on a terminal alone, with the time that is left."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

_hidden = False


def hide_progress() -> None:
    """From now on no bar is shown, terminal or not."""
    global _hidden
    _hidden = True


def is_shown() -> bool:
    """Whether somebody can see a bar."""
    return not _hidden and sys.stderr.isatty()


def report(line: str) -> None:
    """Where no bar is seen, as in a log: a line on the standard error instead, now and then."""
    if not _hidden and not sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)


def progress(description: str, unit: str, total: float | None = None, **options: Any) -> tqdm[Any]:
    """A bar on the standard error, gone when it is done; none where no terminal is.

    Args:
        description: what is being done, such as "reading MIDI".
        unit: of what is counted.
        total: how many there are, where that is known.
        options: further ones of `tqdm`.
    """
    from tqdm import tqdm

    return tqdm(
        **{"total": total, "desc": description, "unit": unit, "leave": False, **options}, disable=not is_shown()
    )
