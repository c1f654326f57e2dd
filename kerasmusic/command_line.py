"""The command line, `kerasmusic COMMAND`. A command imports what it needs when it runs, so that help comes at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import kerasmusic
from kerasmusic.bench.command_line import add_bench
from kerasmusic.errors import ArgumentError, KerasMusicError, MissingPackageError, ModelFileError, NoNetworkError

if TYPE_CHECKING:
    from kerasmusic.codec import NoteCodec
    from kerasmusic.corpus import Corpus
    from kerasmusic.edge import Generator
    from kerasmusic.export import Excerpts, Exported
    from kerasmusic.notes import Notes

SAMPLE_SECONDS = 60.0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see '{self.prog} --help'\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0, 1 where a proof fails, 2 for what the user can put right, 130 for Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return options.action(options) or 0
    except KerasMusicError as error:
        print(f"kerasmusic: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"kerasmusic: {place}{error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("kerasmusic: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="kerasmusic",
        description="A small neural network that plays the piano anywhere.",
        epilog="'kerasmusic COMMAND --help' shows what a command takes, with an example.",
    )
    parser.add_argument("--version", action="version", version=f"kerasmusic {kerasmusic.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)

    def command(
        group: Any, name: str, action: Callable[[Any], int | None], help: str, example: str
    ) -> argparse.ArgumentParser:
        added = group.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(action=action)
        return added

    data = commands.add_parser("data", help="build a corpus from MIDI files, or look into one")
    data_commands = data.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    for name, run, help in (
        ("build", _data_build, "build the corpus of a folder or zip of MIDI files anew"),
        ("info", _data_info, "show what is in the corpus of a folder or zip, building it if need be"),
    ):
        added = command(data_commands, name, run, help, f"kerasmusic data {name} maestro-v2.0.0-midi.zip")
        added.add_argument("data", metavar="PATH", help="a folder or a zip of MIDI files")
        _add_pedal(added)

    added = command(
        commands, "train", _train, "train a model, export it and let it play",
        "kerasmusic train --data my-midi/ --preset small --minutes 10 --run runs/mine\n"
        "  kerasmusic train --from pretrained --data my-midi/ --minutes 10 --run runs/mine\n"
        "  kerasmusic train --devices all --batch-size 32 --run runs/mine\n\n"
        "on several hosts, the same on each, with their number from 0:\n"
        "  KERAS_DISTRIBUTION_JOB_ADDRESSES=10.0.0.1:1234 KERAS_DISTRIBUTION_NUM_PROCESSES=2 \\\n"
        "  KERAS_DISTRIBUTION_PROCESS_ID=0 kerasmusic train --devices all --run runs/mine",
    )  # fmt: skip
    added.add_argument(
        "--data", metavar="PATH",
        help="a folder or a zip of MIDI files (default: download MAESTRO; without a network, a demonstration that the "
        "bundled model plays)",
    )  # fmt: skip
    added.add_argument("--preset", help="the architecture: tutorial, tiny, small or base (default: small)")
    added.add_argument(
        "--from", dest="start", metavar="MODEL",
        help="start from a trained model, a .keras file or a run's folder; 'pretrained' is the one that came with the "
        "package; with a wider --preset, as what it has learnt in that one",
    )  # fmt: skip
    added.add_argument("--minutes", type=float, help="how long to train (default: 10)")
    added.add_argument("--epochs", type=float, help="how long to train, in passes over the data instead")
    added.add_argument("--run", metavar="DIR", help="the run's folder (default: runs/PRESET-BACKEND-TIME)")
    added.add_argument(
        "--resume", metavar="RUN", help="carry on a run that was stopped, with its own data and settings"
    )
    added.add_argument("--batch-size", type=int, help="windows in a batch (default: the preset's)")
    added.add_argument("--learning-rate", type=float, help="the highest learning rate (default: the preset's)")
    added.add_argument("--seed", type=int, default=0, help="of the weights and the windows (default: 0)")
    added.add_argument(
        "--devices", default="one", help="one, or all: each takes its share of every batch, on JAX (default: one)"
    )
    _add_pedal(added)
    _add_backend(added)

    added = command(
        commands, "evaluate", _evaluate, "measure how likely a model finds real performances, in nats a note",
        "kerasmusic evaluate runs/mine/model.tflite --data my-midi/ --split validation\n"
        "  kerasmusic evaluate runs/mine/model.tflite --data my-midi/ --music --temperature pitch=0.95",
    )  # fmt: skip
    added.add_argument("model", metavar="MODEL", help="a .keras or .tflite file, or a run's folder")
    added.add_argument("--data", metavar="PATH", help="a folder or a zip of MIDI files (default: download MAESTRO)")
    added.add_argument("--split", default="validation", help="train, validation or test (default: validation)")
    added.add_argument("--pieces", type=int, help="only the first so many performances")
    added.add_argument(
        "--music", action="store_true",
        help="also let the model play a piece of 5,000 notes for every two performances, up to 64 pieces, and show how "
        "far its music is from theirs; quickest by a .tflite file, or with fewer --pieces",
    )  # fmt: skip
    added.add_argument("--seed", type=int, help="of the first piece that --music plays; the next follow (default: 0)")
    _add_sampling(added)
    _add_pedal(added)
    _add_backend(added)

    added = command(
        commands, "generate", _generate, "make music with a model",
        "kerasmusic generate -o music.mid\n"
        "  kerasmusic generate runs/mine/model.tflite --seconds 60 --seed 7 --key 'C major' -o music.mid --png",
    )  # fmt: skip
    added.add_argument(
        "model", metavar="MODEL", nargs="?",
        help="a .keras or .tflite file, or a run's folder (default: the model that came with the package)",
    )  # fmt: skip
    added.add_argument("--notes", type=int, help="how many notes (default: 300, where --seconds is not given)")
    added.add_argument("--seconds", type=float, help="how long, in seconds of music")
    added.add_argument("--seed", type=int, help="names the piece: one seed, the same notes (default: a new one)")
    _add_sampling(added)
    added.add_argument("--primer", metavar="FILE", help="a MIDI file to carry on from; the music begins with it")
    added.add_argument("--key", help="stay in a key, such as 'C major' or 'F# minor'")
    added.add_argument("--range", metavar="LOW-HIGH", help="stay within two pitches, such as C2-C6 or 36-84")
    added.add_argument("-o", "--output", metavar="FILE", default="music.mid", help="MIDI file (default: music.mid)")
    added.add_argument("--wav", action="store_true", help="also write the sound, beside the MIDI file")
    added.add_argument("--png", action="store_true", help="also draw the piano roll, beside the MIDI file")
    _add_backend(added)

    added = command(
        commands, "export", _export, "export a trained model for other devices, or as a web page that plays it",
        "kerasmusic export --tflite runs/mine --precision int8 -o model.tflite\n"
        "  kerasmusic export --web page/ runs/mine/model.tflite --serve",
    )  # fmt: skip
    form = added.add_mutually_exclusive_group(required=True)
    form.add_argument("--tflite", metavar="RUN", help="the run's folder or .keras file to export")
    form.add_argument("--web", metavar="DIR", help="the folder to write, of a page that any static host serves")
    added.add_argument(
        "model", metavar="MODEL", nargs="?",
        help="what --web plays: a .tflite file, or a run's folder (default: the model that came with the package)",
    )  # fmt: skip
    added.add_argument("--serve", action="store_true", help="serve the page of --web on this machine")
    added.add_argument(
        "--precision", default="float32",
        help="of the weights: float32, float16, int8, int8-full, or all of them with a table of what each costs "
        "(default: float32)",
    )  # fmt: skip
    added.add_argument("-o", "--output", metavar="FILE", help="the file to write (default: beside the model)")
    added.add_argument(
        "--data", metavar="PATH",
        help="real music to measure on, and to calibrate int8-full on (default: what the run was trained on)",
    )  # fmt: skip
    _add_pedal(added)

    added = command(
        commands, "verify", _verify, "prove an exported model on this device and runtime, by the notes inside it",
        "kerasmusic verify model.tflite",
    )  # fmt: skip
    added.add_argument("file", metavar="FILE", help="a .tflite file")

    added = command(
        commands, "inspect", _inspect, "show what a model file or a MIDI file is",
        "kerasmusic inspect runs/mine/model.tflite",
    )  # fmt: skip
    added.add_argument("file", metavar="FILE", help="a .tflite, .keras or MIDI file, or a run's folder")

    add_bench(commands, command)
    return parser


def _add_pedal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-pedal", action="store_true", help="end notes with their keys, not with the sustain pedal")


def _add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", help="jax, tensorflow or torch (default: KERAS_BACKEND, else what is installed)")


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--temperature", help="one number, or by field: pitch=1.1,step=0.9 (default: 1)")
    parser.add_argument(
        "--min-p", metavar="SHARE",
        help="leave out what is less likely than this share of the likeliest; also by field (default: pitch=0.02)",
    )  # fmt: skip


def _data_build(options: Any) -> None:
    from kerasmusic.corpus import open_corpus

    _print_corpus(open_corpus(options.data, pedal=not options.no_pedal, rebuild=True))


def _data_info(options: Any) -> None:
    from kerasmusic.corpus import open_corpus

    _print_corpus(open_corpus(options.data, pedal=not options.no_pedal))


def _print_corpus(corpus: Corpus) -> None:
    for split, counts in corpus.summary().items():
        print(
            f"{split:<11} {counts['performances']:>6,} performances {counts['notes']:>10,} notes "
            f"{counts['hours']:>7.1f} hours"
        )
    for name, reason in corpus.skipped.items():
        print(f"skipped: {reason if reason.startswith(name) else f'{name}: {reason}'}")
    if corpus.skipped:
        print(f"{len(corpus.skipped)} files could not be read")
    if corpus.absent:
        print(f"{len(corpus.absent)} files that the csv lists are not there, such as {corpus.absent[0]}")
    print(f"kept in {corpus.path}")


def _open_data(options: Any, **further: Any) -> Corpus:
    from kerasmusic.corpus import open_corpus
    from kerasmusic.maestro import download_maestro

    corpus = open_corpus(options.data or download_maestro(), pedal=not options.no_pedal, **further)
    if corpus.skipped:
        print(
            f"{len(corpus.skipped)} files could not be read; 'kerasmusic data info' lists them with the reasons",
            file=sys.stderr,
        )
    return corpus


def _open_training_data(options: Any, codec: NoteCodec | None) -> Corpus:
    """What --data names, else MAESTRO; without a network, a demonstration that the bundled model plays."""
    from kerasmusic.maestro import download_maestro

    if not options.data:
        try:
            options.data = download_maestro()
        except NoNetworkError as error:
            return _open_demonstration(options, error, codec)
    return _open_data(options, codec=codec)


def _open_demonstration(options: Any, error: NoNetworkError, codec: NoteCodec | None) -> Corpus:
    import dataclasses

    from kerasmusic import demonstration
    from kerasmusic.bundled import bundled_model
    from kerasmusic.edge.model_file import read_model_bytes, read_record

    try:
        model = bundled_model()
    except ModelFileError:
        raise error from None
    print(
        f"{error}; for now this trains on a demonstration: {demonstration.PIECES} pieces of {demonstration.NOTES} "
        "notes that the bundled model plays",
        file=sys.stderr,
    )
    options.data = demonstration.play_demonstration(model)
    licence = read_record(read_model_bytes(model), str(model))["licence"]
    return dataclasses.replace(_open_data(options, codec=codec), licence=licence)


def _train(options: Any) -> None:
    import time

    from kerasmusic.backend import choose_backend

    backend = choose_backend(options.backend)

    from kerasmusic.devices import check_devices

    check_devices(options.devices)
    if options.resume:
        from kerasmusic.runs import read_start
        from kerasmusic.training import Settings

        began, run = read_start(options.resume), Path(options.resume)
        longer = {name: getattr(options, name) for name in ("minutes", "epochs") if getattr(options, name) is not None}
        bounds = {"minutes": None, "epochs": None, **longer} if longer else {}
        settings = Settings(**{**began["settings"], **bounds})
        options.data, options.no_pedal = began["data"], not began["pedal"]
    else:
        from kerasmusic.training import Settings

        start, preset = _start_and_preset(options)
        settings = Settings(
            preset=preset,
            start=start,
            minutes=10.0 if options.minutes is None and options.epochs is None else options.minutes,
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            seed=options.seed,
        )
        run = Path(options.run or f"runs/{preset}-{backend}-{time.strftime('%Y%m%d-%H%M%S')}")
    corpus = _open_training_data(options, _codec_of(run / "checkpoint.keras" if options.resume else settings.start))

    from kerasmusic.training import train

    trained = train(corpus, run, settings, resume=bool(options.resume), devices=options.devices)
    if not trained.wrote:
        print(f"{trained.steps:,} steps, {trained.ended}; the first process saved them")
        return
    print(f"{trained.steps:,} steps in {trained.seconds / 60:.1f} minutes, {trained.ended}; saved in {run}")
    if trained.ended.startswith("stopped"):
        print(f"carry on with: kerasmusic train --resume {run}")
        return
    _finish_run(run)


def _start_and_preset(options: Any) -> tuple[str | None, str]:
    """The `.keras` file that --from names, and the preset that is trained: that file's, where no other is named."""
    from kerasmusic.bundled import bundled_model
    from kerasmusic.models.presets import check_preset
    from kerasmusic.runs import read_keras_config

    if options.preset:
        check_preset(options.preset)
    if not options.start:
        return None, options.preset or "small"
    path = bundled_model(".keras") if options.start == "pretrained" else _model_path(options.start)
    if path.suffix != ".keras":
        raise ArgumentError(f"{path}: is for playing; training starts from a .keras file")
    return str(path.resolve()), options.preset or read_keras_config(path)[1]["preset"]


