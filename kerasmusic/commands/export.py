"""`kerasmusic export`: a trained model as a file for other devices, or as a web page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kerasmusic.commands import arguments
from kerasmusic.commands.command import LateHelp, answer, as_json, command, default_output, force, listed, say, warn
from kerasmusic.errors import ArgumentError, check_name

if TYPE_CHECKING:
    from kerasmusic.export import Excerpts, ExportResult


def _target_help() -> str:
    from kerasmusic.export.targets import TARGETS

    return f"What to export to: {listed(list(TARGETS))}."


def _precision_help() -> str:
    from kerasmusic.export import PRECISIONS

    return f"The precision of the weights: {', '.join(PRECISIONS)}, or all of them with a table of what each costs."


@command(
    "export",
    """
    kerasmusic export runs/mine --to tflite --precision int8 -o model.tflite
    kerasmusic export runs/mine --to web -o page/ --serve
    kerasmusic export --web page/ --serve --host 0.0.0.0
    """,
)
@click.argument("model", required=False)
@click.option("--to", "target", metavar="TARGET", cls=LateHelp, late_help=_target_help)
@click.option("--tflite", metavar="RUN", help="The same as RUN --to tflite.")
@click.option("--web", metavar="DIR", help="The same as --to web -o DIR.")
@click.option("--serve", is_flag=True, help="Serve the web page on this machine.")
@click.option(
    "--host",
    metavar="ADDRESS",
    help="With --serve: where to listen; 0.0.0.0 lets the devices of your network in (default: this machine alone).",
)
@click.option("--precision", default="float32", show_default=True, cls=LateHelp, late_help=_precision_help)
@click.option(
    "-o", "--output", metavar="FILE", help="The file or folder to write (default for tflite: next to the model)."
)
@click.option(
    "--data",
    metavar="PATH",
    help="Real music to measure on, and to calibrate int8-full and exact on (default: what the run was trained on).",
)
@force
@arguments.pedal
@as_json
def run(
    model: str | None, target: str | None, tflite: str | None, web: str | None, serve: bool, host: str | None,
    precision: str, output: str | None, data: str | None, no_pedal: bool, as_json: bool,
) -> None:  # fmt: skip
    """Export MODEL for other devices: a .keras or .tflite file or a run's folder.

    The target tflite takes what was trained; web takes an exported file too, or the bundled model.
    """
    from kerasmusic.export.targets import TARGETS, export_model, find_target

    if [target, tflite, web].count(None) != 2:
        raise click.UsageError(f"say what to export to: --to {listed(list(TARGETS))}, or --tflite RUN, or --web DIR")
    if web and output:
        raise ArgumentError(f"{output}: --web {web} names the folder already")
    if tflite and model:
        raise ArgumentError(f"{model}: --tflite {tflite} names the model already")
    target = target or ("web" if web else "tflite")
    if serve and target != "web":
        raise ArgumentError("--serve: is for --to web")
    if host is not None and not serve:
        raise ArgumentError(f"{host}: --host is for --serve")
    if target == "tflite":
        if not (model or tflite):
            raise ArgumentError("name the run's folder or the .keras file to export")
        _export_tflite(str(model or tflite), precision, output, data, no_pedal, as_json)
        return
    if data or no_pedal:
        raise ArgumentError(f"{data or '--no-pedal'}: real music is for --to tflite, which measures on it")
    folder = web or output or str(default_output(Path(find_target(target).output)))
    size = export_model(model, target, folder, precision=precision)
    if as_json:
        answer({"target": target, "path": folder, "bytes": size})
    elif target == "web":
        say(f"{folder}: {size:,} bytes; any static host serves it")
    else:
        say(f"{folder}: {size:,} bytes")
    if serve:
        _serve(folder, host)


def _export_tflite(
    model: str, precision: str, output: str | None, data: str | None, no_pedal: bool, as_json: bool
) -> None:
    from kerasmusic.opening import find_keras_file

    source = find_keras_file(model)
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
    from kerasmusic.export.process import EXACT, EXACT_MODEL, exact_keras_file, precisions_of
    from kerasmusic.models.keras_file import read_keras_config
    from kerasmusic.opening import KERAS, RUN_MODEL, TFLITE
    from kerasmusic.training.run_folder import is_run

    check_name("precision", precision, (*PRECISIONS, "all"))
    precisions = precisions_of(source) if precision == "all" else (precision,)
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
    if EXACT in outputs and read_keras_config(source).model != EXACT_MODEL:
        default_output(exact_keras_file(outputs[EXACT]), own=is_runs_own)
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


def _serve(folder: str, host: str | None) -> None:
    from kerasmusic.export.web_page import LOOPBACK, page_address, page_server

    host = host or LOOPBACK
    with page_server(folder, host=host) as server:
        address = page_address(host, server.server_address[1])
        if host != LOOPBACK:
            click.echo(_qr_code(address), nl=False)
        click.echo(f"{address} (Ctrl-C ends it)")
        server.serve_forever()


def _qr_code(address: str) -> str:
    """The address as a QR code for a terminal; nothing where segno is not installed."""
    try:
        import segno
    except ImportError:
        return ""
    drawn = io.StringIO()
    segno.make(address, micro=False).terminal(drawn, compact=True)
    return drawn.getvalue()
