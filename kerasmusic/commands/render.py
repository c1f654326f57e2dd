"""`kerasmusic render`: the sound of a MIDI file."""

from __future__ import annotations

from pathlib import Path

import click

from kerasmusic.commands import arguments
from kerasmusic.commands.command import command, default_output, force, length, say
from kerasmusic.errors import ArgumentError


@command("render", "kerasmusic render music.mid -o music.wav")
@click.argument("file")
@click.option("-o", "--output", metavar="FILE", help="A .wav file (default: next to the MIDI file).")
@click.option("--soundfont", metavar="FILE", help="An .sf2 file (default: a small one).")
@arguments.instrument
@force
def run(file: str, output: str | None, soundfont: str | None, instrument: int | None) -> None:
    """Write the sound of a MIDI file."""
    from kerasmusic import midi
    from kerasmusic.audio import write_wav

    path = Path(output) if output else default_output(Path(file).with_suffix(".wav"))
    if path.suffix.lower() != ".wav":
        raise ArgumentError(f"{path}: the output is a WAV file; name it .wav")
    seconds = write_wav(midi.read(file, instrument=instrument), path, soundfont=soundfont)
    say(f"{path}: {length(seconds)}")
