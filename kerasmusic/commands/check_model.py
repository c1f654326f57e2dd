"""`kerasmusic check-model`: checks a preset before it is trained."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kerasmusic.commands import arguments
from kerasmusic.commands.command import answer, as_json, command
from kerasmusic.errors import ArgumentError

if TYPE_CHECKING:
    from kerasmusic.models.contract import Check


@command(
    "check-model",
    """
    kerasmusic check-model mine --import mymodels
    kerasmusic check-model tiny

    with the instructions of a note on emulated Raspberry Pis, once nox -s bench-pi has unpacked them:
    kerasmusic check-model tiny --folder .nox/pi --site .nox/pi/ai-edge-litert
    """,
)
@click.argument("preset")
@click.option("-o", "--output", metavar="DIR", help="Keep the exported files in this folder.")
@click.option("--folder", metavar="DIR", help="Also count instructions: the folder that nox -s bench-pi makes.")
@click.option("--site", metavar="DIR", help="Packages for arm64, for --folder.")
@arguments.backend
@as_json
def run(
    preset: str, output: str | None, folder: str | None, site: str | None, backend: str | None, as_json: bool
) -> int:
    """Check the preset PRESET before it is trained, on a model with random weights.

    The step must equal the sequence model, sizes and state must agree, and the exported files must run and play as the
    Keras model does. The exit code is 1 where a check fails; those after it are left out.
    """
    from kerasmusic.models.backend import choose_backend

    if bool(folder) != bool(site):
        raise ArgumentError("--folder and --site: name both to count instructions, or neither")
    choose_backend(backend)
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as temporary:
        done = []
        for check in _checks(preset, Path(output or temporary), folder, site):
            done.append(check)
            if not as_json:
                state = "ok" if check.holds else click.style("FAILED", fg="red")
                click.echo(f"{check.name:13}  {state}  {check.detail}")
    holds = all(check.holds for check in done)
    if as_json:
        answer({"preset": preset, "holds": holds, "checks": [asdict(check) for check in done]})
    return 0 if holds else 1


def _checks(preset: str, files: Path, folder: str | None, site: str | None) -> Iterator[Check]:
    from kerasmusic.export.checking import check_model
    from kerasmusic.models.contract import Check

    holds = True
    for check in check_model(preset, files):
        holds = check.holds
        yield check
    if holds and folder and site:
        from kerasmusic.bench import instructions

        record = instructions.measure([str(files / "int8.tflite")], folder, site)
        for result in record["results"]:
            yield Check(result["core"], True, f"{result['note']:,.0f} instructions a note, {result['processor']}")
