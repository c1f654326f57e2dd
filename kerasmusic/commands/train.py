"""`kerasmusic train`: trains a model, exports it and plays a sample."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kerasmusic.commands import arguments
from kerasmusic.commands.command import command, listed, say, shown_warnings, warn
from kerasmusic.errors import ArgumentError, MissingPackageError, ModelFileError, NoNetworkError, printable
from kerasmusic.models.presets import PRESETS
from kerasmusic.training.settings import MINUTES, PRESET, Settings

if TYPE_CHECKING:
    from keras.callbacks import Callback

    from kerasmusic.codec import NoteCodec
    from kerasmusic.data.corpus import Corpus
    from kerasmusic.models.note_model import NoteModel
    from kerasmusic.training.train import TrainingResult

# After fewer passes over the data a model has learned next to nothing.
FEWEST_PASSES = 0.1
SMALLEST = ("tutorial", "tiny")
# The bundled model, as --from names it.
BUNDLED = "bundled"
# The options that a run keeps when it is resumed, by the name of the setting.
FIXED = {
    "preset": "--preset", "batch_size": "--batch-size", "learning_rate": "--learning-rate",
    "transposition": "--transposition", "stretch": "--stretch", "style_notes": "--style-notes",
    "precision": "--precision", "seed": "--seed", "no_pedal": "--no-pedal",
}  # fmt: skip


@command(
    "train",
    """
    kerasmusic train --data my-midi/ --preset small --minutes 10 --run runs/mine
    kerasmusic train --from bundled --data my-midi/ --minutes 10 --run runs/mine
    kerasmusic train --devices all --batch-size 32 --run runs/mine

    on several hosts, the same on each, with their number from 0:
    KERAS_DISTRIBUTION_JOB_ADDRESSES=10.0.0.1:1234 KERAS_DISTRIBUTION_NUM_PROCESSES=2 \\
    KERAS_DISTRIBUTION_PROCESS_ID=0 kerasmusic train --devices all --run runs/mine
    """,
)
@click.option(
    "--data",
    multiple=True,
    metavar="PATH",
    help="A folder or a zip of MIDI files; may be given again for more of them, each with its own split (default: "
    "download MAESTRO; without a network, a demonstration that the bundled model plays).",
)
@click.option("--preset", help=f"The architecture: {listed(list(PRESETS))} (default: {PRESET}).")
@click.option(
    "--from",
    "start",
    metavar="MODEL",
    help=f"Start from a trained model, a .keras file or a run's folder; '{BUNDLED}' is the bundled model. "
    "A wider --preset grows the model and keeps what it has learnt.",
)
@click.option("--minutes", type=float, help=f"Training time, from the first step on (default: {MINUTES:g}).")
@click.option("--epochs", type=float, help="The same in passes over the data.")
@click.option("--run", "folder", metavar="DIR", help="The run's folder (default: runs/PRESET-BACKEND-TIME).")
@click.option(
    "--resume",
    metavar="RUN",
    help="Resume a run that was stopped, with its own data and settings; --minutes or --epochs make it longer.",
)
@click.option("--tensorboard", metavar="DIR", help="Also write the losses for TensorBoard into this folder.")
@click.option("--batch-size", type=int, help="Windows in a batch (default: the preset's).")
@click.option("--learning-rate", type=float, help="The peak learning rate (default: the preset's).")
@click.option(
    "--transposition",
    type=int,
    default=Settings.transposition,
    show_default=True,
    metavar="SEMITONES",
    help="Transpose the music by up to this many semitones; 0 keeps its keys.",
)
@click.option(
    "--stretch",
    type=float,
    default=Settings.stretch,
    show_default=True,
    metavar="SHARE",
    help="Play it up to this share slower or faster, such as 0.05; for performances, not for music on a grid.",
)
@click.option(
    "--style-notes",
    type=int,
    default=Settings.style_notes,
    show_default=True,
    metavar="NOTES",
    help="Learn as a style for 'generate --style' each composer of whom the data's csv names this many notes or more; "
    "with --from, those that the model knows; 0 learns none.",
)
@click.option(
    "--precision",
    default=Settings.precision,
    show_default=True,
    help="The precision of matrix products: float32, or bfloat16 where the processor is faster at it. What is saved is "
    "float32.",
)
@click.option(
    "--seed", type=int, default=Settings.seed, show_default=True, help="The seed of the weights and the windows."
)
@click.option(
    "--devices", default="one", show_default=True, help="one, or all: each takes its share of every batch, on JAX."
)
@arguments.pedal
@arguments.strict
@arguments.backend
def run(folder: str | None, resume: str | None, backend: str | None, **options: Any) -> None:
    """Train a model, export it and let it play."""
    from kerasmusic.models.backend import choose_backend

    chosen = choose_backend(backend)

    from kerasmusic import runs
    from kerasmusic.models.precision import check_precision
    from kerasmusic.training.devices import check_devices
    from kerasmusic.training.train import Ending

    check_precision()
    check_devices(options["devices"])
    callbacks = _tensorboard(options["tensorboard"])
    with shown_warnings():
        trained, settings = (
            _resume(resume, folder, chosen, callbacks, options)
            if resume
            else _train(folder, chosen, callbacks, options)
        )
    place = trained.run
    if not trained.wrote:
        say(f"{trained.steps:,} steps, {trained.ended}; the first process saved them")
        return
    say(
        f"{trained.steps:,} steps in {trained.seconds / 60:.1f} minutes, after {trained.compiling_seconds / 60:.1f} of "
        f"compiling, {trained.ended}; saved in {place}"
    )
    if trained.ending is Ending.STOPPED:
        say(f"carry on with: kerasmusic train --resume {place}")
        return
    if trained.passes < FEWEST_PASSES:
        longer = "--minutes" if settings.epochs is None else "--epochs"
        smaller = "" if options["preset"] in SMALLEST else ", or train a smaller --preset such as tiny"
        warn(f"too short to learn from: {trained.passes:.2g} of a pass over the data; give it more {longer}{smaller}")
    files = runs.finish(place)
    for path, reason in files.missing.items():
        warn(f"{path.name} not written: {reason}")
    say("left " + ", ".join(sorted(path.name for path in place.iterdir() if not path.name.startswith("."))))


def _train(
    folder: str | None, backend: str, callbacks: Sequence[Callback], options: dict[str, Any]
) -> tuple[TrainingResult, Settings]:
    """Trains a new run."""
    from kerasmusic.models.presets import find_preset
    from kerasmusic.opening import codec_of, find_keras_file
    from kerasmusic.training.run_folder import check_new_run
    from kerasmusic.training.train import train

    settings = _new_settings(options)
    start, preset = options["start"], options["preset"]
    path = find_keras_file(None if start == BUNDLED else start) if start else None
    if preset or not path:
        find_preset(preset or PRESET)
    name = preset or (PRESET if path is None else _preset_of(path))
    run = Path(folder or f"runs/{name}-{backend}-{time.strftime('%Y%m%d-%H%M%S')}")
    check_new_run(run)
    # Before the data, which takes longer.
    model = _starting_model(path, preset) if path else name
    corpus = _open_training_data(
        options["data"], options["no_pedal"], options["strict"], codec_of(path) if path else None
    )
    _warn_of_leaks(corpus)
    return train(model, corpus, run, settings, callbacks=callbacks, devices=options["devices"]), settings


def _resume(
    resumed: str, folder: str | None, backend: str, callbacks: Sequence[Callback], options: dict[str, Any]
) -> tuple[TrainingResult, Settings]:
    """Continues the run that --resume names."""
    from kerasmusic.opening import codec_of
    from kerasmusic.training.run_folder import CHECKPOINT, check_sources, music_change, read_settings, read_start
    from kerasmusic.training.train import resume

    began = read_start(resumed)
    _refuse_changes(resumed, began, folder, options)
    settings = read_settings(began)
    if options["minutes"] is not None or options["epochs"] is not None:
        settings = dataclasses.replace(settings, minutes=options["minutes"], epochs=options["epochs"])
    checkpoint = Path(resumed) / CHECKPOINT
    codec = codec_of(checkpoint) if checkpoint.exists() else None
    options["preset"] = began["settings"].get("preset")
    if not options["data"]:
        check_sources(began)
    corpus = _open_training_data(options["data"] or began["data"], not began["pedal"], options["strict"], codec)
    if changed := music_change(began, corpus):
        warn(changed)
    _warn_of_leaks(corpus)
    return resume(corpus, resumed, settings, callbacks=callbacks, devices=options["devices"]), settings


def _refuse_changes(resumed: str, began: dict[str, Any], folder: str | None, options: dict[str, Any]) -> None:
    """Raises an ArgumentError for an option with which a run cannot be resumed."""
    context = click.get_current_context()
    own = {**began["settings"], "no_pedal": not began["pedal"]}
    for name, flag in FIXED.items():
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and name in own and options[name] != own[name]:
            raise ArgumentError(
                f"{flag} {options[name]}: {resumed} was begun with {own[name]}, and a run keeps its settings; to "
                f"change it, begin another run with --from {resumed}"
            )
    if options["start"]:
        raise ArgumentError(f"--from {options['start']}: a run is resumed from its own checkpoint; leave out --from")
    if folder and Path(folder).resolve() != Path(resumed).resolve():
        raise ArgumentError(f"--run {folder}: {resumed} is resumed in its own folder; leave out --run")


def _tensorboard(folder: str | None) -> list[Callback]:
    """Keras's TensorBoard callback, which needs TensorFlow on every backend."""
    if not folder:
        return []
    if not (find_spec("tensorflow") and find_spec("tensorboard")):
        raise MissingPackageError(
            "--tensorboard needs TensorFlow and TensorBoard; run: pip install 'kerasmusic[tensorflow]' tensorboard"
        )
    from kerasmusic.training.callbacks import tensorboard

    return [tensorboard(folder)]


