"""Formats records as tables for the terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kerasmusic.bench.machine import machine_name

Row = Sequence[str]
Table = tuple[Row, Sequence[Row]]


def text(record: dict[str, Any]) -> str:
    """A record as text for a terminal."""
    parts = [f"{record['kind']}: {record['command']} ({record['began']}, kerasmusic {record['kerasmusic']})"]
    if "machine" in record:
        parts.append(_machine_lines(record))
    parts += [aligned(header, rows) for header, rows in TABLES[record["kind"]](record)]
    if record["targets"]:
        parts.append(aligned(*targets([record])))
    return "\n\n".join(parts)


def aligned(header: Row, rows: Sequence[Row]) -> str:
    """Formats a table for a terminal: the first column is left-aligned, the others right-aligned.

    >>> print(aligned(["what", "us"], [["invoke", "38"], ["a note", "42.5"]]))
    what      us
    invoke    38
    a note  42.5
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    )


def markdown(header: Row, rows: Sequence[Row]) -> str:
    """Formats a table in Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows))


def targets(found: Sequence[dict[str, Any]]) -> Table:
    """The targets of several records, with the measured values."""
    rows = [
        [
            each["what"],
            f"at most {each['at_most']:,g}" if "at_most" in each else f"at least {each['at_least']:,g}",
            f"{each['value']:,.4g}" if each["value"] < 1e4 else f"{each['value']:,.0f}",
            "yes" if each["met"] else "no",
        ]
        for record in found
        for each in record["targets"]
    ]
    return ["target", "is", "found", "met"], rows


def latency_tables(record: dict[str, Any]) -> list[Table]:
    """Tables of warm steps, cold starts, real-time playing and continuous playing."""
    names = {index: model["name"] for index, model in enumerate(record["models"])}
    warm, cold, paces, sustained = [], [], [], []
    for result in record["results"]:
        which = [names[result["model"]], str(result["threads"])]
        for layer, times in result["layers_us"].items():
            columns = ("p50", "p90", "p95", "p99", "max", "std")
            per_second = f"{result['notes_per_second']:,.0f}" if layer == "note" else ""
            warm.append([*which, layer, *(f"{times[name]:.1f}" for name in columns), per_second])
        starts = [*result["cold_ms"].values(), result["cold_total_ms"]["median"], result["cold_total_ms"]["max"]]
        cold.append([*which, *(f"{value:.1f}" for value in starts), megabytes(result["peak_memory_bytes"])])
        for name, played in result["real_time"].items():
            late = f"{played['missed']:,} of {played['notes']:,}"
            ready = (f"{played['ready_us'][percent] / 1e3:.2f}" for percent in ("p50", "p99", "max"))
            paces.append([*which, name, f"{1e3 * played['gap_seconds']:.1f}", late, *ready])
        for part in result.get("sustained", [])[::10] + result.get("sustained", [])[-1:]:
            times = (f"{part['note_us'][name]:.1f}" for name in ("p50", "p99", "max"))
            hot = ("" if part[name] is None else f"{part[name]:g}" for name in ("clock_mhz", "temperature_c"))
            sustained.append([*which, f"{part['seconds']:.0f}", *times, *hot, ", ".join(part["throttled"] or [])])
    tables: list[Table] = [
        (["model", "threads", "us per step", "p50", "p90", "p95", "p99", "max", "std", "notes/s"], warm),
        (
            ["model", "threads", "cold, ms: Python", "import", "load", "allocate", "first note", "all", "worst", "MB"],
            cold,
        ),
    ]
    if paces:
        header = ["model", "threads", "in real time", "gap ms", "missed", "ms to ready: p50", "p99", "max"]
        tables.append((header, paces))
    if sustained:
        header = ["model", "threads", "after s", "us per note: p50", "p99", "max", "MHz", "C", "throttled"]
        tables.append((header, sustained))
    return tables


def instructions_tables(record: dict[str, Any]) -> list[Table]:
    """Tables of thousands of instructions by core and, if profiled, by operator."""
    rows, profile = [], []
    for result in record["results"]:
        name = record["models"][result["model"]]["name"]
        rows.append([name, result["processor"], *(f"{result[what] / 1e3:,.1f}" for what in ("invoke", "note"))])
        profile += [
            [name, result["core"], kind, str(part["uses"]), f"{part['instructions'] / 1e3:,.1f}"]
            for kind, part in result.get("profile", {}).items()
        ]
    label = record["emulator"]["label"]
    tables: list[Table] = [(["model", f"thousands of {label}", "invoke", "a note"], rows)]
    if profile:
        tables.append((["model", "core", "operator", "uses", f"thousands of {label}"], profile))
    return tables


def tutorial_tables(record: dict[str, Any]) -> list[Table]:
    """A table of the tutorial against kerasmusic, by backend."""
    rows: list[Row] = []
    for result in record["results"]:
        playing, training, memory = result["playing"], result["training"], result["memory_bytes"]
        on = f", {result['backend']}"
        rows += [
            ["ms per note" + on, f"{playing['tutorial_ms']:.3g}", f"{playing['note_ms']:.3g}",
             f"{playing['times_faster']:,.0f}"],
            ["labels/s in training, LSTM(128)" + on, f"{training['tutorial_labels_per_second']:,.0f}",
             f"{training['lstm_labels_per_second']:,.0f}", f"{training['lstm_times_faster']:.1f}"],
            ["labels/s in training, small" + on, "", f"{training['small_labels_per_second']:,.0f}", ""],
            ["peak MB in playing" + on, megabytes(memory["tutorial_playing"]), megabytes(memory["playing"]),
             _ratio(memory["tutorial_playing"], memory["playing"])],
            ["peak MB in training" + on, megabytes(memory["tutorial_training"]), megabytes(memory["training"]),
             _ratio(memory["tutorial_training"], memory["training"])],
        ]  # fmt: skip
    if reading := record.get("reading"):
        rows.append(
            [f"seconds to read {reading['files']:,.0f} MIDI files", f"{reading['pretty_midi_seconds']:.1f}",
             f"{reading['corpus_seconds']:.2f}", f"{reading['times_faster']:.1f}"]
        )  # fmt: skip
    return [(["what", "the tutorial", "kerasmusic", "times"], rows)]


def train_tables(record: dict[str, Any]) -> list[Table]:
    """Tables of notes per second by preset, and of the growth of the cost of a note."""
    speed = [
        [
            result["preset"], result["on"], f"{result['parameters']:,}", f"{result['notes_per_second']:,.0f}",
            *(f"{result['seconds'][part]:.2f}" for part in ("data", "compile", "steps")),
        ]
        for result in record["results"]
    ]  # fmt: skip
    growth = [
        [
            each["by"], ", ".join(f"{size:g}" for size in each["sizes"]),
            ", ".join(f"{cost:.3g}" for cost in each["microseconds_per_note"]), f"{each['exponent']:.2f}",
        ]
        for each in record["growth"]
    ]  # fmt: skip
    return [
        (["preset", "on", "parameters", "notes/s", "seconds: data", "compile", "steps"], speed),
        (["cost against", "sizes", "us per note", "exponent"], growth),
    ]


def ingest_tables(record: dict[str, Any]) -> list[Table]:
    """A table of seconds to read MIDI files with both readers."""
    rows = [
        [
            f"{result['files']:,.0f}", f"{result['corpus_seconds']:.2f}", f"{result['pretty_midi_seconds']:.1f}",
            f"{result['times_faster']:.1f}", megabytes(result.get("corpus_memory_bytes")),
            megabytes(result.get("pretty_midi_memory_bytes")),
        ]
        for result in record["results"]
    ]  # fmt: skip
    return [(["MIDI files", "seconds", "by a pretty_midi loop", "times", "MB", "MB by the loop"], rows)]


def megabytes(count: float | None) -> str:
    """Bytes in megabytes, for a table."""
    return "" if count is None else f"{count / 1e6:,.1f}" if count < 1e7 else f"{count / 1e6:,.0f}"


def _ratio(before: float | None, after: float | None) -> str:
    return f"{before / after:.1f}" if before and after else ""


def _machine_lines(record: dict[str, Any]) -> str:
    machine = record["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    lines = [machine_name(machine), f"{machine['system']}, {machine['kernel']}, Python {machine['python']}, {packages}"]
    for when in ("before", "after"):
        sensors = {name: value for name, value in record.get(when, {}).items() if value is not None}
        if sensors:
            lines.append(f"{when}: " + ", ".join(f"{name} {value}" for name, value in sensors.items()))
    for model in record.get("models", []):
        nats = f", {model['nats']['nats']:.3f} nats per note" if model["nats"] else ""
        delegate = f"XNNPACK in {model['delegated_parts']} parts" if model["xnnpack"] else "no XNNPACK"
        lines.append(
            f"{model['name']}: {model['bytes']:,} bytes, sha256 {model['sha256'][:12]}, {model['parameters']:,} "
            f"parameters, {sum(model['operators'].values())} operators, {model['runtime']}, {delegate}{nats}"
        )
    return "\n".join(lines)


TABLES: dict[str, Callable[[dict[str, Any]], list[Table]]] = {
    "latency": latency_tables,
    "tutorial": tutorial_tables,
    "train": train_tables,
    "ingest": ingest_tables,
    "instructions": instructions_tables,
}
