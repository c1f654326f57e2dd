"""`kerasmusic service`: plays from power-on, as a systemd service."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

import click

from kerasmusic import service
from kerasmusic.commands import play
from kerasmusic.commands.command import command, say
from kerasmusic.errors import ArgumentError, KerasMusicError


@click.group("service")
def run() -> None:
    """Play from power-on, as a systemd service (Linux)."""


_folder = click.option(
    "--units", type=Path, default=service.UNITS, show_default=True, metavar="FOLDER", help="The folder of the unit."
)


@command(
    "install",
    """
    sudo ~/music/bin/kerasmusic service install
    sudo ~/music/bin/kerasmusic service install -- --card plughw:1 --speed 6
    sudo ~/music/bin/kerasmusic service install -- --midi-in 'Digital Piano' --midi-out 'Digital Piano'
    """,
)
@click.argument("arguments", nargs=-1, metavar="[-- PLAY OPTIONS]...")
@click.option("--user", help="The user who plays (default: you, also under sudo).")
@_folder
def install(arguments: tuple[str, ...], user: str | None, units: Path) -> None:
    """Write a systemd unit that runs 'kerasmusic play' with these options, check it, and start it now and at boot.

    Without options, it asks for the port and the card. It records no sessions unless -o names a file, and waits for
    ports and devices that are not there yet.
    """
    chosen = list(arguments) or (_asked() if sys.stdin.isatty() else [])
    # What play would refuse is refused here.
    context = play.run.make_context("kerasmusic play", list(chosen))
    for name in ("ports", "as_json"):
        if context.params[name]:
            raise ArgumentError(f"--{name.removeprefix('as_')}: a service plays; leave it out")
    recording = ["--no-record"] if context.params["output"] is None and not context.params["no_record"] else []
    added = [*recording, *(f"--{name}" for name in ("plain", "wait") if not context.params[name])]
    player = user or os.environ.get("SUDO_USER") or getpass.getuser()
    path = service.install(service.unit([*chosen, *added], player, Path.cwd()), units)
    say(f"{path}: started, and will be at boot; 'journalctl -u {service.NAME}' shows what it says")


@command("remove", "sudo ~/music/bin/kerasmusic service remove")
@_folder
def remove(units: Path) -> None:
    """End the service, and remove its unit."""
    say(f"{service.remove(units)}: removed")


for each in (install, remove):
    run.add_command(each)


def _asked() -> list[str]:
    """The arguments of play, from the answers to a few questions."""
    outputs, inputs = _ports("output"), _ports("input")
    sounds = {"": "this machine's sound", **dict.fromkeys(outputs, "MIDI port")}
    output = _choose("Play on", sounds)
    if output:
        chosen = ["--midi-out", output]
    else:
        cards = {"": "the default", **service.sound_cards()}
        card = _choose("Sound card", cards)
        chosen = ["--driver", "alsa", *(["--card", card] if card else [])]
    keyboard = _choose("Answer", {"": "nobody: it plays without end", **dict.fromkeys(inputs, "MIDI keyboard")})
    return [*chosen, *(["--midi-in", keyboard] if keyboard else [])]


def _ports(kind: str) -> list[str]:
    from kerasmusic.live.ports import listed_names, load_backend, port_names

    try:
        return listed_names(port_names(kind, load_backend()))
    except KerasMusicError:
        return []


def _choose(question: str, answers: dict[str, str]) -> str:
    """One of the answers, by its number; the only one is not asked for."""
    names = list(answers)
    if len(names) == 1:
        return names[0]
    for number, name in enumerate(names):
        click.echo(f"  {number}  {' - '.join(filter(None, (name, answers[name])))}")
    return names[click.prompt(question, type=click.IntRange(0, len(names) - 1), default=0)]
