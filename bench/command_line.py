"""The commands `kerasmusic bench NAME`: what each takes, and how it prints and keeps its record."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kerasmusic.errors import ArgumentError

Command = Callable[[Any, str, Callable[[Any], int | None], str, str], argparse.ArgumentParser]
UNITS = {"s": 1, "m": 60, "h": 3600, "": 1}


def add_bench(commands: Any, command: Command) -> None:
    """Adds the group `bench`; `command(group, name, action, help, example)` adds one of its commands."""
    bench = commands.add_parser("bench", help="measure what kerasmusic costs, here or on a Raspberry Pi")
    group = bench.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=type(bench))

    added = command(
        group, "latency", _latency, "measure how fast a note is, by the edge install alone",
        "kerasmusic bench latency\n"
        "  kerasmusic bench latency tiny.tflite small.tflite --sustained 10m --data maestro-v2.0.0-midi.zip",
    )  # fmt: skip
    added.add_argument("models", metavar="MODEL", nargs="*", help=".tflite files (default: the bundled model)")
    added.add_argument("--threads", help="numbers of threads to measure (default: 1,2,4)")
    added.add_argument("--rounds", type=int, help="starts of each file (default: 5)")
    added.add_argument("--steps", type=int, help="steps timed in each start (default: 1,000)")
    added.add_argument("--sustained", metavar="TIME", help="also play on for so long, such as 10m, to see it throttle")
    added.add_argument("--core", type=int, help="the core to be bound to (default: the last)")
    added.add_argument("--seed", type=int, help="of the order of files, and of the notes (default: 0)")
    added.add_argument("--data", metavar="PATH", help="a folder or zip of MIDI files, to measure nats a note as well")
    added.add_argument("--pieces", type=int, help="nats of the first so many validation performances alone")
    _add_output(added, "latency")

    added = command(
        group, "report", _report, "print records as tables, draw them, or put them into a README",
        "kerasmusic bench report here.json pi.json --picture latency.png\n"
        "  kerasmusic bench report bench/records/*.json --readme README.md",
    )  # fmt: skip
    added.add_argument("records", metavar="RECORD.json", nargs="+", help="what the other commands wrote")
    added.add_argument("--picture", metavar="FILE", help="draw latency into a .png or .svg file")
    added.add_argument("--readme", metavar="FILE", help="write the section on performance of a README anew")

    added = command(
        group, "tutorial", _tutorial, "measure TensorFlow's tutorial beside kerasmusic, in one run",
        "kerasmusic bench tutorial --data maestro-v2.0.0-midi.zip",
    )  # fmt: skip
    added.add_argument("model", metavar="MODEL", nargs="?", help="a .tflite file (default: the bundled model)")
    _add_data(added)
    _add_output(added, "tutorial")

    added = command(
        group, "train", _train, "measure how fast models train, by preset, backend and size",
        "kerasmusic bench train --data maestro-v2.0.0-midi.zip --presets tiny,small",
    )  # fmt: skip
    added.add_argument("--presets", help="which (default: all)")
    _add_data(added)
    _add_output(added, "train")

    added = command(
        group, "ingest", _ingest, "measure how fast MIDI files are read, beside a loop of pretty_midi",
        "kerasmusic bench ingest --data maestro-v2.0.0-midi.zip",
    )  # fmt: skip
    added.add_argument("--files", help="how many files, 0 for all (default: 100,300,0)")
    _add_data(added)
    _add_output(added, "ingest")

    added = command(
        group, "instructions", _instructions, "count the instructions of a note on emulated cores of Raspberry Pis",
        "nox -s bench-pi\n"
        "  kerasmusic bench instructions --pi ../shared/pi --folder FOLDER --site SITE --profile",
    )  # fmt: skip
    added.add_argument("models", metavar="MODEL", nargs="*", help=".tflite files (default: the bundled model)")
    added.add_argument("--pi", metavar="DIR", required=True, help="the folder of run_as_pi.sh and icount.c")
    added.add_argument("--folder", metavar="DIR", required=True, help="what holds qemu/ and root/")
    added.add_argument("--site", metavar="DIR", required=True, help="packages for arm64, kerasmusic among them")
    added.add_argument("--profile", action="store_true", help="also by operator; needs TensorFlow here")
    added.add_argument("--against", metavar="RECORD.json", help="fail where small takes 10 %% more than there")
    _add_output(added, "instructions", short=False)

    added = command(
        group, "pace", _pace, "measure how fast real pianists play, which is how fast a note must be there",
        "kerasmusic bench pace --data maestro-v2.0.0-midi.zip",
    )  # fmt: skip
    _add_data(added)


def _add_output(parser: argparse.ArgumentParser, kind: str, short: bool = True) -> None:
    parser.add_argument(
        "-o", "--output", metavar="FILE", default=f"bench-{kind}.json",
        help=f"where to keep the record (default: bench-{kind}.json)",
    )  # fmt: skip
    if short:
        parser.add_argument("--short", action="store_true", help="a quick form, to see that it runs")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="PATH", required=True, help="a folder or zip of MIDI files")


def _latency(options: Any) -> None:
    import dataclasses

    from kerasmusic.bench import latency

    asked = {
        "threads": options.threads and numbers(options.threads),
        "sustained": options.sustained and duration(options.sustained),
        **{name: getattr(options, name) for name in ("rounds", "steps", "core", "seed", "pieces")},
    }
    for name, least in (("rounds", 1), ("steps", 1), ("pieces", 1), ("core", 0), ("seed", 0)):
        if asked[name] is not None and asked[name] < least:
            raise ArgumentError(f"{asked[name]}: --{name} must be {least} or more")
    settings = dataclasses.replace(
        latency.SHORT if options.short else latency.Settings(),
        **{name: value for name, value in asked.items() if value is not None},
    )
    _keep(latency.measure(_models(options.models), settings, options.data), options)


def _report(options: Any) -> None:
    from kerasmusic.bench import report
    from kerasmusic.bench.records import read_records

    records = read_records(options.records)
    if options.picture:
        from kerasmusic.bench import picture

        from kerasmusic import plots

        if Path(options.picture).suffix not in (".png", ".svg"):
            raise ArgumentError(f"{options.picture}: a picture is a .png or .svg file")
        plots.save(picture.latency(records), options.picture)
    if options.readme:
        from kerasmusic.bench.readme import write_section

        write_section(options.readme, records)
    if not options.readme:
        print("\n\n\n".join(report.text(record) for record in records))


def _tutorial(options: Any) -> None:
    from kerasmusic.bench import tutorial

    (model,) = _models([options.model] if options.model else [])
    _keep(tutorial.measure(model, options.data, short=options.short), options)


def _train(options: Any) -> None:
    from kerasmusic.bench import training

    presets = options.presets.split(",") if options.presets else training.PRESETS
    _keep(training.measure(options.data, presets, short=options.short), options)


def _ingest(options: Any) -> None:
    from kerasmusic.bench import ingest

    counts = numbers(options.files, least=0) if options.files else ingest.SHORT if options.short else ingest.FILES
    _keep(ingest.measure(options.data, counts), options)


def _instructions(options: Any) -> int:
    from kerasmusic.bench import instructions
    from kerasmusic.bench.records import read_record

    against = read_record(options.against) if options.against else None
    record = instructions.measure(_models(options.models), options.pi, options.folder, options.site, options.profile)
    _keep(record, options)
    grown = instructions.growths(record, against) if against else []
    for sentence in grown:
        print(f"grown: {sentence}")
    return 1 if grown else 0


def _pace(options: Any) -> None:
    from kerasmusic.bench import pace

    for name, value in pace.measure(options.data).items():
        print(f"{name} {value:,.6g}")


def _keep(record: dict[str, Any], options: Any) -> None:
    from kerasmusic.bench import report
    from kerasmusic.bench.records import write_record

    write_record(record, options.output)
    print(report.text(record))
    print(f"\nkept in {options.output}")


def _models(named: list[str]) -> list[str]:
    from kerasmusic.bundled import bundled_model

    return named or [str(bundled_model())]


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
