"""Reconnecting: MIDI ports and sound devices that are opened again, by their names, when they have gone away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from kerasmusic.errors import PortError
from kerasmusic.live.clock import Clock
from kerasmusic.live.inputs import Event, MidiInput, Pedal, Release, Strike
from kerasmusic.live.outputs import Output
from kerasmusic.live.ports import plain_name


class Closable(Protocol):
    """A port or device."""

    #: Its full name.
    name: str

    def check(self) -> None:
        """Raises PortError if it has disappeared."""

    def close(self) -> None:
        """Closes it."""


class NamedOutput(Output, Closable, Protocol):
    """An output with a name."""


Port = TypeVar("Port", bound=Closable)


class Connection(Generic[Port]):
    """A port or device, and how to open it again.

    Args:
        name: the name that the user gave.
        open_port: opens the port.
        tell: called with one line when the port goes away or comes back.
        wait: whether to wait for a port that is not there yet.
        kind: what it is, for the lines.

    Raises:
        PortError: the port cannot be opened, and `wait` is False.
    """

    def __init__(
        self,
        name: str,
        open_port: Callable[[], Port],
        tell: Callable[[str], None],
        *,
        wait: bool = False,
        kind: str = "MIDI port",
    ) -> None:
        self._name = name
        self._kind = kind
        self._open = open_port
        self._tell = tell
        self._lock = threading.RLock()
        #: The port; None while it is away.
        self.port: Port | None = None
        # The name without numbers of the port that was opened first: no other one is taken for it.
        self._known: str | None = None
        try:
            self.port = self._opened()
        except PortError as error:
            if not wait:
                raise
            tell(f"{error}; waiting for it")

    def check(self) -> bool:
        """Notices that the port has gone away, or opens it again; returns whether it was opened."""
        if self.port is not None:
            self.attempt(lambda port: port.check())
            return False
        try:
            self.port = self._opened()
        except PortError:
            return False
        self._tell(f"{self._name}: the {self._kind} is back")
        return True

    def _opened(self) -> Port:
        port = self._open()
        if self._known not in (None, plain_name(port.name)):
            port.close()
            raise PortError(f"{self._name}: no such {self._kind}")
        self._known = plain_name(port.name)
        return port

    def attempt(self, act: Callable[[Port], object]) -> None:
        """Uses the port if it is there; may be called on any thread."""
        with self._lock:
            if self.port is None:
                return
            try:
                act(self.port)
            except PortError:
                self.close()
                self._tell(f"{self._name}: the {self._kind} went away; waiting for it")

    def close(self) -> None:
        """Closes the port."""
        with self._lock:
            port, self.port = self.port, None
            if port is not None:
                port.close()


class ReconnectingOutput:
    """An output whose port or device may go away and come back; notes in between are not heard.

    Args:
        connection: the connection to the output.
    """

    def __init__(self, connection: Connection[NamedOutput]) -> None:
        self._connection = connection

    def note_on(self, pitch: int, velocity: int, channel: int = 0) -> None:
        """Strikes a key."""
        self._connection.attempt(lambda port: port.note_on(pitch, velocity, channel))

    def note_off(self, pitch: int, channel: int = 0) -> None:
        """Releases a key."""
        self._connection.attempt(lambda port: port.note_off(pitch, channel))

    def silence(self) -> None:
        """Releases all keys."""
        self._connection.attempt(lambda port: port.silence())

    def check(self) -> None:
        """Notices that the port has gone away, or opens it again; the piano may still sound what it was told before."""
        if self._connection.check():
            self.silence()

    def close(self) -> None:
        """Closes the port."""
        self._connection.close()


class ReconnectingInput:
    """A MIDI keyboard that may go away and come back; keys that are down when it goes away are released.

    Args:
        name: the name of the port.
        on_event: called with each event.
        clock: the clock of the events.
        tell: called with one line when the port goes away or comes back.
        wait: whether to wait for a port that is not there yet.

    Raises:
        MissingPackageError, PortError: see `MidiInput`.
    """

    def __init__(
        self,
        name: str,
        on_event: Callable[[Event], None],
        clock: Clock,
        tell: Callable[[str], None],
        *,
        wait: bool = False,
    ) -> None:
        self._on_event = on_event
        self._clock = clock
        self._down: set[int] = set()
        self._pedal_is_down = False
        self._connection = Connection(name, lambda: MidiInput(name, self._take, clock), tell, wait=wait)

    def check(self) -> None:
        """Notices that the port has gone away, or opens it again."""
        self._connection.check()
        if self._connection.port is None:
            self._release()

    def close(self) -> None:
        """Closes the port."""
        self._connection.close()

    def _take(self, event: Event) -> None:
        match event:
            case Strike(_, pitch, _):
                self._down.add(pitch)
            case Release(_, pitch):
                self._down.discard(pitch)
            case Pedal(_, is_down):
                self._pedal_is_down = is_down
        self._on_event(event)

    def _release(self) -> None:
        now = self._clock.now()
        for pitch in sorted(self._down):
            self._take(Release(now, pitch))
        if self._pedal_is_down:
            self._take(Pedal(now, is_down=False))
