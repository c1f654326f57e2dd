"""Opens any model: a run's folder, a `.keras` or a `.tflite` file, or the bundled model.

Keras is imported only when a `.keras` file is opened, because its backend cannot be changed afterwards.
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
        suffix: the suffix of its files.
        needs_keras: whether opening it needs Keras, whose backend must be chosen first.
        playable: opens a file as an argument for `Generator`.
        scorer: opens a file as a `Scorer`.
        codec: reads only a file's codec.
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
    codec=lambda path: NoteCodec.from_json(read_keras_config(path).config["codec"]),
)
TFLITE = ModelKind(
    suffix=".tflite",
    needs_keras=False,
    playable=lambda path: path,
    scorer=lambda path: Generator(path, seed=0),
    codec=lambda path: NoteCodec.from_json(read_record(read_model_bytes(path), str(path)).get("codec", {})),
)
#: All kinds by suffix; in a run's folder, the first kind that exists is taken.
KINDS = {kind.suffix: kind for kind in (KERAS, TFLITE)}


def kind_of(path: str | os.PathLike[str]) -> ModelKind:
    """The kind of a model file, by its suffix.

    Raises:
        KerasMusicError: no kind has this suffix.

    >>> kind_of("model.tflite") is TFLITE
    True
    """
    kind = KINDS.get(Path(path).suffix)
    if kind is None:
        raise KerasMusicError(f"{path}: not a model file; model files end in {' or '.join(KINDS)}")
    return kind


def find_model(model: str | os.PathLike[str] | None = None, *, prefer: ModelKind = KERAS) -> Path:
    """Finds the file of a model.

    Args:
        model: a model file, the folder of a run, the name of a bundled model, or None for the one that plays by
            default. A file or folder of that name comes first.
        prefer: the kind to take from a run's folder that holds several.

    Raises:
        KerasMusicError: the file does not exist or is not a model file, or the folder holds no model.
        ModelFileError: this installation lacks the bundled model.

    >>> find_model().name
    'base.tflite'
    """
    if model is None:
        return bundled.bundled_model()
    path = Path(model)
    if str(model) in bundled.NAMES and not path.exists():
        return bundled.bundled_model(str(model))
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
        backend: the Keras backend for a `.keras` file; by default the one Keras already runs on, else `KERAS_BACKEND`,
            else the first one installed.
        prefer: see `find_model`.
        options: further arguments of `Generator`.

    Raises:
        KerasMusicError: see `find_model`, `Generator` and `choose_backend`.

    Example, with a run trained earlier::

        notes = open_generator("runs/mine", seed=7).take(300)
    """
    path = find_model(model, prefer=prefer)
    return Generator(_prepare_kind(path, backend).playable(path), **options)


def open_scorer(model: str | os.PathLike[str] | None = None, *, backend: str | None = None) -> Scorer:
    """Opens any model as a scorer, which computes the log probabilities of performances.

    Args:
        model: see `find_model`.
        backend: see `open_generator`.

    Raises:
        KerasMusicError: see `find_model` and `choose_backend`.

    Example, with a run trained earlier::

        scorer = open_scorer("runs/mine")
        print(evaluate(scorer, open_corpus("my-midi/", codec=scorer.codec)).nats)
    """
    path = find_model(model)
    return _prepare_kind(path, backend).scorer(path)


def codec_of(model: str | os.PathLike[str] | None = None) -> NoteCodec:
    """Reads the codec of any model without loading its weights, to open a corpus with the same codec.

    Raises:
        KerasMusicError: see `find_model`; or the file is damaged.

    >>> codec_of().sizes.pitch
    128
    """
    path = find_model(model)
    return kind_of(path).codec(path)


def find_keras_file(model: str | os.PathLike[str] | None = None) -> Path:
    """Finds the `.keras` file of a model, which training and exporting start from.

    Args:
        model: a `.keras` file, the folder of a run, "small" or None for the bundled model.

    Raises:
        KerasMusicError: see `find_model`.
        ArgumentError: the model is only an exported file.
    """
    is_bundled = model is None or (str(model) == bundled.TRAINED and not Path(model).exists())
    path = bundled.bundled_keras_file() if is_bundled else find_model(model)
    if kind_of(path) is not KERAS:
        raise ArgumentError(f"{path}: is for playing only; training and exporting start from a {KERAS.suffix} file")
    return path


def load_model(model: str | os.PathLike[str] | None = None, *, backend: str | None = None) -> NoteModel:
    """Loads a model with its weights, for training or inspection.

    Args:
        model: see `find_keras_file`.
        backend: see `open_generator`.

    Raises:
        KerasMusicError: see `find_keras_file` and `choose_backend`; or the file does not hold a note model.

    Example::

        load_model().summary()
    """
    path = find_keras_file(model)
    settle_backend(backend)
    from kerasmusic.models import note_model

    return note_model.load_model(path)


def settle_backend(backend: str | None = None) -> None:
    """Chooses Keras's backend, unless none is named and Keras is already imported.

    Raises:
        KerasMusicError: see `choose_backend`.
    """
    if backend or "keras" not in sys.modules:
        choose_backend(backend)


def _prepare_kind(path: Path, backend: str | None) -> ModelKind:
    """The kind of a file; chooses Keras's backend if the kind needs it."""
    kind = kind_of(path)
    if kind.needs_keras:
        settle_backend(backend)
    return kind
