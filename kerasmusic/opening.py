"""Opening whatever model a user has: a run's folder, a `.keras` or a `.tflite` file, or the bundled model.

Keras is imported when a `.keras` file is opened, and not before: its backend cannot be changed afterwards.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasmusic import bundled
from kerasmusic.codec import NoteCodec
from kerasmusic.edge import Generator
from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.errors import ArgumentError, KerasMusicError
from kerasmusic.models.backend import choose_backend
from kerasmusic.models.keras_file import read_keras_config

if TYPE_CHECKING:
    from kerasmusic.edge.runtime import Runtime
    from kerasmusic.models import NoteModel
    from kerasmusic.models.scoring import Scorer

#: The name of a model file in a run's folder, without its suffix.
RUN_MODEL = "model"


@dataclass(frozen=True)
class ModelKind:
    """A kind of model file.

    Args:
        suffix: the end of its files' names.
        needs_keras: whether it is opened by Keras, whose backend must be chosen before.
        playable: reads a file as what `Generator` takes.
        scorer: reads a file as a `Scorer`.
        codec: reads a file's codec alone.
    """

    suffix: str
    needs_keras: bool
    playable: Callable[[Path], Path | Runtime]
    scorer: Callable[[Path], Scorer]
    codec: Callable[[Path], NoteCodec]


def _keras_runtime(path: Path) -> Runtime:
    from kerasmusic.models.keras_runtime import KerasRuntime
    from kerasmusic.models.note_model import load_model

    return KerasRuntime(load_model(path))


def _keras_scorer(path: Path) -> Scorer:
    from kerasmusic.models.note_model import load_model
    from kerasmusic.models.scoring import KerasScorer

    return KerasScorer(load_model(path))


KERAS = ModelKind(
    suffix=".keras",
    needs_keras=True,
    playable=_keras_runtime,
    scorer=_keras_scorer,
    codec=lambda path: NoteCodec.from_json(read_keras_config(path)[1]["codec"]),
)
TFLITE = ModelKind(
    suffix=".tflite",
    needs_keras=False,
    playable=lambda path: path,
    scorer=lambda path: Generator(path, seed=0),
    codec=lambda path: NoteCodec.from_json(read_record(read_model_bytes(path), str(path)).get("codec", {})),
)
#: All kinds by suffix; of a run's folder the first that is there is taken.
KINDS = {kind.suffix: kind for kind in (KERAS, TFLITE)}


def kind_of(path: str | os.PathLike[str]) -> ModelKind:
    """The kind of a model file, by its suffix.

    Raises:
        KerasMusicError: there is no such kind.

    >>> kind_of("model.tflite") is TFLITE
    True
    """
    kind = KINDS.get(Path(path).suffix)
    if kind is None:
        raise KerasMusicError(f"{path}: not a model file; they end in {' or '.join(KINDS)}")
    return kind


def find_model(model: str | os.PathLike[str] | None = None, *, prefer: ModelKind = KERAS) -> Path:
    """The file of a model.

    Args:
        model: a model file, the folder of a run, or None for the bundled model.
        prefer: the kind to take from a run's folder, where it holds several.

    Raises:
        KerasMusicError: there is no such file, or it is no model file, or the folder holds none.
        ModelFileError: this installation came without the bundled model.

    >>> find_model().name
    'small.tflite'
    """
    if model is None:
        return bundled.bundled_model()
    path = Path(model)
    if path.is_dir():
        names = [RUN_MODEL + kind.suffix for kind in KINDS.values()]
        names.sort(key=lambda name: not name.endswith(prefer.suffix))
        found = next((path / name for name in names if (path / name).exists()), None)
        if found is None:
            raise KerasMusicError(f"{path}: a folder without {' or '.join(RUN_MODEL + suffix for suffix in KINDS)}")
        return found
    if not path.exists():
        raise KerasMusicError(f"{path}: no such file")
    kind_of(path)
    return path


def open_generator(
    model: str | os.PathLike[str] | None = None,
    *,
    backend: str | None = None,
    prefer: ModelKind = KERAS,
    **options: Any,
) -> Generator:
    """Opens any model as a generator.

    Args:
        model: see `find_model`.
        backend: the backend of Keras that runs a `.keras` file, unless Keras is imported already; by default that of
            `KERAS_BACKEND`, or the first that is installed.
        prefer: see `find_model`.
        options: further arguments of `Generator`.

    Raises:
        KerasMusicError: as `find_model`, `Generator` and `choose_backend`.

    Example, with a run that was trained before::

        notes = open_generator("runs/mine", seed=7).take(300)
    """
    path = find_model(model, prefer=prefer)
    return Generator(_prepared(path, backend).playable(path), **options)


def open_scorer(model: str | os.PathLike[str] | None = None, *, backend: str | None = None) -> Scorer:
    """Opens any model as a scorer, which gives the notes of performances their log probabilities.

    Args:
        model: see `find_model`.
        backend: see `open_generator`.

    Raises:
        KerasMusicError: as `find_model` and `choose_backend`.

    Example, with a run that was trained before::

        scorer = open_scorer("runs/mine")
        print(evaluate(scorer, open_corpus("my-midi/", codec=scorer.codec)).nats)
    """
    path = find_model(model)
    return _prepared(path, backend).scorer(path)


def codec_of(model: str | os.PathLike[str] | None = None) -> NoteCodec:
    """The codec of any model, read without loading its weights: a corpus of the same codec has the same fields.

    Raises:
        KerasMusicError: as `find_model`, or the file is damaged.

    >>> codec_of().sizes.pitch
    128
    """
    path = find_model(model)
    return kind_of(path).codec(path)


def find_keras_file(model: str | os.PathLike[str] | None = None) -> Path:
    """The `.keras` file of a model, which training starts from and exporting reads.

    Args:
        model: a `.keras` file, the folder of a run, or None for the bundled model.

    Raises:
        KerasMusicError: as `find_model`.
        ArgumentError: only an exported file is there.
    """
    path = bundled.bundled_model(KERAS.suffix) if model is None else find_model(model)
    if kind_of(path) is not KERAS:
        raise ArgumentError(f"{path}: is for playing; training and exporting start from a {KERAS.suffix} file")
    return path


def load_model(model: str | os.PathLike[str] | None = None, *, backend: str | None = None) -> NoteModel:
    """Loads a model with its weights, to train or to look into.

    Args:
        model: see `find_keras_file`.
        backend: see `open_generator`.

    Raises:
        KerasMusicError: as `find_keras_file` and `choose_backend`, or the file holds something else.

    Example::

        load_model().summary()
    """
    path = find_keras_file(model)
    settle_backend(backend)
    from kerasmusic.models import note_model

    return note_model.load_model(path)


def settle_backend(backend: str | None = None) -> None:
    """Chooses Keras's backend, unless one is named by nobody and Keras runs on one already.

    Raises:
        KerasMusicError: as `choose_backend`.
    """
    if backend or "keras" not in sys.modules:
        choose_backend(backend)


def _prepared(path: Path, backend: str | None) -> ModelKind:
    """The kind of a file, with all settled that opening it takes."""
    kind = kind_of(path)
    if kind.needs_keras:
        settle_backend(backend)
    return kind
