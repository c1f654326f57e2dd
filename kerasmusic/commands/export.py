"""`kerasmusic export`: a trained model as a file for other devices, or as a web page."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kerasmusic.commands import arguments
from kerasmusic.commands.command import LateHelp, answer, as_json, command, default_output, force, say, warn
from kerasmusic.errors import ArgumentError, closest

if TYPE_CHECKING:
    from kerasmusic.export import Excerpts, ExportResult


def _precision_help() -> str:
    from kerasmusic.export import PRECISIONS

    return f"The precision of the weights: {', '.join(PRECISIONS)}, or all of them with a table of what each costs."


@command(
    "export",
    """
    kerasmusic export --tflite runs/mine --precision int8 -o model.tflite
    kerasmusic export --web page/ runs/mine/model.tflite --serve
    """,
)
@click.argument("model", required=False)
@click.option("--tflite", metavar="RUN", help="The run's folder or .keras file to export.")
@click.option("--web", metavar="DIR", help="The folder to write, of a page that any static host serves.")
@click.option("--serve", is_flag=True, help="Serve the page of --web on this machine.")
@click.option("--precision", default="float32", show_default=True, cls=LateHelp, late_help=_precision_help)
@click.option("-o", "--output", metavar="FILE", help="The file to write (default: next to the model).")
@click.option(
    "--data",
    metavar="PATH",
    help="Real music to measure on, and to calibrate int8-full on (default: what the run was trained on).",
)
@force
@arguments.pedal
@as_json
def run(
    model: str | None, tflite: str | None, web: str | None, serve: bool, precision: str, output: str | None,
    data: str | None, no_pedal: bool, as_json: bool,
) -> None:  # fmt: skip
    """Export a trained model for other devices, or as a web page that plays it.

    MODEL is what --web plays, a .tflite file or a run's folder; by default the bundled model.
    """
    if bool(tflite) == bool(web):
        raise click.UsageError("say what to export: --tflite RUN, or --web DIR")
    if web:
        _export_web(_web_model(model, precision), precision, web, serve)
        return
    if model or serve:
        raise ArgumentError(f"{model or '--serve'}: goes with --web")
    assert tflite is not None
    from kerasmusic.opening import find_keras_file

    source = find_keras_file(tflite)
    outputs = _outputs(source, precision, output)
    excerpts = _excerpts(source, precision, data, no_pedal)
    if excerpts is None and precision != "float32":
        warn("the loss of precision is not measured: name real music with --data")
    from kerasmusic.export import export_precisions

    exported = export_precisions(source, outputs, excerpts=excerpts)
    if as_json:
        answer([asdict(each) for each in exported])
    elif len(exported) == 1:
        say(f"{exported[0].path}: {exported[0].bytes:,} bytes")
    else:
        _show(exported)
    for each in exported:
        if each.warning:
            warn(f"warning: {each.warning}")


def _outputs(source: Path, precision: str, output: str | None) -> dict[str, Path]:
    """The output file of each precision."""
    from kerasmusic.export import PRECISIONS
    from kerasmusic.opening import KERAS, RUN_MODEL, TFLITE
    from kerasmusic.training.run_folder import is_run

    if precision not in (*PRECISIONS, "all"):
        raise ArgumentError(f"{precision}: no such precision; {closest(precision, (*PRECISIONS, 'all'))}")
    precisions = PRECISIONS if precision == "all" else (precision,)
    path = Path(output) if output else source.with_suffix(TFLITE.suffix)
    if path.suffix != TFLITE.suffix:
        raise ArgumentError(f"{path}: the output is a TFLite file; name it .tflite")
    # A name given with -o is kept; otherwise no other precision replaces the float32 file.
    named = output and len(precisions) == 1
    outputs = {
        each: path if named or each == "float32" else path.with_stem(f"{path.stem}-{each}") for each in precisions
    }
    is_runs_own = not output and source.name == RUN_MODEL + KERAS.suffix and is_run(source.parent)
    for each in outputs.values():
        if not output or each != path:
            default_output(each, own=is_runs_own)
    return outputs


def _excerpts(source: Path, precision: str, data: str | None, no_pedal: bool) -> Excerpts | None:
    """Excerpts of the music that --data names, else of what the run was trained on, if that is still there."""
    from kerasmusic.data.corpus import open_corpus
    from kerasmusic.export import Excerpts
    from kerasmusic.opening import codec_of
    from kerasmusic.training.run_folder import read_start

    pedal = not no_pedal
    if data is None:
        if precision == "float32" or not (source.parent / "run.json").exists():
            return None
        start = read_start(source.parent)
        data, pedal = start["data"], start["pedal"]
        if not all(Path(source).exists() for source in data):
            return None
    return Excerpts.of(open_corpus(data, codec=codec_of(source), pedal=pedal))


def _show(exported: Sequence[ExportResult]) -> None:
    click.echo(
        f"{'precision':<10} {'bytes':>11} {'difference':>10} {'nats lost':>9} {'operators':>9} {'TFLite':>6} "
        f"{'us per step':>9}  file"
    )
    for each in exported:
        difference, lost = (
            "not known" if value is None else f"{value:.2g}" if index == 0 else f"{value:.4f}"
            for index, value in enumerate((each.difference, each.nats_lost))
        )
        count = sum(count for _, _, count in each.operators)
        click.echo(
            f"{each.precision:<10} {each.bytes:>11,} {difference:>10} {lost:>9} {count:>9} {each.runtime:>6} "
            f"{each.microseconds:>9.1f}  {each.path}"
        )
    for each in exported:
        operators = ", ".join(f"{name} (version {version}) x {count}" for name, version, count in each.operators)
        click.echo(f"{each.precision}: {operators}")
    click.echo(
        "difference: the largest of a log probability from Keras; nats lost: a note of real music; TFLite: the oldest "
        f"that reads it; us per step: here, on {exported[0].interpreter}"
    )


def _web_model(model: str | None, precision: str) -> Path:
    """The model file that the page plays: the one that is named, or the bundled one."""
    from kerasmusic.opening import KERAS, TFLITE, find_model, kind_of

    path = find_model(model, prefer=TFLITE if precision == "float32" else KERAS)
    if kind_of(path) is TFLITE and precision != "float32":
        raise ArgumentError(f"{path}: is exported already; --precision {precision} is for a .keras file")
    return path


def _export_web(model: Path, precision: str, folder: str, serve: bool) -> None:
    from kerasmusic.export.web_page import page_server, write_page
    from kerasmusic.opening import KERAS, kind_of

    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as place:
        if kind_of(model) is KERAS:
            from kerasmusic.export import export_tflite

            model = export_tflite(model, Path(place) / "model.tflite", precision=precision).path
        size = write_page(model, folder)
    say(f"{folder}: {size:,} bytes; any static host serves it")
    if serve:
        with page_server(folder) as server:
            host, port = map(str, server.server_address[:2])
            click.echo(f"http://{host}:{port}/ (Ctrl-C ends it)")
            server.serve_forever()
