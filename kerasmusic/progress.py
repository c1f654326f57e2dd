"""Progress bars with the time remaining, shown only on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

_hidden = False


def hide_progress() -> None:
    """Hides all bars from now on."""
    global _hidden
    _hidden = True


def is_shown() -> bool:
    """Whether bars are visible."""
    return not _hidden and sys.stderr.isatty()


def report(line: str) -> None:
    """Prints a line to standard error if it is not a terminal, such as a log, where bars are not shown."""
    if not _hidden and not sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)


def progress(description: str, unit: str, total: float | None = None, **options: Any) -> tqdm[Any]:
    """A bar on standard error, removed when it is complete; without a terminal, none is shown.

    Args:
        description: the activity, such as "reading MIDI".
        unit: the unit of the count.
        total: the final count, if known.
        options: further options of `tqdm`.
    """
    from tqdm import tqdm

    return tqdm(
        **{"total": total, "desc": description, "unit": unit, "leave": False, **options}, disable=not is_shown()
    )
