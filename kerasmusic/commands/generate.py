"""`kerasmusic generate`: writes music to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from kerasmusic.commands import arguments
from kerasmusic.commands.command import answer, as_json, command, default_output, force, length, say, warn
from kerasmusic.errors import ArgumentError

if TYPE_CHECKING:
    from kerasmusic.edge import Generator
    from kerasmusic.notes import Notes

NOTES = 300
OUTPUT = "music.mid"


@command(
    "generate",
    """
    kerasmusic generate -o music.mid
    kerasmusic generate runs/mine/model.tflite --seconds 60 --seed 7 --key 'C major' -o music.mid --png
    kerasmusic generate --speed 6 --loudness p --temperature 1.1 -o slow.mid
    kerasmusic generate --chords 'Am F C G' --chord-seconds 2 -o music.mid
    kerasmusic generate --style Chopin -o music.mid
    kerasmusic generate --piece PIECE -o again.mid
    """,
)
@click.argument("model", required=False)
@click.option("--notes", type=int, help=f"The number of notes (default: {NOTES}, unless --seconds is given).")
@click.option("--seconds", type=float, help="The length in seconds of music.")
@click.option("--seed", type=int, help="Names the piece: one seed, the same notes (default: a new one).")
@click.option("--piece", metavar="NAME", help="Make the piece of this name again: 'generate' prints the name of each.")
@arguments.sampling
@click.option("--primer", metavar="FILE", help="A MIDI file to continue; the music begins with it.")
@arguments.instrument
@click.option("-o", "--output", metavar="FILE", help=f"MIDI file (default: {OUTPUT}).")
@click.option("--wav", is_flag=True, help="Also write the sound, next to the MIDI file.")
@click.option("--png", is_flag=True, help="Also draw the piano roll, next to the MIDI file.")
@force
@arguments.backend
@as_json
def run(
    model: str | None, notes: int | None, seconds: float | None, seed: int | None, piece: str | None,
    primer: str | None, instrument: int | None, output: str | None, wav: bool, png: bool, backend: str | None,
    as_json: bool, **options: Unpack[arguments.SamplingOptions],
) -> None:  # fmt: skip
    """Make music with MODEL.

    MODEL is a .keras or .tflite file, a run's folder, or base (the default) or small, which are bundled.
    """
    from kerasmusic import midi
    from kerasmusic.edge.piece import Piece, model_id, primer_id
    from kerasmusic.notes import Notes
    from kerasmusic.opening import find_model, open_generator

    path = Path(output) if output else default_output(Path(OUTPUT))
    if path.suffix.lower() not in midi.WRITTEN_SUFFIXES:
        raise ArgumentError(f"{path}: the output is a MIDI file; name it .mid")
    if notes is not None and notes < 1:
        raise ArgumentError(f"{notes}: --notes must be 1 or more")
    if seconds is not None and not 0 < seconds < float("inf"):
        raise ArgumentError(f"{seconds}: --seconds must be more than 0")
    sound = default_output(path.with_suffix(".wav")) if wav else None
    picture = default_output(path.with_suffix(".png")) if png else None
    if sound:
        from kerasmusic import audio

        audio.check_installed()
    if picture:
        from kerasmusic import plots

        plots.check_installed()
    if instrument is not None and not primer:
        raise ArgumentError(f"{instrument}: --instrument is one of the --primer; name its file")
    sampling = arguments.asked_sampling(options)
    named = None
    if piece is not None:
        named = Piece.parse(piece)
        for option, value in {**({} if seed is None else {"--seed": seed}), **arguments.option_names(options)}.items():
            raise ArgumentError(f"{value}: {option} would make another piece than {piece}; leave it out")
        seed, sampling = named.seed, named.sampling
        if notes is None and seconds is None:
            notes, seconds = named.notes, named.seconds
    found = find_model(model)
    if named and named.model != model_id(found):
        raise ArgumentError(
            f"{piece}: a piece of the model {named.model}, but {found} is {model_id(found)}; name its file"
        )
    arguments.check_exact(found, needed=named is not None)
    beginning = midi.read(primer, instrument=instrument).without_leading_silence() if primer else Notes.empty()
    if named is None:
        sampling = sampling.like(beginning, keep=arguments.asked_targets(options))
    generator = open_generator(found, backend=backend, seed=seed, sampling=sampling)
    heard = primer_id(generator.codec.encode(beginning)) if primer else None
    if named and named.primer != heard:
        lacks = f"--primer {primer} has other notes ({heard})" if heard else "--primer names no file"
        begins = f"continues the notes {named.primer} of a MIDI file" if named.primer else "continues no MIDI file"
        raise ArgumentError(f"{piece}: this piece {begins}, but {lacks}")
    arguments.warn_without_styles(generator)
    generator.prime(beginning)
    most, longest = _room(generator, beginning, sound)
    if notes is not None and notes > most:
        raise ArgumentError(f"{notes}: --notes may be at most {most:,}, to fit in {sound or path}")
    if seconds is not None and seconds > longest:
        raise ArgumentError(f"{seconds:g}: --seconds may be at most {int(longest):,}, to fit in {sound or path}")
    count = NOTES if notes is None and seconds is None else notes
    made = generator.take(most if count is None else count, seconds=longest if seconds is None else seconds)
    if count is not None and seconds is None and len(made) < count:
        warn(f"ended after {len(made):,} notes: {sound or path} can hold no longer music")
    music = Notes.from_iterable([*beginning, *made])
    midi.write(music, path)
    if sound:
        audio.write_wav(music, sound)
    if picture:
        plots.save(plots.piano_roll(music), picture)
    written = [each for each in (path, sound, picture) if each]
    made_piece = Piece(
        model=model_id(found), seed=generator.seed, sampling=sampling, primer=heard, notes=count, seconds=seconds
    )
    if as_json:
        about = {"notes": len(music), "seconds": music.seconds, "seed": generator.seed, "piece": str(made_piece)}
        answer({"files": written, **about})
        return
    say(f"{', '.join(map(str, written))}: {len(music):,} notes, {length(music.seconds)}, seed {generator.seed}")
    say(f"piece {made_piece}")


def _room(generator: Generator, beginning: Notes, sound: Path | None) -> tuple[int, float]:
    """The most notes, and the most seconds, that can follow a primer in the files that will be written."""
    from kerasmusic import midi
    from kerasmusic.codec import TICKS_PER_SECOND

    seconds = midi.LONGEST_SECONDS
    if sound:
        from kerasmusic import audio

        seconds = min(seconds, audio.LONGEST_WAV_SECONDS)
    # The last note may be as long as the codec allows.
    ringing = float(generator.codec.duration_ticks.max()) / TICKS_PER_SECOND
    return midi.MAX_NOTES - len(beginning), max(0.0, seconds - ringing - generator.seconds)
