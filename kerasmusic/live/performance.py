"""Performance: a player that plays until someone or something ends it, and leaves nothing sounding."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from kerasmusic.edge.generator import Generator
from kerasmusic.errors import ArgumentError
from kerasmusic.live.answers import PAUSE_SECONDS, Answers
from kerasmusic.live.duet import Duet
from kerasmusic.live.endless import Endless
from kerasmusic.live.inputs import MidiInput
from kerasmusic.live.lateness import Lateness
from kerasmusic.live.outputs import FluidSynthOutput, Output, open_midi_output
from kerasmusic.live.player import Player, Source
from kerasmusic.live.view import terminal_view

# How often the end is looked for, and whether the ports are still there.
TURN_SECONDS = 0.05
CHECK_SECONDS = 2.0
# Python's own 5 ms between threads that both want to run would be half of what makes a note late.
SWITCH_SECONDS = 0.001


class Checked(Protocol):
    """A port that can say that it went away."""

    def check(self) -> None:
        """Raises PortError where it went away."""


@dataclass
class Signals:
    """Whether the process was asked to end, and whether to stop until it is continued."""

    end: bool = field(default=False)
    stop: bool = field(default=False)


@contextmanager
def noting_signals() -> Iterator[Signals]:
    """Takes Ctrl-C, SIGTERM and a closed terminal for a wish to end, Ctrl-Z for one to stop: nothing ends in the midst.

    A handler may run while the main thread holds any lock, so all it does is to note the wish.
    """
    signals = Signals()

    def note_end(*_: object) -> None:
        signals.end = True

    def note_stop(*_: object) -> None:
        signals.stop = True

    notes = {"SIGINT": note_end, "SIGTERM": note_end, "SIGHUP": note_end, "SIGTSTP": note_stop}
    numbers = {getattr(signal, name): note for name, note in notes.items() if hasattr(signal, name)}
    before = {number: signal.signal(number, note) for number, note in numbers.items()}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def perform(
    player: Player,
    signals: Signals,
    *,
    ports: Iterable[Checked] = (),
    until: float = math.inf,
    turn: Callable[[float], bool] | None = None,
) -> None:
    """Waits while a player plays, until a signal comes, a port goes away, the time is over, or `turn` says so.

    Args:
        player: what plays; entered already.
        signals: from `noting_signals`.
        ports: looked after every two seconds.
        until: when to end at the latest, on `time.monotonic`.
        turn: called again and again with how many seconds to take at most; ends the performance by returning False. By
            default, it sleeps.

    Raises:
        PortError: a port went away.
    """
    ports = list(ports)
    switching = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        checks = time.monotonic() + CHECK_SECONDS
        while not (signals.end or signals.stop or player.ended.is_set()):
            now = time.monotonic()
            if now >= until:
                break
            if now >= checks:
                for port in ports:
                    port.check()
                checks = now + CHECK_SECONDS
            if turn is None:
                time.sleep(min(TURN_SECONDS, until - now))
            elif not turn(min(TURN_SECONDS, until - now)):
                break
    finally:
        sys.setswitchinterval(switching)


@dataclass(frozen=True)
class PlayOptions:
    """The source, the ports and the length of a performance.

    Args:
        midi_out: the name of a MIDI output, or a part of it; None for FluidSynth on the machine's own sound.
        midi_in: the name of a MIDI input to play along with, or a part of it.
        duet: "pitch" or "time", which the keys of `midi_in` then give; None to answer phrases.
        pause: seconds without a key down after which a phrase is answered.
        soundfont: an `.sf2` file for FluidSynth.
        driver: FluidSynth's name of what it plays on.
        seconds: how long at most.
    """

    midi_out: str | None = None
    midi_in: str | None = None
    duet: str | None = None
    pause: float = PAUSE_SECONDS
    soundfont: str | os.PathLike[str] | None = None
    driver: str | None = None
    seconds: float = math.inf

    def __post_init__(self) -> None:
        if self.duet and self.midi_in is None:
            raise ArgumentError(f"{self.duet}: --duet is with someone; name a MIDI keyboard with --midi-in")
        if self.midi_out is not None and (self.soundfont or self.driver):
            raise ArgumentError(f"{self.midi_out}: a MIDI port takes neither --soundfont nor --driver")
        if not self.seconds > 0:
            raise ArgumentError(f"{self.seconds:g}: --seconds must be more than 0")

    def source(self, generator: Generator) -> Source:
        """Who makes the notes."""
        if self.midi_in is None:
            return Endless(generator)
        return Duet(generator, self.duet) if self.duet else Answers(generator, self.pause)

    def open_output(self) -> Output:
        """Where they go."""
        if self.midi_out is not None:
            return open_midi_output(self.midi_out)
        return FluidSynthOutput(self.soundfont, driver=self.driver)


def play(generator: Generator, options: PlayOptions, *, title: str = "kerasmusic", plain: bool = False) -> Lateness:
    """Plays until Ctrl-C, SIGTERM, a key that says so or the end of the time, and lets no note hang.

    Args:
        generator: makes the notes.
        options: the source, the ports and the length.
        title: what the terminal's view calls the music.
        plain: whether to show one line instead of the view, as where there is no terminal.

    Returns:
        how late the notes were.

    Raises:
        PortError: a port or device is not there, or went away.
        MissingPackageError: what it needs is not installed.
    """
    with noting_signals() as signals, ExitStack() as stack:
        source = options.source(generator)
        output = options.open_output()
        stack.enter_context(closing(output))
        # A keyboard that plays on a MIDI port has a sound of its own; FluidSynth is the only one there is.
        sounds_keys = options.midi_out is None and options.midi_in is not None and not options.duet
        player = Player(source, output, sounds_keys=sounds_keys)
        ports: list[Checked] = [output]
        if options.midi_in is not None:
            keyboard = MidiInput(options.midi_in, player.hear, player.clock)
            stack.enter_context(closing(keyboard))
            ports.append(keyboard)
        until = time.monotonic() + options.seconds
        begun = False
        while True:
            # A process that stops gives the terminal back, and takes it again when it goes on.
            with nullcontext() if plain else terminal_view(player, generator, title) as view:
                if not begun:
                    # After the view, whose imports would make the first notes late.
                    stack.enter_context(player)
                    begun = True
                if view is None:
                    place = f" on {options.midi_out}" if options.midi_out else ""
                    print(f"{title} plays{place}; Ctrl-C ends it", flush=True)
                perform(player, signals, ports=ports, until=until, turn=view.turn if view else None)
            if signals.end or not signals.stop:
                break
            signals.stop = False
            with player.held():
                os.kill(os.getpid(), signal.SIGSTOP)
    return player.lateness
