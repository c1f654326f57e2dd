"""Inputs: turn a MIDI keyboard's messages into events on the player's clock."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from kerasmusic.live.clock import Clock
from kerasmusic.live.ports import check_port, find_port, load_backend, open_port
from kerasmusic.midi_parser import SUSTAIN

if TYPE_CHECKING:
    import mido

DOWN = 64


class Strike(NamedTuple):
    """A key went down: time [s on the clock], MIDI pitch, velocity 1 to 127."""

    time: float
    pitch: int
    velocity: int


class Release(NamedTuple):
    """A key came up: time [s on the clock], MIDI pitch."""

    time: float
    pitch: int


class Pedal(NamedTuple):
    """The sustain pedal moved: time [s on the clock], whether it is down."""

    time: float
    is_down: bool


Event = Strike | Release | Pedal


class MidiInput:
    """A MIDI keyboard, opened by its name or by an unambiguous part of it.

    All its channels are one: a key that a layered piano sends on several is down from the first strike to the last
    release.

    Args:
        name: the name of the port.
        on_event: called with each event, on the backend's thread.
        clock: the clock of the events.
        backend: the mido backend; by default mido's default.

    Raises:
        MissingPackageError: mido or python-rtmidi is not installed.
        PortError: the port does not exist or cannot be opened.
    """

    def __init__(
        self, name: str, on_event: Callable[[Event], None], clock: Clock, backend: mido.Backend | None = None
    ) -> None:
        self._backend = load_backend(backend)
        self._on_event = on_event
        self._clock = clock
        # The channels on which each key is down.
        self._down: dict[int, set[int]] = {}
        full = find_port(name, "input", self._backend)
        self.name = full
        self._port: mido.ports.BaseInput = open_port(lambda: self._backend.open_input(full, callback=self._take), full)

    def check(self) -> None:
        """Raises PortError if the port has disappeared."""
        check_port(self._port, "input", self._backend)

    def close(self) -> None:
        """Closes the port."""
        with suppress(Exception):  # closing a lost port fails differently in each backend
            self._port.close()

    def _take(self, message: mido.Message) -> None:
        event = event_from_message(message, self._clock.now())
        if event is not None and not (isinstance(event, Strike | Release) and self._is_double(event, message.channel)):
            self._on_event(event)

    def _is_double(self, event: Strike | Release, channel: int) -> bool:
        """Returns True if the key is down on another channel, so that this event neither strikes nor releases it."""
        channels = self._down.setdefault(event.pitch, set())
        if isinstance(event, Release):
            channels.discard(channel)
            return bool(channels)
        others = channels - {channel}
        channels.add(channel)
        return bool(others)


def event_from_message(message: mido.Message, time: float) -> Event | None:
    """The event of a MIDI message; None if it is neither of a key nor of the sustain pedal."""
    if message.type == "note_on" and message.velocity:
        return Strike(time, message.note, message.velocity)
    if message.type in ("note_on", "note_off"):
        return Release(time, message.note)
    if message.type == "control_change" and message.control == SUSTAIN:
        return Pedal(time, message.value >= DOWN)
    return None
