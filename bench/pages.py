"""The tables of the pages on performance, made of records: `kerasmusic bench report RECORD.json... --page PAGE`.

A page has two lines, `BEGIN` and `END` with the name of its tables, and what is between them is written anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kerasmusic.bench.machine import machine_name
from kerasmusic.bench.report import (
    Row,
    Table,
    ingest_tables,
    markdown,
    megabytes,
    targets,
    train_tables,
    tutorial_tables,
)
from kerasmusic.errors import KerasMusicError
from kerasmusic.files import atomic_write

BEGIN = "<!-- {}: made of bench/records by 'kerasmusic bench report', do not edit -->"
END = "<!-- {} ends -->"
FRAMEWORKS = ("keras", "tensorflow", "jax", "torch")
BOARDS = ("Raspberry Pi 3", "Raspberry Pi 4", "Raspberry Pi 5")
NOT_MEASURED = "not measured yet, run this: `kerasmusic bench latency`"


def write_tables(path: str | os.PathLike[str], records: Sequence[dict[str, Any]]) -> None:
    """Replaces the tables of a page between their two marker lines.

    Raises:
        KerasMusicError: the page has no marker lines.
    """
    text = Path(path).read_text()
    for name in TABLES:
        before, begun, rest = text.partition(BEGIN.format(name))
        _, ended, after = rest.partition(END.format(name))
        if begun and ended:
            break
    else:
        lines = f"{BEGIN.format('performance')} and {END.format('performance')}"
        raise KerasMusicError(f"{path}: has no markers for the tables; write the lines {lines} into it")
    with atomic_write(path) as temporary:
        temporary.write_text(before + marked(name, records) + after)


def marked(name: str, records: Sequence[dict[str, Any]]) -> str:
    """The tables of a name in `TABLES`, between their marker lines."""
    return "\n\n".join([BEGIN.format(name), TABLES[name](records), END.format(name)])


def summary(records: Sequence[dict[str, Any]]) -> str:
    """A small table of the trained files in records of latency, with the machine."""
    header = ["model", "MB", "nats per note", "us per note, at the median", "notes per second"]
    parts = []
    for record in records:
        rows = [
            [
                model["name"], megabytes(model["bytes"]), f"{model['nats']['nats']:.2f}",
                f"{result['layers_us']['note']['p50']:.0f}", f"{result['notes_per_second']:,.0f}",
            ]
            for model, result in _on_one_thread(record)
            if model["nats"]
        ]  # fmt: skip
        if rows:
            parts += [markdown(header, rows), f"*{machine_name(record['machine'])}, one thread.*"]
    return "\n\n".join(parts or [NOT_MEASURED])


def performance(records: Sequence[dict[str, Any]]) -> str:
    """Every table of the records. What no record tells is said to be not measured yet."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_kind.setdefault(record["kind"], []).append(record)
    parts = [
        "A whole note of `Generator` as MIDI bytes, on one thread; `invoke` is the interpreter's part of it.",
        markdown(*_latency(by_kind.get("latency", []))),
        *_instructions(by_kind.get("instructions", [])),
    ]
    for kind, said, tables in (
        ("tutorial", "The tutorial's model, data and loop against kerasmusic, in one run.", tutorial_tables),
        ("train", "Notes per second in training, and the growth of the cost of a note.", train_tables),
        ("ingest", "Reading MIDI files as training data.", ingest_tables),
    ):
        parts += [said if kind in by_kind else f"{said[:-1]}: not measured yet, run this: `kerasmusic bench {kind}`."]
        for record in by_kind.get(kind, []):
            parts += [markdown(header, rows) for header, rows in tables(record)] + [_measured(record)]
    header, rows = targets(records)
    if rows:
        # Targets that are met are in the records, and `kerasmusic bench report` prints them.
        missed = [row for row in rows if row[-1] == "no"]
        outcome = ". The others:" if missed else "."
        parts.append(f"{len(rows) - len(missed)} of {len(rows)} targets are met{outcome}")
        parts += [markdown(header, missed)] if missed else []
    return "\n\n".join(parts)


def _latency(records: Sequence[dict[str, Any]]) -> Table:
    header = ["machine", "model", "MB", "nats per note", "`invoke`, us", "us per note: p50", "p99", "notes per second",
              "cold start, s", "peak MB", "missed, in MAESTRO's densest second"]  # fmt: skip
    rows: list[Row] = []
    for record in records:
        for model, result in _on_one_thread(record):
            layers, nats, densest = result["layers_us"], model["nats"], result["real_time"].get("densest")
            times = (layers["invoke"]["p50"], layers["note"]["p50"], layers["note"]["p99"])
            rows.append(
                [
                    machine_name(record["machine"]), model["name"], megabytes(model["bytes"]),
                    f"{nats['nats']:.2f}" if nats else "", *(f"{time:.0f}" for time in times),
                    f"{result['notes_per_second']:,.0f}", f"{result['cold_total_ms']['median'] / 1e3:.2f}",
                    megabytes(result["peak_memory_bytes"]),
                    f"{densest['missed']:,} of {densest['notes']:,}" if densest else "",
                ]
            )  # fmt: skip
    there = [record["machine"]["board"] or "" for record in records]
    if not records:
        rows.append(["a workstation", NOT_MEASURED, *[""] * (len(header) - 2)])
    for board in BOARDS:
        if not any(board in name for name in there):
            rows.append([board, NOT_MEASURED, *[""] * (len(header) - 2)])
    return header, rows


def _on_one_thread(record: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each model of a record of latency with its result on the first number of threads that was measured."""
    if record["kind"] == "latency":
        for result in record["results"]:
            if result["threads"] == record["settings"]["threads"][0]:
                yield record["models"][result["model"]], result


def _instructions(records: Sequence[dict[str, Any]]) -> list[str]:
    """Tables of instructions, with one column per core."""
    parts = []
    for record in records:
        cores = list(dict.fromkeys(result["processor"] for result in record["results"]))
        rows = [
            [
                model["name"],
                *(
                    f"{result['invoke'] / 1e6:.2f} ({result['note'] / 1e6:.2f})"
                    for result in record["results"]
                    if result["model"] == index
                ),
            ]
            for index, model in enumerate(record["models"])
        ]
        emulator = record["emulator"]
        parts += [
            f"Millions of {emulator['label']} ({emulator['qemu']}, {emulator['runtime']}): of a note's `invoke` and, "
            "in brackets, of the whole note with its Python. Runs differ by less than 0.01 %. A count is not a time.",
            markdown(["model", *cores], rows),
        ]
    return parts


def _measured(record: dict[str, Any]) -> str:
    packages = record["machine"]["packages"]
    versions = ", ".join(
        f"{name} {packages[name]}" for name in ("keras", "tensorflow", "jax", "torch") if name in packages
    )
    measured = f"`{record['command']}` on {record['settings']['data']}, {record['began'][:10]}"
    return f"*{machine_name(record['machine'])}; {versions}; {measured}.*"


TABLES = {"performance": performance, "summary": summary}
