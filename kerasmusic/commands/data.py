"""`kerasmusic data`: corpora of MIDI files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from kerasmusic.commands import arguments
from kerasmusic.commands.command import answer, as_json, command, length, say
from kerasmusic.errors import ArgumentError, CorpusError, printable
from kerasmusic.training.settings import Settings

if TYPE_CHECKING:
    from kerasmusic.data.corpus import Corpus


@click.group("data")
def run() -> None:
    """Build, show or check a corpus of MIDI files."""


def _sources(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments that name the folders and zips of a corpus, in their order."""
    option = click.option(
        "--data", "further", multiple=True, metavar="PATH", help="A further folder or zip; may be given again."
    )
    return click.argument("paths", nargs=-1, metavar="[PATH]...")(option(command))


def _named(paths: tuple[str, ...], further: tuple[str, ...]) -> tuple[str, ...]:
    if not paths + further:
        raise ArgumentError("no PATH is given; name a folder or a zip of MIDI files, or several")
    return paths + further


@command(
    "build",
    """
    kerasmusic data build maestro-v2.0.0-midi.zip
    kerasmusic data build --data maestro-v2.0.0-midi.zip --data my-midi/
    """,
)
@_sources
@arguments.pedal
@arguments.strict
@as_json
def build(paths: tuple[str, ...], further: tuple[str, ...], no_pedal: bool, strict: bool, as_json: bool) -> None:
    """Rebuild the corpus of PATH, a folder or a zip of MIDI files, or of several."""
    from kerasmusic.data.corpus import open_corpus

    _show(open_corpus(_named(paths, further), pedal=not no_pedal, rebuild=True, strict=strict), as_json)


@command("info", "kerasmusic data info maestro-v2.0.0-midi.zip")
@_sources
@arguments.pedal
@as_json
def info(paths: tuple[str, ...], further: tuple[str, ...], no_pedal: bool, as_json: bool) -> None:
    """Show the corpus of PATH, a folder or a zip of MIDI files, or of several; builds it if necessary."""
    from kerasmusic.data.corpus import open_corpus

    _show(open_corpus(_named(paths, further), pedal=not no_pedal), as_json)


@command("check", "kerasmusic data check my-midi/ --against maestro-v2.0.0-midi.zip")
@click.argument("data", metavar="PATH")
@click.option("--against", required=True, metavar="PATH", help="The folder or zip whose held-out splits are guarded.")
@arguments.pedal
@as_json
def check(data: str, against: str, no_pedal: bool, as_json: bool) -> int:
    """Find performances of PATH that are in the validation or the test split of another source, by their notes.

    A model must not be trained on these recordings or compositions. The exit code is 1 where there are any.
    """
    from kerasmusic.data.corpus import open_corpus
    from kerasmusic.data.overlap import find_overlaps, held_out

    corpus, other = (open_corpus(source, pedal=not no_pedal) for source in (data, against))
    checked, guarded = len(corpus.names), len(held_out(other))
    if not guarded:
        raise CorpusError(f"{against}: nothing of it is held out; {'; '.join(other.empty.values())}")
    overlaps = list(find_overlaps(corpus, other))
    if as_json:
        answer({"checked": checked, "held_out": guarded, "overlaps": [asdict(overlap) for overlap in overlaps]})
        return bool(overlaps)
    for overlap in overlaps:
        click.echo(
            f"{printable(overlap.name)} ({overlap.split}): the same {overlap.what} as {printable(overlap.other)} "
            f"({overlap.other_split}), {overlap.share:.0%} in common"
        )
    click.echo(f"{len(overlaps)} of {checked:,} performances are among the {guarded:,} held out in {against}")
    return bool(overlaps)


for each in (build, info, check):
    run.add_command(each)


def _show(corpus: Corpus, as_json: bool) -> None:
    if as_json:
        answer(
            {
                "splits": corpus.summary(),
                "skipped": corpus.skipped,
                "absent": corpus.absent,
                "empty": corpus.empty,
                "licence": corpus.licence,
                "composers": corpus.notes_by_composer("train"),
                "kept_in": corpus.path,
            }
        )
        return
    for split, counts in corpus.summary().items():
        click.echo(
            f"{split:<11} {counts['performances']:>6,} performances {counts['notes']:>10,} notes "
            f"{length(3600 * counts['hours']):>11}"
        )
    styles = corpus.styles(Settings.style_notes)
    if styles:
        click.echo(
            f"styles      {', '.join(styles)}: the composers with {Settings.style_notes:,} training notes or more"
        )
    for reason in corpus.skipped.values():
        click.echo(f"skipped: {reason}")
    if corpus.skipped:
        click.echo(f"{len(corpus.skipped)} files could not be read")
    for split in ("train", "validation"):
        if split in corpus.empty:
            click.echo(f"{split}: no performances; {corpus.empty[split]}")
    if corpus.absent:
        click.echo(f"{len(corpus.absent)} files that the csv lists are not there, such as {corpus.absent[0]}")
    say(f"kept in {corpus.path}")
