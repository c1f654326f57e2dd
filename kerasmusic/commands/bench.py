"""`kerasmusic bench`: what kerasmusic costs, here or on a Raspberry Pi."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from kerasmusic.bench.music import VARIABLE, music, named_music
from kerasmusic.commands.command import LateHelp, command, default_output, force, say
from kerasmusic.errors import ArgumentError

UNITS = {"s": 1, "m": 60, "h": 3600, "": 1}

data = click.option(
    "--data",
    metavar="PATH",
    help=f"A folder or zip of MIDI files (default: what the environment variable {VARIABLE} names, else MAESTRO where "
    "it was downloaded before, else a demonstration that the bundled model plays).",
)
short = click.option("--short", is_flag=True, help="Measure briefly, to see that it runs.")


def output(kind: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option that names the record to write."""
    option = click.option(
        "-o",
        "--output",
        metavar="FILE",
        default=f"bench-{kind}.json",
        show_default=True,
        callback=_output,
        help="The record to write.",
    )
    return lambda function: option(force(function))


def _output(context: click.Context, parameter: click.Parameter, path: str) -> str:
    if context.get_parameter_source("output") is ParameterSource.DEFAULT:
        default_output(Path(path))
    return path


def _latency_help(setting: str, text: str) -> dict[str, Any]:
    """The arguments of an option whose help ends with the default of a setting of the latency benchmark."""

    def late_help() -> str:
        from kerasmusic.bench.latency import Settings

        return f"{text} (default: {_written(getattr(Settings(), setting))})."

    return {"cls": LateHelp, "late_help": late_help}


def _files_help() -> str:
    from kerasmusic.bench.ingest import FILES

    return f"How many files, 0 for all (default: {_written(FILES)})."