def _codec_of(model: str | Path | None) -> NoteCodec | None:
    """The codec of a `.keras` file, so that the corpus speaks in the same fields; None where there is no such file."""
    from kerasmusic.codec import NoteCodec
    from kerasmusic.runs import read_keras_config

    if model is None or not Path(model).exists():
        return None
    return NoteCodec.from_json(read_keras_config(model)[1]["codec"])


def _finish_run(run: Path) -> None:
    """What a finished run leaves beside its model: the exported file, a sample of its music, pictures and sound."""
    from kerasmusic import midi
    from kerasmusic.runs import read_history

    def draw_loss() -> None:
        from kerasmusic import plots

        plots.save(plots.loss_curves(read_history(run)), run / "loss.png")

    _attempt(draw_loss, run / "loss.png")
    _attempt(lambda: _export_file(run / "model.keras", run / "model.tflite"), run / "model.tflite")
    model = run / "model.tflite" if (run / "model.tflite").exists() else run / "model.keras"
    try:
        generator = _open_generator(model, seed=0)
    except MissingPackageError:
        generator = _open_generator(run / "model.keras", seed=0)
    notes = generator.take(seconds=SAMPLE_SECONDS)
    midi.write(notes, run / "sample.mid")
    _attempt(lambda: _draw(notes, run / "sample.png"), run / "sample.png")
    _attempt(lambda: _sound(notes, run / "sample.wav"), run / "sample.wav")
    print("left " + ", ".join(sorted(path.name for path in run.iterdir() if not path.name.startswith("."))))


