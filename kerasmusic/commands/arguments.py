"""Arguments that several commands take, and what they mean: models, music, how to draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kerasmusic.commands.command import warn
from kerasmusic.errors import ArgumentError, KerasMusicError

if TYPE_CHECKING:
    from kerasmusic.codec import NoteCodec
    from kerasmusic.data.corpus import Corpus
    from kerasmusic.edge import Generator
    from kerasmusic.edge.sampling import Sampling

MODEL_HELP = "a .keras or .tflite file, or a run's folder"

pedal = click.option("--no-pedal", is_flag=True, help="End notes with their keys, not with the sustain pedal.")
instrument = click.option(
    "--instrument",
    type=int,
    metavar="N",
    help="Of a MIDI file's instruments, which 'inspect' lists from 0, take this one alone (default: all but drums).",
)
strict = click.option(
    "--strict", is_flag=True, help="Fail where a file cannot be read; by default the others are used, and it is named."
)
backend = click.option("--backend", help="jax, tensorflow or torch (default: KERAS_BACKEND, else what is installed).")


def sampling(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of how to draw; `asked_sampling` takes them."""
    for option in (
        click.option(
            "--density", type=float,
            help="More or fewer notes per second: 0 leaves the model's own, which hurries; 1 makes a step twice as "
            "long half as likely (default: -0.2).",
        ),
        click.option(
            "--min-p", metavar="SHARE",
            help="Leave out what is less likely than this share of the likeliest; also by field (default: pitch=0.02).",
        ),
        click.option("--temperature", help="One number, or by field: pitch=1.1,step=0.9 (default: 1)."),
    ):  # fmt: skip
        command = option(command)
    return command


def asked_sampling(
    temperature: str | None, min_p: str | None, density: float | None, key: str | None = None,
    pitch_range: str | None = None,
) -> Sampling:  # fmt: skip
    """The sampling that the options ask for; what they leave out has its default."""
    from kerasmusic.edge.sampling import Sampling, SamplingChanges

    asked = SamplingChanges(key=key, pitch_range=pitch_range)
    if temperature is not None:
        asked["temperature"] = by_field("temperature", temperature)
    if min_p is not None:
        asked["min_p"] = by_field("min-p", min_p)
    if density is not None:
        asked["density"] = density
    return Sampling(**asked)


def by_field(name: str, text: str) -> float | dict[str, float]:
    """A number, or a mapping from "field=number,field=number".

    >>> by_field("temperature", "pitch=1.1,step=0.9")
    {'pitch': 1.1, 'step': 0.9}
    """
    try:
        if "=" not in text:
            return float(text)
        return {field.strip(): float(number) for field, number in (part.split("=") for part in text.split(","))}
    except ValueError:
        raise ArgumentError(f"{text}: not a {name}; write a number, or numbers by field: pitch=1.1,step=0.9") from None


def model_path(text: str | None) -> Path:
    """The model file that an argument means: itself, the model of a run's folder, or the bundled one for none."""
    if text is None:
        from kerasmusic.bundled import bundled_model

        return bundled_model()
    path = Path(text)
    if path.is_dir():
        found = [path / name for name in ("model.keras", "model.tflite") if (path / name).exists()]
        if not found:
            raise KerasMusicError(f"{path}: a folder without model.keras or model.tflite")
        return found[0]
    if not path.exists():
        raise KerasMusicError(f"{path}: no such file")
    if path.suffix not in (".keras", ".tflite"):
        raise KerasMusicError(f"{path}: not a model file; they end in .keras or .tflite")
    return path


def open_generator(path: Path, backend: str | None = None, **options: Any) -> Generator:
    """What plays a model file; `backend` is for Keras's."""
    from kerasmusic.edge import Generator

    if path.suffix == ".tflite":
        return Generator(path, **options)
    choose_backend_for(path, backend)
    from kerasmusic.models.keras_step import KerasStep
    from kerasmusic.models.note_model import load_model

    return Generator(KerasStep(load_model(path)), **options)


def choose_backend_for(path: Path, backend: str | None) -> None:
    """Settles Keras's backend before Keras is imported, where a file needs it."""
    if path.suffix == ".keras":
        from kerasmusic.models.backend import choose_backend

        choose_backend(backend)


def open_data(data: Sequence[str], no_pedal: bool, **further: Any) -> Corpus:
    """The corpus of the sources that `--data` names, or of MAESTRO where it names none."""
    from kerasmusic.data.corpus import open_corpus
    from kerasmusic.data.maestro import download_maestro

    corpus = open_corpus(data or [download_maestro()], pedal=not no_pedal, **further)
    if corpus.skipped:
        warn(f"{len(corpus.skipped)} files could not be read; 'kerasmusic data info' lists them with the reasons")
    return corpus


def codec_of(model: str | Path | None) -> NoteCodec | None:
    """The codec of a `.keras` file, so that the corpus speaks in the same fields; None where there is no such file."""
    from kerasmusic.codec import NoteCodec
    from kerasmusic.models.keras_file import read_keras_config

    if model is None or not Path(model).exists():
        return None
    return NoteCodec.from_json(read_keras_config(model)[1]["codec"])