def _written(value: int | tuple[int, ...]) -> str:
    """A number, or a list of them as `numbers` reads it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else f"{value:,}"


@click.group("bench")
def run() -> None:
    """Measure what kerasmusic costs, here or on a Raspberry Pi."""


@command(
    "latency",
    """
    kerasmusic bench latency
    kerasmusic bench latency tiny.tflite small.tflite --sustained 10m --data maestro-v2.0.0-midi.zip
    """,
)
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option("--threads", **_latency_help("threads", "Numbers of threads to measure"))
@click.option("--rounds", type=click.IntRange(1), **_latency_help("rounds", "Starts of each file"))
@click.option("--steps", type=click.IntRange(1), **_latency_help("steps", "Steps timed in each start"))
@click.option("--sustained", metavar="TIME", help="Also play on for so long, such as 10m, to see it throttle.")
@click.option("--core", type=click.IntRange(0), help="The core to be bound to (default: the last).")
@click.option("--seed", type=click.IntRange(0), **_latency_help("seed", "The seed of the order of files, and of notes"))
@click.option(
    "--data",
    metavar="PATH",
    help="A folder or zip of MIDI files, to measure nats per note as well (default: what the environment variable "
    f"{VARIABLE} names).",
)
@click.option(
    "--pieces", type=click.IntRange(1), help="Measure nats on only the first so many validation performances."
)
@short
@output("latency")
def latency(
    models: tuple[str, ...], threads: str | None, sustained: str | None, data: str | None, short: bool, output: str,
    **numbers_asked: int | None,
) -> None:  # fmt: skip
    """Measure how fast a note is, by the edge install alone.

    MODEL is a .tflite file; by default the bundled model.
    """
    import dataclasses

    from kerasmusic.bench import latency

    asked: dict[str, Any] = {
        "threads": threads and numbers(threads), "sustained": sustained and duration(sustained), **numbers_asked,
    }  # fmt: skip
    settings = dataclasses.replace(
        latency.SHORT if short else latency.Settings(),
        **{name: value for name, value in asked.items() if value is not None},
    )
    real = data or named_music()
    _keep(latency.measure(_models(models), settings, str(real) if real else None), output)


@command(
    "report",
    """
    kerasmusic bench report here.json pi.json --picture latency.png
    kerasmusic bench report bench/records/*.json --page docs/benchmarks.md --page README.md
    """,
)
@click.argument("records", metavar="RECORD.json...", nargs=-1, required=True)
@click.option("--picture", metavar="FILE", help="Draw latency into a .png or .svg file.")
@click.option("--page", metavar="FILE", multiple=True, help="Rewrite the tables of a page; may be repeated.")
def report(records: tuple[str, ...], picture: str | None, page: tuple[str, ...]) -> None:
    """Print records as tables, draw them, or put them into pages."""
    from kerasmusic.bench import report
    from kerasmusic.bench.records import read_records

    read = read_records(list(records))
    if picture:
        from kerasmusic import plots
        from kerasmusic.bench import picture as pictures

        plots.check_suffix(Path(picture))
        plots.save(pictures.latency(read), picture)
    if page:
        from kerasmusic.bench.pages import write_tables

        for each in page:
            write_tables(each, read)
        return
    click.echo("\n\n\n".join(report.text(record) for record in read))


@command(
    "tutorial",
    """
    kerasmusic bench tutorial
    kerasmusic bench tutorial --data maestro-v2.0.0-midi.zip
    """,
)
@click.argument("model", required=False)
@data
@short
@output("tutorial")
def tutorial(model: str | None, data: str | None, short: bool, output: str) -> None:
    """Measure TensorFlow's tutorial and kerasmusic in one run.

    MODEL is a .tflite file; by default the bundled model.
    """
    from kerasmusic.bench import tutorial

    (path,) = _models((model,) if model else ())
    _keep(tutorial.measure(path, _music(data), short=short), output)


@command(
    "train",
    """
    kerasmusic bench train
    kerasmusic bench train --data maestro-v2.0.0-midi.zip --presets tiny,small
    """,
)
@click.option("--presets", help="The presets to train, such as tiny,small (default: all).")
@data
@short
@output("train")
def train(presets: str | None, data: str | None, short: bool, output: str) -> None:
    """Measure how fast models train, by preset, backend and size."""
    from kerasmusic.bench import training

    chosen = presets.split(",") if presets else training.PRESETS
    _keep(training.measure(_music(data), chosen, short=short), output)


@command(
    "experiments",
    """
    kerasmusic bench experiments --data maestro-v2.0.0-midi.zip --folder experiments
    kerasmusic bench experiments --data maestro-v2.0.0-midi.zip --folder experiments tiny 'dropout 0.1'
    """,
)
@click.argument("variants", metavar="[VARIANT]...", nargs=-1)
@data
@click.option(
    "--folder", type=click.Path(path_type=Path), required=True, help="The folder of the results; those in it are kept."
)
@click.option("--passes", type=float, help="Passes over a million notes (default: 5).")
def experiments(variants: tuple[str, ...], data: str | None, folder: Path, passes: float | None) -> None:
    """Train variants of tiny, by default all, for some minutes each, and compare their losses.

    VARIANT is a name such as 'weight decay 0.1'; a wrong one is answered with those that there are.
    """
    from kerasmusic.bench import experiments

    for result in experiments.measure(_music(data), folder, variants, passes or experiments.PASSES):
        click.echo(f"{result['variant']}: {result['nats']:.3f} nats per note")


@command(
    "ingest",
    """
    kerasmusic bench ingest
    kerasmusic bench ingest --data maestro-v2.0.0-midi.zip
    """,
)
@click.option("--files", cls=LateHelp, late_help=_files_help)
@data
@short
@output("ingest")
def ingest(files: str | None, data: str | None, short: bool, output: str) -> None:
    """Measure how fast MIDI files are read, against a loop of pretty_midi."""
    from kerasmusic.bench import ingest

    counts = numbers(files, least=0) if files else ingest.SHORT if short else ingest.FILES
    _keep(ingest.measure(_music(data), counts), output)


@command(
    "instructions",
    """
    nox -s bench-pi
    kerasmusic bench instructions --folder .nox/pi --site .nox/pi/ai-edge-litert --profile
    """,
)
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option(
    "--folder", metavar="DIR", required=True, help="The folder with qemu/ and arm64/ that nox -s bench-pi makes."
)
@click.option("--site", metavar="DIR", required=True, help="Packages for arm64, kerasmusic among them.")
@click.option("--profile", is_flag=True, help="Also count by operator; needs TensorFlow here.")
@click.option("--against", metavar="RECORD.json", help="Fail where small takes 10 % more than in this record.")
@output("instructions")
def instructions(
    models: tuple[str, ...], folder: str, site: str, profile: bool, against: str | None, output: str
) -> int:
    """Count the instructions of a note on emulated cores of Raspberry Pis.

    MODEL is a .tflite file; by default the bundled model.
    """
    from kerasmusic.bench import instructions
    from kerasmusic.bench.records import read_record

    former = read_record(against) if against else None
    record = instructions.measure(_models(models), folder, site, profile)
    _keep(record, output)
    grown = instructions.regressions(record, former) if former else []
    for sentence in grown:
        click.echo(f"grown: {sentence}")
    return 1 if grown else 0


@command(
    "pace",
    """
    kerasmusic bench pace
    kerasmusic bench pace --data maestro-v2.0.0-midi.zip
    """,
)
@data
def pace(data: str | None) -> None:
    """Measure how fast real pianists play, which is how fast a note must be there."""
    from kerasmusic.bench import pace

    for name, value in pace.measure(_music(data)).items():
        click.echo(f"{name} {value:,.6g}")


for each in (latency, report, tutorial, train, experiments, ingest, instructions, pace):
    run.add_command(each)


def _keep(record: dict[str, Any], path: str) -> None:
    from kerasmusic.bench import report
    from kerasmusic.bench.records import write_record

    write_record(record, path)
    click.echo(report.text(record))
    say(f"\nkept in {path}")


def _music(data: str | None) -> str:
    """The music that --data names, else what `music` finds, which is printed."""
    if data:
        return data
    found = str(music())
    say(f"on {found}")
    return found


def _models(named: tuple[str, ...]) -> list[str]:
    from kerasmusic.opening import TFLITE, find_model

    return [str(find_model(name, prefer=TFLITE)) for name in named or (None,)]


def numbers(text: str, least: int = 1) -> tuple[int, ...]:
    """The whole numbers of a list such as "1,2,4".

    >>> numbers("1,2,4")
    (1, 2, 4)
    """
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ArgumentError(f"{text}: not a list of whole numbers; write one such as 1,2,4") from None
    if min(found) < least:
        raise ArgumentError(f"{text}: the numbers must be {least} or more")
    return found


def duration(text: str) -> float:
    """The seconds of a time such as "90", "45s", "10m" or "1h".

    >>> duration("10m")
    600.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match or float(match[1]) == 0:
        raise ArgumentError(f"{text}: not a time; write one such as 45s, 10m or 1h")
    return float(match[1]) * UNITS[match[2]]
