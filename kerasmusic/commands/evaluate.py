"""`kerasmusic evaluate`: the likelihood of real music, and how generated music compares with it."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Unpack

import click

from kerasmusic.commands import arguments
from kerasmusic.commands.command import LateHelp, answer, as_json, command
from kerasmusic.errors import ArgumentError


def _music_help() -> str:
    from kerasmusic.evaluation.musicality import NOTES, PIECES

    return (
        f"Also let the model play a piece of {NOTES:,} notes for every two performances, up to {PIECES} pieces, and "
        "show how far its music is from theirs; quickest by a .tflite file, or with fewer --pieces."
    )


@command(
    "evaluate",
    """
    kerasmusic evaluate runs/mine/model.tflite --data my-midi/ --split validation
    kerasmusic evaluate runs/mine/model.tflite --data my-midi/ --music --temperature pitch=0.95
    """,
)
@click.argument("model", required=False)
@click.option(
    "--data", multiple=True, metavar="PATH",
    help="A folder or a zip of MIDI files; may be given again for more of them (default: download MAESTRO).",
)  # fmt: skip
@click.option("--split", default="validation", show_default=True, help="train, validation or test.")
@click.option("--pieces", type=int, help="Evaluate only the first so many performances.")
@click.option("--music", is_flag=True, cls=LateHelp, late_help=_music_help)
@click.option(
    "--seed", type=int, help="The seed of the first piece that --music plays; the next seeds follow (default: 0)."
)
@arguments.sampling
@arguments.pedal
@arguments.backend
@as_json
def run(
    model: str | None, data: tuple[str, ...], split: str, pieces: int | None, music: bool, seed: int | None,
    no_pedal: bool, backend: str | None, as_json: bool, **options: Unpack[arguments.SamplingOptions],
) -> None:  # fmt: skip
    """Measure the likelihood that MODEL gives to real performances, in nats per note.

    MODEL is a .keras or .tflite file, a run's folder, or base (the default) or small, which are bundled.
    """
    if pieces is not None and pieces < 1:
        raise ArgumentError(f"{pieces}: --pieces must be 1 or more")
    for option in [*(["--seed"] if seed is not None else []), *arguments.option_names(options)]:
        if not music:
            raise ArgumentError(f"{option} is for the music that --music plays; add --music")
    sampling = arguments.asked_sampling(options)
    from kerasmusic.evaluation import musicality
    from kerasmusic.evaluation.likelihood import evaluate
    from kerasmusic.opening import open_generator, open_scorer

    # Errors are found before the long work begins.
    scorer = open_scorer(model, backend=backend)
    generator = open_generator(model, backend=backend, seed=seed or 0, sampling=sampling) if music else None
    if generator is not None:
        arguments.warn_without_styles(generator)
    corpus = arguments.open_data(data, no_pedal, codec=scorer.codec)
    real = musicality.real_pieces(corpus, split, pieces) if music else []
    result = evaluate(scorer, corpus, split, pieces)
    compared = None
    if generator is not None:
        count = min(musicality.PIECES, len(real) // 2)
        compared = musicality.compare(musicality.generated_pieces(generator, count), real)
    if as_json:
        answer({**asdict(result), **({"music": compared.to_json()} if compared else {})})
        return
    missing = [field for field, nats in result.by_field.items() if math.isnan(nats)]
    if missing:
        click.echo(f"no nats per note: the model gives single values for {', '.join(missing)}, and no probabilities")
    else:
        click.echo(
            f"{result.nats:.3f} nats per note (95 % confidence {result.interval[0]:.3f} to {result.interval[1]:.3f}), "
            f"{result.bits_per_second:.1f} bits per second"
        )
    click.echo(", ".join(f"{field} {nats:.3f}" for field, nats in result.by_field.items() if field not in missing))
    click.echo(f"{split}: {result.pieces:,} performances, {result.notes:,} notes")
    if compared and generator is not None:
        click.echo(f"\n{compared}\nplayed from the seeds {generator.seed} to {generator.seed + compared.pieces - 1}")
