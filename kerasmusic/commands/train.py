"""`kerasmusic train`: trains a model, exports it and plays a sample."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kerasmusic.commands import arguments
from kerasmusic.commands.command import command, listed, say, warn
from kerasmusic.errors import ModelFileError, NoNetworkError, printable
from kerasmusic.models.presets import PRESETS
from kerasmusic.training.settings import MINUTES, Settings

if TYPE_CHECKING:
    from kerasmusic.codec import NoteCodec
    from kerasmusic.data.corpus import Corpus

# After fewer passes over the data a model has learned next to nothing.
FEWEST_PASSES = 0.1
SMALLEST = ("tutorial", "tiny")
# The bundled model, as --from names it.
BUNDLED = "bundled"


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
@click.option("--preset", help=f"The architecture: {listed(list(PRESETS))} (default: {Settings.preset}).")
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
@click.option("--resume", metavar="RUN", help="Resume a run that was stopped, with its own data and settings.")
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
    from kerasmusic.opening import codec_of
    from kerasmusic.training.devices import check_devices
    from kerasmusic.training.run_folder import CHECKPOINT, check_new_run

    check_devices(options["devices"])
    if resume:
        settings, place = _settings_of(resume, options), Path(resume)
    else:
        settings = _new_settings(options)
        place = Path(folder or f"runs/{settings.preset}-{chosen}-{time.strftime('%Y%m%d-%H%M%S')}")
        check_new_run(place)
    learnt = place / CHECKPOINT if resume else settings.start
    codec = codec_of(learnt) if learnt and Path(learnt).exists() else None
    corpus = _open_training_data(options["data"], options["no_pedal"], options["strict"], codec)
    _warn_of_splits(corpus)

    from kerasmusic.training.train import Ending, train

    trained = train(corpus, place, settings, resume=bool(resume), devices=options["devices"])
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
        smaller = "" if settings.preset in SMALLEST else ", or train a smaller --preset such as tiny"
        warn(f"too short to learn from: {trained.passes:.2g} of a pass over the data; give it more {longer}{smaller}")
    files = runs.finish(place)
    for path, reason in files.missing.items():
        warn(f"{path.name} not written: {reason}")
    say("left " + ", ".join(sorted(path.name for path in place.iterdir() if not path.name.startswith("."))))


def _settings_of(resume: str, options: dict[str, Any]) -> Settings:
    """The settings of a run, made longer on request; sets the options for data to those of the run."""
    from kerasmusic.training.run_folder import read_start

    began = read_start(resume)
    longer = {name: options[name] for name in ("minutes", "epochs") if options[name] is not None}
    bounds = {"minutes": None, "epochs": None, **longer} if longer else {}
    options["data"], options["no_pedal"] = began["data"], not began["pedal"]
    return Settings(**{**began["settings"], **bounds})


def _new_settings(options: dict[str, Any]) -> Settings:
    start, preset = _start_and_preset(options["start"], options["preset"])
    unbounded = options["minutes"] is None and options["epochs"] is None
    return Settings(
        preset=preset,
        start=start,
        minutes=MINUTES if unbounded else options["minutes"],
        epochs=options["epochs"],
        batch_size=options["batch_size"],
        learning_rate=options["learning_rate"],
        transposition=options["transposition"],
        stretch=options["stretch"],
        precision=options["precision"],
        seed=options["seed"],
    )


def _start_and_preset(start: str | None, preset: str | None) -> tuple[str | None, str]:
    """The `.keras` file that --from names, and the preset to train, by default that of the file."""
    from kerasmusic.models.keras_file import read_keras_config
    from kerasmusic.models.presets import find_preset
    from kerasmusic.opening import find_keras_file

    if preset:
        find_preset(preset)
    if not start:
        return None, preset or Settings.preset
    path = find_keras_file(None if start == BUNDLED else start)
    return str(path.resolve()), preset or read_keras_config(path)[1]["preset"]


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


def _warn_of_splits(corpus: Corpus) -> None:
    """Warns where there is no validation split, or it is not independent of the training split."""
    from kerasmusic.data.overlap import find_overlaps

    if "validation" in corpus.empty:
        warn(f"no validation, so training ends with its budget and not before; {corpus.empty['validation']}")
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
