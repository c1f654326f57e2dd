"""`kerasmusic plot`: pictures of music and of training runs."""

from __future__ import annotations

from pathlib import Path

import click

from kerasmusic.commands import arguments
from kerasmusic.commands.command import command, default_output, force, say
from kerasmusic.training.run_folder import is_run


@command(
    "plot",
    """
    kerasmusic plot music.mid --first 100
    kerasmusic plot music.mid --distributions -o shares.svg
    kerasmusic plot real.mid generated.mid -o compared.png
    kerasmusic plot runs/mine -o loss.png
    """,
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--first", type=int, metavar="N", help="Only the first N notes (default: all).")
@click.option("--distributions", is_flag=True, help="Of one file too: pitch, step, duration and velocity.")
@click.option("-o", "--output", metavar="FILE", help="A .png or .svg file (default: a .png next to the first file).")
@arguments.instrument
@force
def run(
    files: tuple[str, ...], first: int | None, distributions: bool, output: str | None, instrument: int | None
) -> None:
    """Draw a piano roll, the distributions of notes, or the losses of a run.

    FILE is a MIDI file; several, to compare, real music first; or the folder of a run, or of several.
    """
    from kerasmusic import plots

    path = Path(output) if output else _default_output(files)
    plots.check_suffix(path)
    plots.save(plots.figure_of(files, first=first, shares=distributions, instrument=instrument), path)
    say(str(path))


def _default_output(files: tuple[str, ...]) -> Path:
    drawn = Path(files[0])
    if not drawn.is_dir():
        return default_output(drawn.with_suffix(".png"))
    # Training draws the loss of one run there.
    return default_output(drawn / "loss.png", own=len(files) == 1 and is_run(drawn))
