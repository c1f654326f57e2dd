"""`kerasmusic inspect`: describes a model or a MIDI file."""

from __future__ import annotations

from pathlib import Path

import click

from kerasmusic.commands import arguments
from kerasmusic.commands.command import answer, as_json, command


@command(
    "inspect",
    """
    kerasmusic inspect small
    kerasmusic inspect runs/mine/model.tflite
    kerasmusic inspect music.mid --instrument 0
    """,
)
@click.argument("file")
@arguments.instrument
@as_json
def run(file: str, instrument: int | None, as_json: bool) -> None:
    """Show what FILE is: a .tflite, .keras or MIDI file, a run's folder, or base or small, which are bundled."""
    from kerasmusic.bundled import NAMES
    from kerasmusic.commands.inspection import describe, summary
    from kerasmusic.opening import find_model

    path = Path(file)
    path = find_model(file) if path.is_dir() or file in NAMES else path
    if as_json:
        answer(summary(path, instrument))
        return
    for line in describe(path, instrument):
        click.echo(line)
