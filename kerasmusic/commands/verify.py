"""`kerasmusic verify`: plays the golden passage of a file and compares."""

from __future__ import annotations

from dataclasses import asdict

import click

from kerasmusic.commands.command import answer, as_json, command


@command("verify", "kerasmusic verify model.tflite")
@click.argument("file")
@as_json
def run(file: str, as_json: bool) -> int:
    """Prove an exported model on this device and runtime, by the notes inside it.

    FILE is a .tflite file. The exit code is 0 where it is what it says it is, else 1.
    """
    from kerasmusic.edge.golden import verify
    from kerasmusic.edge.runtime import TFLiteRuntime

    verdict = verify(TFLiteRuntime(file))
    if as_json:
        answer({"file": file, "holds": verdict.holds, **asdict(verdict)})
    else:
        click.echo(f"{file}: {verdict}")
    return 0 if verdict.holds else 1
