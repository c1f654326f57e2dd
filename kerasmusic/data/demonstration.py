"""A demonstration corpus: music that a model plays, to try training on where there is no real music at hand.

What is trained on it learns at best what that model knows. It shows that everything works, and how.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from kerasmusic import bundled, midi
from kerasmusic.codec import NoteCodec
from kerasmusic.data.corpus import Corpus, open_corpus
from kerasmusic.edge import Generator
from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.edge.step import TFLiteStep
from kerasmusic.errors import ArgumentError, KerasMusicError, ProcessError
from kerasmusic.files import folder_written_beside
from kerasmusic.processes import ask_in_processes

PIECES = 200
NOTES = 500


def play_demonstration(
    model: str | os.PathLike[str],
    *,
    pieces: int = PIECES,
    notes: int = NOTES,
    seed: int = 0,
    cache: str | os.PathLike[str] | None = None,
) -> Path:
    """A folder of MIDI files that a model plays, one piece for each seed from the first on.

    The folder's name says of which model, how many pieces and notes, and from which seed. It is made once, in a folder
    beside and renamed, so it is whole or not there; every call after that finds it.

    Args:
        model: a `.tflite` file.
        pieces: how many.
        notes: in each piece.
        seed: of the first piece; the next follow.
        cache: the folder that holds demonstrations; by default `kerasmusic` in the user's cache folder.

    Raises:
        ModelFileError: the file is not a kerasmusic model.
        MissingPackageError: no TFLite interpreter is installed.
        ArgumentError: an argument out of its range.

    Example, with a model that was exported before::

        corpus = open_corpus(play_demonstration("model.tflite"))
    """
    if min(pieces, notes) < 1:
        raise ArgumentError(f"{min(pieces, notes)}: a demonstration has 1 piece or more, of 1 note or more")
    if not 0 <= seed < 2**64 - pieces:
        raise ArgumentError(f"{seed}: a seed is a whole number from 0 to {2**64 - 1 - pieces}")
    if cache is None:
        from platformdirs import user_cache_path

        cache = user_cache_path("kerasmusic")
    digest = hashlib.sha256(read_model_bytes(model)).hexdigest()[:16]
    place = Path(cache) / f"demonstration-{digest}-{pieces}-pieces-of-{notes}-from-{seed}"
    if place.exists():
        return place
    with folder_written_beside(place) as beside:
        _play_all(Path(model), range(seed, seed + pieces), notes, beside)
    return place


def open_demonstration(*, pedal: bool = True, codec: NoteCodec | None = None) -> Corpus:
    """The corpus of what the bundled model plays, under the licence of that model.

    Args:
        pedal: see `open_corpus`.
        codec: likewise.

    Raises:
        ModelFileError: this installation came without the bundled model.
        MissingPackageError: no TFLite interpreter is installed.
    """
    model = bundled.bundled_model()
    corpus = open_corpus([play_demonstration(model)], pedal=pedal, codec=codec)
    return dataclasses.replace(corpus, licence=read_record(read_model_bytes(model), str(model))["licence"])


def _play_all(model: Path, seeds: range, notes: int, folder: Path) -> None:
    """Plays in as many processes as there are processors; shows a bar on a terminal."""
    from kerasmusic.progress import progress

    played = ask_in_processes(functools.partial(_play_each, model, notes, folder), seeds)
    with progress("playing", "piece", len(seeds)) as bar, closing(played):
        for seed, answer in played:
            if isinstance(answer, ProcessError):
                raise ProcessError(f"the process that played seed {seed} {answer}")
            if isinstance(answer, KerasMusicError):
                raise answer
            bar.update()


def _play_each(model: Path, notes: int, folder: Path, seeds: Iterator[int]) -> Iterator[bytes]:
    """In a playing process: writes the piece of each seed."""
    step = TFLiteStep(model)
    for seed in seeds:
        midi.write(Generator(step, seed=seed).take(notes), folder / f"seed-{seed}.mid")
        yield b""
