"""`kerasmusic verify`: plays the golden passage of a file and compares."""

from __future__ import annotations

from dataclasses import asdict

import click

from kerasmusic.commands.command import answer, as_json, command


@command(
    "verify",
    """
    kerasmusic verify
    kerasmusic verify small
    kerasmusic verify model.tflite --notes 1000
    """,
)
@click.argument("file", required=False)
@click.option("--notes", type=click.IntRange(min=1), help="Compare at most so many notes (default: all).")
@as_json
def run(file: str | None, notes: int | None, as_json: bool) -> int:
    """Prove an exported model on this device and runtime, by the notes inside it.

    FILE is a .tflite file, a run's folder, or base (the default) or small, which are bundled. An exact file plays the
    very same notes everywhere; files of other precisions score the same within a tolerance. The exit code is 0 where
    that holds, else 1.
    """
    from kerasmusic.edge.golden import EXACT_NOTES, verify
    from kerasmusic.edge.runtime import TFLiteRuntime
    from kerasmusic.opening import TFLITE, find_model

    path = find_model(file, prefer=TFLITE)
    verdict = verify(TFLiteRuntime(path), EXACT_NOTES if notes is None else notes)
    file = str(path)
    if as_json:
        answer({"file": file, "holds": verdict.holds, **asdict(verdict)})
    else:
        click.echo(f"{file}: {verdict}")
    return 0 if verdict.holds else 1