def _attempt(action: Callable[[], None], path: Path) -> None:
    """Does what an optional package is needed for, or says in a line what is missing."""
    try:
        action()
    except MissingPackageError as error:
        print(f"{path.name} not written: {error}", file=sys.stderr)


def _draw(notes: Notes, path: Path) -> None:
    from kerasmusic import plots

    plots.save(plots.piano_roll(notes), path)


def _sound(notes: Notes, path: Path) -> None:
    from kerasmusic.audio import write_wav

    write_wav(notes, path)


def _export_file(model: Path, output: Path, precision: str = "float32") -> None:
    from kerasmusic.export import export_tflite

    export_tflite(model, output, precision=precision)


def _model_path(text: str | None) -> Path:
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


def _open_generator(path: Path, **options: Any) -> Generator:
    from kerasmusic.edge import Generator

    if path.suffix == ".tflite":
        return Generator(path, **options)
    from kerasmusic.models.keras_step import KerasStep
    from kerasmusic.models.loading import load_model

    return Generator(KerasStep(load_model(path)), **options)


def _choose_backend_for(path: Path, options: Any) -> None:
    if path.suffix == ".keras":
        from kerasmusic.backend import choose_backend

        choose_backend(options.backend)


def _evaluate(options: Any) -> None:
    if options.pieces is not None and options.pieces < 1:
        raise ArgumentError(f"{options.pieces}: --pieces must be 1 or more")
    sampling = _sampling(options)
    if not options.music and (sampling or options.seed is not None):
        raise ArgumentError("--seed, --temperature and --min-p are for the music that --music plays; add --music")
    path = _model_path(options.model)
    _choose_backend_for(path, options)
    from kerasmusic import musicality
    from kerasmusic.evaluation import evaluate
    from kerasmusic.scoring import open_scorer

    # What can be wrong is found before the long work begins.
    scorer = open_scorer(path)
    generator = _open_generator(path, seed=options.seed or 0, **sampling) if options.music else None
    corpus = _open_data(options, codec=scorer.codec)
    real = musicality.real_pieces(corpus, options.split, options.pieces) if options.music else []
    result = evaluate(scorer, corpus, options.split, options.pieces)
    print(
        f"{result.nats:.3f} nats a note (95 % confidence {result.interval[0]:.3f} to {result.interval[1]:.3f}), "
        f"{result.bits_a_second:.1f} bits a second"
    )
    print(", ".join(f"{field} {nats:.3f}" for field, nats in result.by_field.items()))
    print(f"{options.split}: {result.pieces:,} performances, {result.notes:,} notes")
    if generator is not None:
        pieces = min(musicality.PIECES, len(real) // 2)
        print()
        print(musicality.compare(musicality.generated_pieces(generator, pieces), real))
        print(f"played from the seeds {generator.seed} to {generator.seed + pieces - 1}")


def _generate(options: Any) -> None:
    from kerasmusic import midi
    from kerasmusic.notes import Notes

    output = Path(options.output)
    if output.suffix.lower() not in midi.SUFFIXES:
        raise ArgumentError(f"{output}: the output is a MIDI file; name it .mid")
    if options.notes is not None and options.notes < 1:
        raise ArgumentError(f"{options.notes}: --notes must be 1 or more")
    if options.seconds is not None and not 0 < options.seconds < float("inf"):
        raise ArgumentError(f"{options.seconds}: --seconds must be more than 0")
    sampling = _sampling(options)
    path = _model_path(options.model)
    primer = midi.read(options.primer).from_first() if options.primer else Notes.empty()
    _choose_backend_for(path, options)
    generator = _open_generator(path, seed=options.seed, key=options.key, pitch_range=options.range, **sampling)
    generator.prime(primer)
    count = 300 if options.notes is None and options.seconds is None else options.notes
    notes = Notes.from_iterable([*primer, *generator.take(count, seconds=options.seconds)])
    written = [output]
    midi.write(notes, output)
    if options.wav:
        written.append(output.with_suffix(".wav"))
        _sound(notes, written[-1])
    if options.png:
        written.append(output.with_suffix(".png"))
        _draw(notes, written[-1])
    print(f"{', '.join(map(str, written))}: {len(notes):,} notes, {notes.seconds:.1f} s, seed {generator.seed}")


def _sampling(options: Any) -> dict[str, float | dict[str, float]]:
    """What was asked of temperature and min_p; the generator has its own defaults."""
    asked = {"temperature": options.temperature, "min_p": options.min_p}
    return {name: _by_field(name.replace("_", "-"), text) for name, text in asked.items() if text is not None}


def _by_field(name: str, text: str) -> float | dict[str, float]:
    """A number, or a mapping from "field=number,field=number"."""
    try:
        if "=" not in text:
            return float(text)
        return {field.strip(): float(number) for field, number in (part.split("=") for part in text.split(","))}
    except ValueError:
        raise ArgumentError(f"{text}: not a {name}; write a number, or numbers by field: pitch=1.1,step=0.9") from None


def _export(options: Any) -> None:
    if options.web:
        _export_web(options)
        return
    if options.model or options.serve:
        raise ArgumentError(f"{options.model or '--serve'}: goes with --web")
    from kerasmusic.export import PRECISIONS, export_precisions

    model = Path(options.tflite)
    model = model / "model.keras" if model.is_dir() else model
    if not model.exists():
        raise KerasMusicError(f"{model}: no such file")
    if options.precision not in (*PRECISIONS, "all"):
        raise ArgumentError(f"{options.precision}: no such precision; there are {', '.join(PRECISIONS)} and all")
    precisions = PRECISIONS if options.precision == "all" else (options.precision,)
    output = Path(options.output) if options.output else model.with_suffix(".tflite")
    if output.suffix != ".tflite":
        raise ArgumentError(f"{output}: the output is a TFLite file; name it .tflite")
    # A name that was asked for is kept; otherwise float32's file is not what another precision writes over.
    named = options.output and len(precisions) == 1
    outputs = {
        precision: output if named or precision == "float32" else output.with_stem(f"{output.stem}-{precision}")
        for precision in precisions
    }
    excerpts = _excerpts(options, model)
    if excerpts is None and precisions != ("float32",):
        print("what it costs is not measured: name real music with --data", file=sys.stderr)
    exported = export_precisions(model, outputs, excerpts=excerpts)
    if len(exported) == 1:
        print(f"{exported[0].path}: {exported[0].bytes:,} bytes")
    else:
        _print_exported(exported)
    for each in exported:
        if each.warning:
            print(f"warning: {each.warning}", file=sys.stderr)


def _export_web(options: Any) -> None:
    import tempfile

    from kerasmusic.export.web_page import page_server, write_page

    model = _web_model(options)
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as place:
        if model.suffix == ".keras":
            exported = Path(place) / "model.tflite"
            _export_file(model, exported, options.precision)
            model = exported
        size = write_page(model, options.web)
    print(f"{options.web}: {size:,} bytes; any static host serves it")
    if options.serve:
        with page_server(options.web) as server:
            print(f"http://{server.server_address[0]}:{server.server_address[1]}/ (Ctrl-C ends it)", flush=True)
            server.serve_forever()


def _web_model(options: Any) -> Path:
    """The model file that a page is to play: the one named, or the bundled one."""
    if options.model and options.precision == "float32" and (Path(options.model) / "model.tflite").exists():
        return Path(options.model) / "model.tflite"
    path = _model_path(options.model)
    if path.suffix == ".tflite" and options.precision != "float32":
        raise ArgumentError(f"{path}: is exported already; --precision {options.precision} is for a .keras file")
    return path


def _excerpts(options: Any, model: Path) -> Excerpts | None:
    """Of the music that is named, or else of what the run was trained on, where that is still there."""
    from kerasmusic.corpus import open_corpus
    from kerasmusic.export import Excerpts
    from kerasmusic.runs import read_start

    data, pedal = options.data, not options.no_pedal
    if data is None:
        if options.precision == "float32" or not (model.parent / "run.json").exists():
            return None
        start = read_start(model.parent)
        data, pedal = start["data"], start["pedal"]
        if not Path(data).exists():
            return None
    return Excerpts.of(open_corpus(data, codec=_codec_of(model), pedal=pedal))


def _print_exported(exported: Sequence[Exported]) -> None:
    print(
        f"{'precision':<10} {'bytes':>11} {'difference':>10} {'nats lost':>9} {'operators':>9} {'TFLite':>6} "
        f"{'us a step':>9}  file"
    )
    for each in exported:
        difference, lost = (
            "not known" if value is None else f"{value:.2g}" if index == 0 else f"{value:.4f}"
            for index, value in enumerate((each.difference, each.nats_lost))
        )
        count = sum(count for _, _, count in each.operators)
        print(
            f"{each.precision:<10} {each.bytes:>11,} {difference:>10} {lost:>9} {count:>9} {each.runtime:>6} "
            f"{each.microseconds:>9.1f}  {each.path}"
        )
    for each in exported:
        print(
            f"{each.precision}: "
            + ", ".join(f"{name} (version {version}) x {count}" for name, version, count in each.operators)
        )
    print(
        "difference: the largest of a log probability from Keras; nats lost: a note of real music; TFLite: the oldest "
        f"that reads it; us a step: here, on {exported[0].interpreter}"
    )


def _verify(options: Any) -> int:
    from kerasmusic.edge.golden import verify
    from kerasmusic.edge.step import TFLiteStep

    verdict = verify(TFLiteStep(options.file))
    print(f"{options.file}: {verdict}")
    return 0 if verdict.holds else 1


def _inspect(options: Any) -> None:
    from kerasmusic.inspection import describe

    path = Path(options.file)
    print("\n".join(describe(_model_path(options.file) if path.is_dir() else path)))


if __name__ == "__main__":
    # The interpreter's exit code is main's; a closed pipe, as with `| head`, is not worth a traceback.
    try:
        sys.exit(main())
    except BrokenPipeError:
        os._exit(141)
