"""A demonstration corpus: music that a model plays, to try training on where there is no real music at hand.

What is trained on it learns at best what that model knows. It shows that everything works, and how.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from kerasmusic import midi
from kerasmusic.edge import Generator
from kerasmusic.edge.model_file import read_model_bytes
from kerasmusic.edge.step import TFLiteStep
from kerasmusic.errors import ArgumentError
from kerasmusic.files import folder_written_beside

PIECES = 200
NOTES = 500
PIECES_A_TASK = 10


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


def _play_all(model: Path, seeds: range, notes: int, folder: Path) -> None:
    """Plays in as many processes as there are processors; shows a bar on a terminal."""
    from kerasmusic.progress import progress

    tasks = [seeds[first : first + PIECES_A_TASK] for first in range(0, len(seeds), PIECES_A_TASK)]
    workers = min(os.cpu_count() or 1, len(tasks))
    with progress("playing", "piece", len(seeds)) as bar:
        if workers == 1:
            for task in tasks:
                _play(model, task, notes, folder)
                bar.update(len(task))
            return
        # Spawned, not forked: the process may already hold threads that do not survive a fork.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            futures = [pool.submit(_play, model, task, notes, folder) for task in tasks]
            for future, task in zip(futures, tasks, strict=True):
                future.result()
                bar.update(len(task))


def _play(model: Path, seeds: range, notes: int, folder: Path) -> None:
    step = TFLiteStep(model)
    for seed in seeds:
        midi.write(Generator(step, seed=seed).take(notes), folder / f"seed-{seed}.mid")
