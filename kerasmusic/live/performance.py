"""Performance: runs a player until it is ended, and leaves no note sounding."""

from __future__ import annotations

import math
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from kerasmusic.edge.generator import Generator
from kerasmusic.errors import ArgumentError, KerasMusicError, check_name
from kerasmusic.live.answers import PAUSE_SECONDS, Answers
from kerasmusic.live.clock import SystemClock
from kerasmusic.live.duet import Duet
from kerasmusic.live.endless import Endless
from kerasmusic.live.lateness import Lateness
from kerasmusic.live.led import Led
from kerasmusic.live.outputs import FluidSynthOutput, Output, open_midi_output
from kerasmusic.live.player import Player, Source
from kerasmusic.live.reconnecting import Connection, ReconnectingInput, ReconnectingOutput
from kerasmusic.live.recording import RecordedOutput, Recording
from kerasmusic.live.view import terminal_view

# How often the end of the performance, and the presence of the ports, is checked.
TURN_SECONDS = 0.1
# A piano that is switched off and on again is away for longer.
CHECK_SECONDS = 0.5
# The longest time that the main thread may take to end after a signal.
GRACE_SECONDS = 2.0
# Python's default of 5 ms between thread switches is half of what counts as late.
SWITCH_SECONDS = 0.001
# The signals that end a performance, where the system has them, and how many are taken in one call.
ENDS = [getattr(signal, name) for name in ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
SIGNALS_AT_ONCE = 64
# What an endless piece can follow.
FOLLOWED = ("chords",)


class Checked(Protocol):
    """A port that can tell whether it still exists."""

    def check(self) -> None:
        """Raises PortError if the port has disappeared."""


def print_notice(text: str) -> None:
    """Prints a line on the standard error."""
    print(text, file=sys.stderr, flush=True)


class Notices:
    """Lines for the user, told on any thread and shown on the main one: a terminal may stall."""

    def __init__(self) -> None:
        #: Shows a line: prints it, or puts it into the view while there is one.
        self.show: Callable[[str], None] = print_notice
        self._told: deque[str] = deque()

    def tell(self, text: str) -> None:
        """Keeps a line until the next check."""
        self._told.append(text)

    def check(self) -> None:
        """Shows what was told."""
        while self._told:
            self.show(self._told.popleft())


@dataclass
class Signals:
    """Requests to end, or to stop until continued.

    Args:
        arrivals: receives the number of each signal, as a byte, even while the main thread is blocked.
    """

    arrivals: socket.socket
    end: bool = False
    stop: bool = False

    def listen(self) -> None:
        """Takes the signals that have arrived; called on another thread than the main one.

        Python runs a handler on the main thread, which does not wake up from writing to a terminal that takes no output
        if the system hands the signal to another thread.
        """
        with suppress(BlockingIOError):
            self.end |= any(number in ENDS for number in self.arrivals.recv(SIGNALS_AT_ONCE))


@contextmanager
def catch_signals() -> Iterator[Signals]:
    """Records Ctrl-C, SIGQUIT, SIGTERM and a closed terminal as requests to end, and Ctrl-Z as a request to stop.

    A handler may run while the main thread holds any lock, so it only sets a flag.
    """
    arrivals, departures = socket.socketpair()
    for end in (arrivals, departures):
        end.setblocking(False)
    signals = Signals(arrivals)

    def note_end(*_: object) -> None:
        signals.end = True

    def note_stop(*_: object) -> None:
        signals.stop = True

    numbers = dict.fromkeys(ENDS, note_end)
    if hasattr(signal, "SIGTSTP"):
        numbers[signal.SIGTSTP] = note_stop
    before = {number: signal.signal(number, note) for number, note in numbers.items()}
    woken = signal.set_wakeup_fd(departures.fileno(), warn_on_full_buffer=False)
    try:
        yield signals
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        arrivals.close()
        departures.close()


@contextmanager
def ending_in_time(signals: Signals, finish: Callable[[], None]) -> Iterator[None]:
    """Ends the process if the block does not end soon after a request to end, as on a terminal that takes no output.

    Args:
        signals: the signals from `catch_signals`.
        finish: called on a thread of its own before the process ends, which waits for it for a moment only.
    """
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(TURN_SECONDS):
            signals.listen()
            if signals.end and not ended.wait(GRACE_SECONDS):
                finishing = threading.Thread(target=finish, name="finisher", daemon=True)
                finishing.start()
                finishing.join(GRACE_SECONDS)
                os._exit(0)

    threading.Thread(target=watch, name="ender", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def perform(
    player: Player,
    signals: Signals,
    *,
    ports: Iterable[Checked] = (),
    until: float = math.inf,
    turn: Callable[[float], bool] | None = None,
) -> None:
    """Waits while a player plays, until a signal arrives, a port disappears, the time is over or `turn` returns False.

    Args:
        player: a player whose threads are running.
        signals: the signals from `catch_signals`.
        ports: the ports to check twice a second.
        until: the latest time to end, on `time.monotonic`.
        turn: called repeatedly with the seconds that it may take; returns False to end. By default, it sleeps.

    Raises:
        PortError: a port disappeared.
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
    """The input, output and duration of a performance.

    Args:
        midi_out: the name of a MIDI output, or a part of it; None for FluidSynth and the machine's sound.
        channel: the MIDI channel of the notes on a MIDI output, from 1 to 16.
        restrike: seconds for which a key is up before it is struck again.
        midi_in: the name of the MIDI input that the user plays on, or a part of it.
        duet: what the user's keys give in a duet, "pitch" or "time"; None to answer phrases.
        wait: whether to wait for MIDI ports, or a sound device, that are not there yet.
        follow: what of the user's playing an endless piece follows, "chords"; None to answer phrases.
        thru: whether the user's own keys sound on the output too; None where they have no sound of their own: with
            FluidSynth, but not in a duet.
        pause: the seconds without a key down that end a phrase.
        soundfont: an `.sf2` file for FluidSynth.
        driver: the name of FluidSynth's audio driver.
        card: the sound device, as the driver names it, such as "plughw:1".
        seconds: the longest duration of the performance.
        record: the MIDI file to record the session to; None to record nothing.
        keep: which of the speed, the polyphony and the loudness answers keep; they take the others from each phrase.
    """

    midi_out: str | None = None
    channel: int = 1
    restrike: float = 0.0
    midi_in: str | None = None
    duet: str | None = None
    wait: bool = False
    follow: str | None = None
    thru: bool | None = None
    pause: float = PAUSE_SECONDS
    soundfont: str | os.PathLike[str] | None = None
    driver: str | None = None
    card: str | None = None
    seconds: float = math.inf
    record: Path | None = None
    keep: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.duet and self.midi_in is None:
            raise ArgumentError(f"{self.duet}: --duet needs your keys; name a MIDI keyboard with --midi-in")
        if self.follow is not None:
            check_name("part of your playing to follow", self.follow, FOLLOWED)
            if self.midi_in is None:
                raise ArgumentError(f"{self.follow}: --follow needs your keys; name a MIDI keyboard with --midi-in")
            if self.duet:
                raise ArgumentError(f"{self.follow}: --follow leads an endless piece; leave out --duet")
        if self.midi_out is not None and (self.soundfont or self.driver or self.card):
            raise ArgumentError(f"{self.midi_out}: a MIDI port takes no --soundfont, --driver or --card")
        if self.thru is not None and self.midi_in is None:
            raise ArgumentError("--thru and --no-thru are about your keys; name a MIDI keyboard with --midi-in")
        if self.channel != PlayOptions.channel and self.midi_out is None:
            raise ArgumentError(f"{self.channel}: --channel is for a MIDI port; name one with --midi-out")
        if self.pause != PAUSE_SECONDS and (self.midi_in is None or self.duet or self.follow):
            raise ArgumentError(f"{self.pause:g}: --pause ends the phrases that are answered, with --midi-in alone")
        if not 1 <= self.channel <= 16:
            raise ArgumentError(f"{self.channel}: a MIDI channel is from 1 to 16")
        if not 0 <= self.restrike <= 1:
            raise ArgumentError(f"{self.restrike:g}: a key is up for 0 to 1 second before it is struck again")
        if not self.seconds > 0:
            raise ArgumentError(f"{self.seconds:g}: --seconds must be more than 0")

    def source(self, generator: Generator) -> Source:
        """The source of the notes."""
        if self.midi_in is None:
            return Endless(generator)
        if self.follow:
            return Led(generator)
        return Duet(generator, self.duet) if self.duet else Answers(generator, self.pause, self.keep)

    def open_output(self, tell: Callable[[str], None]) -> Output:
        """Opens the output; `tell` is called with one line when its port or device goes away or comes back."""
        if self.midi_out is not None:
            opening = partial(open_midi_output, self.midi_out, channel=self.channel - 1)
            return ReconnectingOutput(Connection(self.midi_out, opening, tell, wait=self.wait))
        device = partial(FluidSynthOutput, self.soundfont, driver=self.driver, card=self.card)
        name = self.driver or "FluidSynth"
        return ReconnectingOutput(Connection(name, device, tell, wait=self.wait, kind="sound device"))


def play(
    generator: Generator,
    options: PlayOptions,
    *,
    output: Output | None = None,
    title: str = "kerasmusic",
    plain: bool = False,
) -> Lateness:
    """Plays until Ctrl-C, SIGTERM, a key in the view or the end of the time, and leaves no note hanging.

    Args:
        generator: the generator of the notes.
        options: the input, output and duration.
        output: an output of your own, instead of the one that the options name.
        title: the title in the view.
        plain: whether to print one line instead of the view, as without a terminal.

    Returns:
        The lateness of the notes.

    A MIDI port or a sound device that disappears is waited for, and opened again by its name.

    Raises:
        PortError: a port or device does not exist.
        MissingPackageError: a required package is not installed.
    """
    with catch_signals() as signals, ExitStack() as stack:
        # As numbers, which keys of the terminal change.
        generator.sampling = generator.sampling.for_seed(generator.seed)
        source = options.source(generator)
        thru = options.thru
        if thru is None:
            thru = options.midi_out is None and options.midi_in is not None and not options.duet
        notices = Notices()
        output = output or options.open_output(notices.tell)
        stack.enter_context(closing(output))
        # A process that was killed may have left notes sounding.
        output.silence()
        clock = SystemClock()
        recording = Recording(options.record, clock) if options.record else None
        if recording is not None:
            stack.enter_context(recording)
            output = RecordedOutput(output, recording)
        on_event = recording.hear if recording else None
        player = Player(source, output, clock, thru=thru, on_event=on_event, restrike=options.restrike)
        ports: list[Checked] = [output, notices]
        if options.midi_in is not None:
            keyboard = ReconnectingInput(options.midi_in, player.handle, player.clock, notices.tell, wait=options.wait)
            stack.enter_context(closing(keyboard))
            ports.append(keyboard)
        until = time.monotonic() + options.seconds
        started = False

        def finish() -> None:
            with suppress(KerasMusicError):
                player.stop()
            if recording is not None:
                recording.flush()

        stack.enter_context(ending_in_time(signals, finish))
        while True:
            # A process that stops restores the terminal, and takes it again when it continues.
            with nullcontext() if plain else terminal_view(player, generator, title, recording) as view:
                if not started:
                    # The player starts after the view, whose imports would delay the first notes.
                    stack.enter_context(player)
                    started = True
                notices.show = print_notice if view is None else view.tell
                if view is None:
                    port = f" on {options.midi_out}" if options.midi_out else ""
                    print(f"{title} plays seed {generator.seed}{port}; Ctrl-C ends it", flush=True)
                notices.check()
                perform(player, signals, ports=ports, until=until, turn=view.turn if view else None)
                notices.show = print_notice
            if signals.end or not signals.stop:
                break
            signals.stop = False
            with player.paused():
                os.kill(os.getpid(), signal.SIGSTOP)
    notices.check()
    if recording is not None:
        _report(recording)
    return player.lateness


def _report(recording: Recording) -> None:
    if recording.failure is not None:
        print(f"{recording.path}: the session could not be recorded ({recording.failure})", file=sys.stderr)
    elif not recording.is_empty:
        print(f"recorded in {recording.path}")
