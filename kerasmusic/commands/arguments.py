"""Arguments that several commands take: the model's backend, music, and sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import click

from kerasmusic.commands.command import LateHelp, listed, warn
from kerasmusic.errors import ArgumentError, KerasMusicError
from kerasmusic.models.backend import BACKENDS

if TYPE_CHECKING:
    from pathlib import Path

    from kerasmusic.data.corpus import Corpus
    from kerasmusic.edge import Generator
    from kerasmusic.edge.sampling import Sampling

# Leaves a model its own speed, polyphony or loudness.
FREE = "free"
# Of the options for them.
DEFAULT = "default: the primer's, or 'any': that of a performance, by the seed"

pedal = click.option("--no-pedal", is_flag=True, help="End notes with their keys, not with the sustain pedal.")
instrument = click.option(
    "--instrument",
    type=int,
    metavar="N",
    help="Use only this instrument of a MIDI file; 'inspect' lists them from 0 (default: all but drums).",
)
strict = click.option(
    "--strict", is_flag=True, help="Fail where a file cannot be read; by default it is named and left out."
)
backend = click.option(
    "--backend", help=f"{listed(BACKENDS)} (default: KERAS_BACKEND, else the first of these that is installed)."
)


def _loudness_help() -> str:
    from kerasmusic.edge.balance import DYNAMICS

    return f"{listed(list(DYNAMICS))}, a mean velocity, or 'free' ({DEFAULT})."


def _min_p_help() -> str:
    from kerasmusic.edge.sampling import MIN_P

    default = ",".join(f"{field}={share:g}" for field, share in MIN_P.items())
    return f"Never draw a value less likely than this share of the likeliest; also by field (default: {default})."


def _chord_seconds_help() -> str:
    from kerasmusic.edge.chords import CHORD_SECONDS

    return f"With --chords: how long each chord lasts (default: {CHORD_SECONDS:g})."


def sampling(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of how values are drawn; `asked_sampling` takes them."""
    for option in (
        click.option(
            "--range", "pitch_range", metavar="LOW-HIGH", help="Stay within two pitches, such as C2-C6 or 36-84."
        ),
        click.option("--key", help="Stay in a key, such as 'C major' or 'F# minor'."),
        click.option("--chord-seconds", type=float, metavar="SECONDS", cls=LateHelp, late_help=_chord_seconds_help),
        click.option("--chords", metavar="CHORDS", help="Follow a progression, over and over, such as 'Am F C G'."),
        click.option(
            "--style",
            metavar="NAME",
            help="Play like a composer the model knows, such as Chopin, or like several: 'Bach:0.6,Debussy:0.4'.",
        ),
        click.option(
            "--polyphony", metavar="NOTES", help=f"Notes sounding at once on average, roughly, or 'free' ({DEFAULT})."
        ),
        click.option("--loudness", cls=LateHelp, late_help=_loudness_help),
        click.option(
            "--speed",
            metavar="NOTES",
            help=f"Notes per second, or 'free' for the model's own, which drifts ({DEFAULT}).",
        ),
        click.option("--min-p", metavar="SHARE", cls=LateHelp, late_help=_min_p_help),
        click.option("--temperature", help="One number, or by field: pitch=1.1,step=0.9 (default: 1)."),
    ):
        command = option(command)
    return command


class SamplingOptions(TypedDict):
    """The values of the options that `sampling` adds; None for those that were left out."""

    temperature: str | None
    min_p: str | None
    speed: str | None
    polyphony: str | None
    loudness: str | None
    style: str | None
    chords: str | None
    chord_seconds: float | None
    key: str | None
    pitch_range: str | None


def asked_sampling(options: SamplingOptions) -> Sampling:
    """The sampling that the options ask for; what they leave out has its default."""
    from kerasmusic.edge.sampling import Sampling, SamplingChanges, parse_by_field

    asked = SamplingChanges(key=options["key"], pitch_range=options["pitch_range"], style=options["style"])
    asked["chords"] = options["chords"]
    if options["temperature"] is not None:
        asked["temperature"] = parse_by_field("temperature", options["temperature"])
    if options["min_p"] is not None:
        asked["min_p"] = parse_by_field("min-p", options["min_p"])
    if options["speed"] is not None:
        asked["speed"] = parse_target("speed", options["speed"])
    if options["polyphony"] is not None:
        asked["polyphony"] = parse_target("polyphony", options["polyphony"])
    if options["loudness"] is not None:
        asked["loudness"] = None if options["loudness"] == FREE else options["loudness"]
    if options["chord_seconds"] is not None:
        if options["chords"] is None:
            raise ArgumentError(f"{options['chord_seconds']:g}: --chord-seconds is for --chords; name some")
        asked["chord_seconds"] = options["chord_seconds"]
    return Sampling(**asked)


def parse_target(name: str, text: str) -> float | Literal["any"] | None:
    """A number of notes, "any", or None for "free".

    >>> parse_target("speed", "6"), parse_target("speed", "any"), parse_target("speed", "free")
    (6.0, 'any', None)
    """
    from kerasmusic.edge.balance import ANY

    if text in (ANY, FREE):
        return ANY if text == ANY else None
    try:
        return float(text)
    except ValueError:
        raise ArgumentError(f"{text}: not a {name}; write a number of notes, such as 6, {ANY} or {FREE}") from None


def asked_targets(options: SamplingOptions) -> frozenset[str]:
    """Which of the speed, the polyphony and the loudness the options ask for."""
    return frozenset(name for name in ("speed", "polyphony", "loudness") if options[name] is not None)


def option_names(options: SamplingOptions) -> dict[str, str | float]:
    """The options that were given, by their names on the command line."""
    names = {"pitch_range": "range"}
    given = {names.get(name, name.replace("_", "-")): value for name, value in options.items()}
    return {f"--{name}": value for name, value in given.items() if isinstance(value, str | float)}


def warn_without_styles(generator: Generator) -> None:
    """Warns if a style is asked of a model that knows none."""
    if generator.sampling.style is not None and not generator.styles.vectors:
        warn(f"{generator.sampling.style}: this model knows no styles; --style changes nothing")


def check_exact(model: Path, *, needed: bool = False) -> None:
    """Warns, or where it is `needed` fails, if this machine's runtime does not play the notes of an exact file.

    Raises:
        KerasMusicError: it does not.
    """
    if model.suffix != ".tflite":
        return
    from kerasmusic.edge.first_use import parting_note, runtime_name

    parted = parting_note(model)
    if parted is None:
        return
    message = (
        f"{model}: {runtime_name()} on this processor parts from this exact file at note {parted:,} of its passage, so "
        "a seed names other notes here than elsewhere; please report it, with the output of 'kerasmusic verify'"
    )
    if needed:
        raise KerasMusicError(message)
    warn(message)


def open_data(data: Sequence[str], no_pedal: bool, **further: Any) -> Corpus:
    """The corpus of the sources that `--data` names, or of MAESTRO where it names none."""
    from kerasmusic.data.corpus import open_corpus
    from kerasmusic.data.maestro import download_maestro

    corpus = open_corpus(data or [download_maestro()], pedal=not no_pedal, **further)
    if corpus.skipped:
        warn(f"{len(corpus.skipped)} files could not be read; 'kerasmusic data info' lists them with the reasons")
    return corpus
