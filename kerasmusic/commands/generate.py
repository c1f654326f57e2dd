"""`kerasmusic generate`: music in a file."""

from __future__ import annotations

from pathlib import Path

import click

from kerasmusic.commands import arguments
from kerasmusic.commands.command import answer, as_json, command, say
from kerasmusic.errors import ArgumentError

NOTES = 300


@command(
    "generate",
    """
    kerasmusic generate -o music.mid
    kerasmusic generate runs/mine/model.tflite --seconds 60 --seed 7 --key 'C major' -o music.mid --png
    """,
)
@click.argument("model", required=False)
@click.option("--notes", type=int, help=f"How many notes (default: {NOTES}, where --seconds is not given).")
@click.option("--seconds", type=float, help="How long, in seconds of music.")
@click.option("--seed", type=int, help="Names the piece: one seed, the same notes (default: a new one).")
@arguments.sampling
@click.option("--primer", metavar="FILE", help="A MIDI file to carry on from; the music begins with it.")
@click.option("--key", help="Stay in a key, such as 'C major' or 'F# minor'.")
@click.option("--range", "pitch_range", metavar="LOW-HIGH", help="Stay within two pitches, such as C2-C6 or 36-84.")
@click.option("-o", "--output", metavar="FILE", default="music.mid", show_default=True, help="MIDI file.")
@click.option("--wav", is_flag=True, help="Also write the sound, beside the MIDI file.")
@click.option("--png", is_flag=True, help="Also draw the piano roll, beside the MIDI file.")
@arguments.backend
@as_json
def run(
    model: str | None, notes: int | None, seconds: float | None, seed: int | None, temperature: str | None,
    min_p: str | None, density: float | None, primer: str | None, key: str | None, pitch_range: str | None,
    output: str, wav: bool, png: bool, backend: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Make music with MODEL: a .keras or .tflite file or a run's folder, or the model that came with the package."""
    from kerasmusic import midi
    from kerasmusic.notes import Notes

    path = Path(output)
    if path.suffix.lower() not in midi.WRITTEN_SUFFIXES:
        raise ArgumentError(f"{path}: the output is a MIDI file; name it .mid")
    if notes is not None and notes < 1:
        raise ArgumentError(f"{notes}: --notes must be 1 or more")
    if seconds is not None and not 0 < seconds < float("inf"):
        raise ArgumentError(f"{seconds}: --seconds must be more than 0")
    sampling = arguments.asked_sampling(temperature, min_p, density)
    found = arguments.model_path(model)
    beginning = midi.read(primer).from_first() if primer else Notes.empty()
    generator = arguments.open_generator(found, backend, seed=seed, key=key, pitch_range=pitch_range, **sampling)
    generator.prime(beginning)
    count = NOTES if notes is None and seconds is None else notes
    music = Notes.from_iterable([*beginning, *generator.take(count, seconds=seconds)])
    midi.write(music, path)
    written = [path]
    if wav:
        from kerasmusic.audio import write_wav

        written.append(path.with_suffix(".wav"))
        write_wav(music, written[-1])
    if png:
        from kerasmusic import plots

        written.append(path.with_suffix(".png"))
        plots.save(plots.piano_roll(music), written[-1])
    if as_json:
        answer({"files": written, "notes": len(music), "seconds": music.seconds, "seed": generator.seed})
        return
    say(f"{', '.join(map(str, written))}: {len(music):,} notes, {music.seconds:.1f} s, seed {generator.seed}")
