"""`kerasmusic data`: corpora of MIDI files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kerasmusic.commands import arguments
from kerasmusic.commands.command import answer, as_json, command, length, say

if TYPE_CHECKING:
    from kerasmusic.data.corpus import Corpus


@click.group("data")
def run() -> None:
    """Build a corpus from MIDI files, or look into one."""


@command("build", "kerasmusic data build maestro-v2.0.0-midi.zip")
@click.argument("data", metavar="PATH")
@arguments.pedal
@arguments.strict
@as_json
def build(data: str, no_pedal: bool, strict: bool, as_json: bool) -> None:
    """Build the corpus of PATH, a folder or a zip of MIDI files, anew."""
    from kerasmusic.data.corpus import open_corpus

    _show(open_corpus(data, pedal=not no_pedal, rebuild=True, strict=strict), as_json)


@command("info", "kerasmusic data info maestro-v2.0.0-midi.zip")
@click.argument("data", metavar="PATH")
@arguments.pedal
@as_json
def info(data: str, no_pedal: bool, as_json: bool) -> None:
    """Show what is in the corpus of PATH, a folder or a zip of MIDI files, building it if need be."""
    from kerasmusic.data.corpus import open_corpus

    _show(open_corpus(data, pedal=not no_pedal), as_json)


run.add_command(build)
run.add_command(info)


def _show(corpus: Corpus, as_json: bool) -> None:
    if as_json:
        answer({"splits": corpus.summary(), "skipped": corpus.skipped, "absent": corpus.absent, "kept_in": corpus.path})
        return
    for split, counts in corpus.summary().items():
        click.echo(
            f"{split:<11} {counts['performances']:>6,} performances {counts['notes']:>10,} notes "
            f"{length(3600 * counts['hours']):>11}"
        )
    for reason in corpus.skipped.values():
        click.echo(f"skipped: {reason}")
    if corpus.skipped:
        click.echo(f"{len(corpus.skipped)} files could not be read")
    if corpus.absent:
        click.echo(f"{len(corpus.absent)} files that the csv lists are not there, such as {corpus.absent[0]}")
    say(f"kept in {corpus.path}")