def _new_settings(options: dict[str, Any]) -> Settings:
    unbounded = options["minutes"] is None and options["epochs"] is None
    return Settings(
        minutes=MINUTES if unbounded else options["minutes"],
        epochs=options["epochs"],
        batch_size=options["batch_size"],
        learning_rate=options["learning_rate"],
        transposition=options["transposition"],
        stretch=options["stretch"],
        style_notes=options["style_notes"],
        precision=options["precision"],
        seed=options["seed"],
    )


def _preset_of(path: Path) -> str:
    from kerasmusic.models.keras_file import read_keras_config

    return str(read_keras_config(path).config["preset"])


def _starting_model(path: Path, preset: str | None) -> NoteModel:
    """The model that --from names, grown to a wider --preset."""
    from kerasmusic.models.growing import grown
    from kerasmusic.models.note_model import load_model

    model = load_model(path)
    return model if preset in (None, model.preset) else grown(model, preset)


def _open_training_data(data: Sequence[str], no_pedal: bool, strict: bool, codec: NoteCodec | None) -> Corpus:
    """Opens what --data names, else MAESTRO; without a network, a demonstration that the bundled model plays."""
    from kerasmusic.data.maestro import download_maestro

    try:
        return arguments.open_data(data or [str(download_maestro())], no_pedal, codec=codec, strict=strict)
    except NoNetworkError as error:
        from kerasmusic import bundled
        from kerasmusic.data import demonstration

        try:
            bundled.bundled_model()
        except ModelFileError:
            raise error from None
        warn(
            f"{error}; for now this trains on a demonstration: {demonstration.PIECES} pieces of {demonstration.NOTES} "
            "notes that the bundled model plays"
        )
        return demonstration.open_demonstration(pedal=not no_pedal, codec=codec)


def _warn_of_leaks(corpus: Corpus) -> None:
    """Warns where the validation split is not independent of the training split."""
    from kerasmusic.data.overlap import find_overlaps

    for source in corpus.parts:
        for against in corpus.parts:
            if source is against:
                continue
            leaks = list(find_overlaps(source, against, split="train"))
            if leaks:
                place, other = source.roots[0], against.roots[0]
                warn(
                    f"{len(leaks)} performances of {place} to train on are held out in {other}, such as "
                    f"{printable(leaks[0].name)}; 'kerasmusic data check {place} --against {other}' lists them"
                )
