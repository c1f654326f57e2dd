"""`kerasmusic train`: from music to a model, its exported file and a sample of what it plays."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kerasmusic.commands import arguments
from kerasmusic.commands.command import command, say, warn
from kerasmusic.errors import ArgumentError, MissingPackageError, ModelFileError, NoNetworkError, printable
from kerasmusic.training.settings import MINUTES, Settings

if TYPE_CHECKING:
    from kerasmusic.codec import NoteCodec
    from kerasmusic.data.corpus import Corpus

SAMPLE_SECONDS = 60.0
# After fewer passes over the data a model has hardly learned anything.
FEWEST_PASSES = 0.1
SMALLEST = ("tutorial", "tiny")


@command(
    "train",
    """
    kerasmusic train --data my-midi/ --preset small --minutes 10 --run runs/mine
    kerasmusic train --from pretrained --data my-midi/ --minutes 10 --run runs/mine
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
@click.option("--preset", help=f"The architecture: tutorial, tiny, small or base (default: {Settings.preset}).")
@click.option(
    "--from",
    "start",
    metavar="MODEL",
    help="Start from a trained model, a .keras file or a run's folder; 'pretrained' is the one that came with the "
    "package. With a wider --preset, that one starts from what the model has learnt.",
)
@click.option("--minutes", type=float, help=f"How long to train, from the first step on (default: {MINUTES:g}).")
@click.option("--epochs", type=float, help="How long to train, in passes over the data instead.")
@click.option("--run", "folder", metavar="DIR", help="The run's folder (default: runs/PRESET-BACKEND-TIME).")
@click.option("--resume", metavar="RUN", help="Carry on a run that was stopped, with its own data and settings.")
@click.option("--batch-size", type=int, help="Windows in a batch (default: the preset's).")
@click.option("--learning-rate", type=float, help="The highest learning rate (default: the preset's).")
@click.option(
    "--transposition",
    type=int,
    default=Settings.transposition,
    show_default=True,
    metavar="SEMITONES",
    help="Play the music up to so many semitones higher or lower; 0 keeps its keys.",
)
@click.option(
    "--stretch",
    type=float,
    default=Settings.stretch,
    show_default=True,
    metavar="SHARE",
    help="Play it up to this much slower or faster, such as 0.05; for performances, not for music on a grid.",
)
@click.option(
    "--precision",
    default=Settings.precision,
    show_default=True,
    help="Of matrix products: float32, or bfloat16 with --backend torch, where the processor is faster at it.",
)
@click.option(
    "--seed", type=int, default=Settings.seed, show_default=True, help="The seed of the weights and the windows."
)
@click.option(
    "--devices", default="one", show_default=True, help="One, or all: each takes its share of every batch, on JAX."
)
@arguments.pedal
@arguments.strict
@arguments.backend
def run(folder: str | None, resume: str | None, backend: str | None, **options: Any) -> None:
    """Train a model, export it and let it play."""
    from kerasmusic.models.backend import choose_backend

    chosen = choose_backend(backend)

    from kerasmusic.training.devices import check_devices
    from kerasmusic.training.run_folder import check_new_run

    check_devices(options["devices"])
    if resume:
        settings, place = _settings_of(resume, options), Path(resume)
    else:
        settings = _new_settings(options)
        place = Path(folder or f"runs/{settings.preset}-{chosen}-{time.strftime('%Y%m%d-%H%M%S')}")
        check_new_run(place)
    settings.check_backend(chosen)
    codec = arguments.codec_of(place / "checkpoint.keras" if resume else settings.start)
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
    finish_run(place)


def _settings_of(resume: str, options: dict[str, Any]) -> Settings:
    """A run's own settings, longer where that was asked for; its data takes the place of the options'."""
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
    """The `.keras` file that --from names, and the preset that is trained: that file's, where no other is named."""
    from kerasmusic.bundled import bundled_model
    from kerasmusic.models.keras_file import read_keras_config
    from kerasmusic.models.presets import check_preset

    if preset:
        check_preset(preset)
    if not start:
        return None, preset or Settings.preset
    path = bundled_model(".keras") if start == "pretrained" else arguments.model_path(start)
    if path.suffix != ".keras":
        raise ArgumentError(f"{path}: is for playing; training starts from a .keras file")
    return str(path.resolve()), preset or read_keras_config(path)[1]["preset"]


def _open_training_data(data: Sequence[str], no_pedal: bool, strict: bool, codec: NoteCodec | None) -> Corpus:
    """What --data names, else MAESTRO; without a network, a demonstration that the bundled model plays."""
    from kerasmusic.data.maestro import download_maestro

    try:
        return arguments.open_data(data or [str(download_maestro())], no_pedal, codec=codec, strict=strict)
    except NoNetworkError as error:
        return _open_demonstration(error, no_pedal, codec)


def _warn_of_splits(corpus: Corpus) -> None:
    """Says what makes the validation loss mean less than it seems to, or nothing at all."""
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


def _open_demonstration(error: NoNetworkError, no_pedal: bool, codec: NoteCodec | None) -> Corpus:
    import dataclasses

    from kerasmusic.bundled import bundled_model
    from kerasmusic.data import demonstration
    from kerasmusic.edge.model_file import read_model_bytes, read_record

    try:
        model = bundled_model()
    except ModelFileError:
        raise error from None
    warn(
        f"{error}; for now this trains on a demonstration: {demonstration.PIECES} pieces of {demonstration.NOTES} "
        "notes that the bundled model plays"
    )
    corpus = arguments.open_data([str(demonstration.play_demonstration(model))], no_pedal, codec=codec)
    return dataclasses.replace(corpus, licence=read_record(read_model_bytes(model), str(model))["licence"])


def finish_run(run: Path) -> None:
    """What a finished run leaves beside its model: the exported file, a sample of its music, pictures and sound."""
    from kerasmusic import midi
    from kerasmusic.training.run_folder import read_history

    def draw_loss() -> None:
        from kerasmusic import plots

        plots.save(plots.loss_curves(read_history(run)), run / "loss.png")

    def export() -> None:
        from kerasmusic.export import export_tflite

        export_tflite(run / "model.keras", run / "model.tflite")

    _attempt(draw_loss, run / "loss.png")
    _attempt(export, run / "model.tflite")
    model = run / "model.tflite" if (run / "model.tflite").exists() else run / "model.keras"
    try:
        generator = arguments.open_generator(model, seed=0)
    except MissingPackageError:
        generator = arguments.open_generator(run / "model.keras", seed=0)
    notes = generator.take(seconds=SAMPLE_SECONDS)
    midi.write(notes, run / "sample.mid")

    def draw() -> None:
        from kerasmusic import plots

        plots.save(plots.piano_roll(notes), run / "sample.png")

    def sound() -> None:
        from kerasmusic.audio import write_wav

        write_wav(notes, run / "sample.wav")

    _attempt(draw, run / "sample.png")
    _attempt(sound, run / "sample.wav")
    say("left " + ", ".join(sorted(path.name for path in run.iterdir() if not path.name.startswith("."))))


def _attempt(action: Callable[[], None], path: Path) -> None:
    """Does what an optional package is needed for, or says in a line what is missing."""
    try:
        action()
    except MissingPackageError as error:
        warn(f"{path.name} not written: {error}")
