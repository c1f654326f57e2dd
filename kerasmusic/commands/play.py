"""`kerasmusic play`: plays live, without end or together with a person."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Unpack

import click

from kerasmusic.commands import arguments
from kerasmusic.commands.command import LateHelp, answer, as_json, command, say
from kerasmusic.errors import ArgumentError


def milliseconds(text: str) -> float:
    """The seconds of a time such as "20ms" or "20".

    >>> milliseconds("20ms")
    0.02
    """
    try:
        return float(text.removesuffix("ms")) / 1000
    except ValueError:
        raise ArgumentError(f"{text}: not a time in milliseconds, such as 20ms") from None


def _pause_help() -> str:
    from kerasmusic.live.performance import PlayOptions

    return f"With --midi-in: seconds of silence that end a phrase (default: {PlayOptions.pause:g})."


@command(
    "play",
    """
    kerasmusic play
    kerasmusic play --midi-out 'Digital Piano' --temperature 0.95 --key 'D minor'
    kerasmusic play --midi-in 'Digital Piano' --midi-out 'Digital Piano'
    kerasmusic play --midi-in nanoKEY --duet time
    kerasmusic play --wait --midi-out 'Digital Piano'
    kerasmusic play --midi-in nanoKEY --follow chords
    kerasmusic play --ports
    """,
)
@click.argument("model", required=False)
@click.option(
    "--midi-out",
    metavar="PORT",
    help="Play on a MIDI port: its name, or a part of it; 'virtual' for one that other programs connect to.",
)
@click.option("--channel", type=int, help="With --midi-out: the MIDI channel, from 1 to 16 (default: 1).")
@click.option(
    "--restrike", metavar="TIME", help="Let a key up for so long before it is struck again, such as 20ms (default: 0)."
)
@click.option("--midi-in", metavar="PORT", help="Listen to a MIDI keyboard, and answer each phrase in its style.")
@click.option("--wait", is_flag=True, help="Wait for MIDI ports, or a sound device, that are not there yet.")
@click.option(
    "--duet",
    metavar="pitch|time",
    help="With --midi-in: your keys give each note's pitch, or its time, and the model the rest of it.",
)
@click.option(
    "--follow",
    metavar="chords",
    help="With --midi-in: play without end, in the chords that your left hand holds below middle C.",
)
@click.option(
    "--thru/--no-thru",
    default=None,
    help="With --midi-in: sound your keys on the output too (default: with FluidSynth, but not in a duet).",
)
@click.option("--pause", type=float, metavar="SECONDS", cls=LateHelp, late_help=_pause_help)
@click.option("--seconds", type=float, help="Stop after this time (default: play until Ctrl-C).")
@click.option("--seed", type=int, help="Names the piece: one seed, the same notes (default: a new one).")
@arguments.sampling
@click.option("--soundfont", metavar="FILE", help="An .sf2 file for FluidSynth (default: a small one).")
@click.option("--driver", help="The audio driver of FluidSynth: alsa, pulseaudio, coreaudio (default: its own choice).")
@click.option("--card", help="The sound device of the driver, such as plughw:1 (with ALSA, 'aplay -L' lists them).")
@click.option(
    "-o", "--output", metavar="FILE", help="Record the session to this MIDI file (default: one in your data folder)."
)
@click.option("--no-record", is_flag=True, help="Record nothing.")
@click.option("--plain", is_flag=True, help="Show one line instead of the moving piano roll.")
@click.option("--ports", is_flag=True, help="List the MIDI ports and end.")
@arguments.backend
@as_json
def run(
    model: str | None, midi_out: str | None, channel: int | None, restrike: str | None, midi_in: str | None,
    wait: bool, duet: str | None, follow: str | None, thru: bool | None, pause: float | None,
    seconds: float | None, seed: int | None, soundfont: str | None, driver: str | None, card: str | None,
    output: str | None, no_record: bool, plain: bool, ports: bool, backend: str | None, as_json: bool,
    **sampling_options: Unpack[arguments.SamplingOptions],
) -> None:  # fmt: skip
    """Play without end or together with you, on the machine's own sound or a MIDI port.

    MODEL is a .keras or .tflite file, a run's folder, or base (the default) or small, which are bundled.
    """
    from kerasmusic import midi
    from kerasmusic.live.performance import PlayOptions, play
    from kerasmusic.live.recording import session_path
    from kerasmusic.opening import TFLITE, find_model, open_generator

    if ports:
        from kerasmusic.live.ports import listed_names, load_backend, port_names

        found = {f"{kind}s": listed_names(port_names(kind, load_backend())) for kind in ("output", "input")}
        if as_json:
            answer(found)
            return
        for kind, names in found.items():
            click.echo(f"{kind}: {', '.join(names) or 'none'}")
        return
    if as_json:
        raise ArgumentError("--json is for --ports; add it")
    if output is not None and Path(output).suffix.lower() not in midi.WRITTEN_SUFFIXES:
        raise ArgumentError(f"{output}: the session is recorded to a MIDI file; name it .mid")
    if output is not None and (Path(output).is_dir() or not os.access(Path(output).parent, os.W_OK)):
        raise ArgumentError(f"{output}: no file can be written here; name another with -o")
    if output is not None and no_record:
        raise ArgumentError(f"{output}: -o records the session to it, and --no-record does not; leave one out")
    options = PlayOptions(
        midi_out=midi_out,
        channel=PlayOptions.channel if channel is None else channel,
        restrike=PlayOptions.restrike if restrike is None else milliseconds(restrike),
        midi_in=midi_in,
        wait=wait,
        duet=duet,
        follow=follow,
        thru=thru,
        pause=PlayOptions.pause if pause is None else pause,
        soundfont=soundfont,
        driver=driver,
        card=card,
        seconds=PlayOptions.seconds if seconds is None else seconds,
        record=None if no_record else session_path() if output is None else Path(output),
        keep=arguments.asked_targets(sampling_options),
    )
    if follow and sampling_options["chords"]:
        raise ArgumentError(f"{sampling_options['chords']}: --chords gives the chords that --follow takes from you")
    sampling = arguments.asked_sampling(sampling_options)
    path = find_model(model, prefer=TFLITE)
    arguments.check_exact(path)
    generator = open_generator(path, backend=backend, seed=seed, sampling=sampling)
    arguments.warn_without_styles(generator)
    title = path.parent.name if path.stem == "model" else path.stem
    say(f"{play(generator, options, title=title, plain=plain)}; seed {generator.seed}")
