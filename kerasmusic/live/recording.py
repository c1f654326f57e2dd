"""Recording: writes a session to a MIDI file of two tracks while it sounds, the user's and the model's.

The file is a valid MIDI file at every moment, so a session survives a crash or a power cut but for its last seconds.
The model's track is the last one: what it plays is appended, and the file is written anew only after the user has
played.
"""

from __future__ import annotations

import os
import struct
import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from kerasmusic import midi
from kerasmusic.errors import reason
from kerasmusic.files import atomic_write
from kerasmusic.live.clock import Clock
from kerasmusic.live.inputs import DOWN, Event, Pedal, Release, Strike
from kerasmusic.live.outputs import Output
from kerasmusic.midi_parser import DEFAULT_TEMPO, NOTE_ON, SUSTAIN

FLUSH_SECONDS = 2.0
# The last minutes, which a key keeps.
KEPT_SECONDS = 300.0
# A session that is longer goes on in another file.
LONGEST_SECONDS = 12 * 3600.0
YOURS, MODELS = 0, 1
NAMES = ("You", "kerasmusic")
TICKS_PER_SECOND = midi.TICKS_PER_SECOND
CONTROL_CHANGE = 0xB0
END_OF_TRACK = b"\x00\xff\x2f\x00"
HEADER = struct.pack(">4sIHHH", b"MThd", 6, 1, 2, TICKS_PER_SECOND * DEFAULT_TEMPO // 1_000_000)


class Message(NamedTuple):
    """A MIDI message: its time [s on the clock], its track, its status byte without the channel, and its data."""

    time: float
    track: int
    status: int
    first: int
    second: int


#: What is down: a key or the pedal, as the track, status and first byte of its messages.
Held = tuple[int, int, int]


def hold(held: set[Held], message: Message) -> bool:
    """Adds what a message presses to what is held, or takes away what it releases; False if that was not held."""
    key = (message.track, message.status, message.first)
    if message.second:
        held.add(key)
    elif key not in held:
        return False
    else:
        held.remove(key)
    return True


def releases(held: set[Held], time: float) -> list[Message]:
    """The messages that release what is held."""
    return [Message(time, *key, 0) for key in sorted(held)]


class Track:
    """The events of a track as they are in a file, without the end of the track.

    Args:
        index: its index in the file, which is its channel too.
    """

    def __init__(self, index: int) -> None:
        name = NAMES[index].encode()
        self.events = bytearray(b"\x00\xff\x03" + bytes([len(name)]) + name)
        if index == 0:
            self.events += b"\x00\xff\x51\x03" + DEFAULT_TEMPO.to_bytes(3, "big")
        self._channel = index
        self._tick = 0

    def add(self, message: Message, origin: float) -> None:
        """Appends a message; one that is earlier than the last one has its time."""
        tick = max(self._tick, round((message.time - origin) * TICKS_PER_SECOND))
        self.events += variable_length(tick - self._tick)
        self.events += bytes([message.status | self._channel, message.first, message.second])
        self._tick = tick


class Tracks:
    """Both tracks of a file.

    Args:
        origin: the time on the clock at which the file begins.
    """

    def __init__(self, origin: float) -> None:
        self.origin = origin
        self._tracks = (Track(YOURS), Track(MODELS))

    def add(self, message: Message) -> None:
        """Appends a message to its track."""
        self._tracks[message.track].add(message, self.origin)

    def sizes(self) -> tuple[int, int]:
        """The bytes of each track's events."""
        return len(self._tracks[YOURS].events), len(self._tracks[MODELS].events)

    def to_bytes(self) -> bytes:
        """The whole file."""
        return HEADER + b"".join(chunk(bytes(track.events)) for track in self._tracks)

    def tail(self, begin: int) -> bytes:
        """The model's events from a byte on, with the end of the track."""
        return bytes(self._tracks[MODELS].events[begin:]) + END_OF_TRACK


class Recording:
    """Records a session, on a thread of its own.

    Args:
        path: the file to write; it appears with the first message.
        clock: the clock of the messages' times.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        #: Whether no file has been written.
        self.is_empty = True
        #: Why the last writing failed; None if it did not.
        self.failure: str | None = None
        self._coming: deque[Message] = deque()
        self._recent: deque[Message] = deque()
        self._held: set[Held] = set()
        self._tracks: Tracks | None = None
        # The sizes of the tracks in the file.
        self._written = (-1, -1)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def hear(self, event: Event) -> None:
        """Records an event of the user; may be called on any thread."""
        match event:
            case Strike(time, pitch, velocity):
                self._coming.append(Message(time, YOURS, NOTE_ON << 4, pitch, velocity))
            case Release(time, pitch):
                self._coming.append(Message(time, YOURS, NOTE_ON << 4, pitch, 0))
            case Pedal(time, is_down):
                self._coming.append(Message(time, YOURS, CONTROL_CHANGE, SUSTAIN, 2 * DOWN - 1 if is_down else 0))

    def play(self, pitch: int, velocity: int) -> None:
        """Records a key that the model strikes, or releases with velocity 0; may be called on any thread."""
        self._coming.append(Message(self._clock.now(), MODELS, NOTE_ON << 4, pitch, velocity))

    def flush(self) -> None:
        """Writes what has been recorded since the last time; may be called on any thread."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        while self._coming:
            self._add(self._coming.popleft())
        self._write()

    def _write(self) -> None:
        if self._tracks is None or self._written == (sizes := self._tracks.sizes()):
            return
        try:
            if self._written[YOURS] == sizes[YOURS]:
                self._append(self._tracks, sizes)
            else:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(self.path) as temporary:
                    temporary.write_bytes(self._tracks.to_bytes())
        except OSError as error:
            # The music goes on, and the next time everything is written anew.
            self.failure, self._written = reason(error), (-1, -1)
            return
        self.is_empty, self.failure = False, None
        self._written = sizes

    def keep(self) -> Path | None:
        """Writes the last five minutes to a file beside the session's; None if they are silent.

        Raises:
            OSError: the file cannot be written.
        """
        now = self._clock.now()
        with self._lock:
            self._flush()
            recent = [message for message in self._recent if message.time >= now - KEPT_SECONDS]
        held: set[Held] = set()
        # Without the releases of what was struck before.
        messages = [message for message in recent if hold(held, message)]
        if not messages:
            return None
        messages += releases(held, now)
        tracks = Tracks(messages[0].time)
        for message in messages:
            tracks.add(message)
        path = free_path(self.path.with_name(f"{self.path.stem}-kept{self.path.suffix}"))
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_bytes(tracks.to_bytes())
        return path

    def __enter__(self) -> Recording:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self.flush()
        now = self._clock.now()
        self._coming.extend(releases(self._held, now))
        self.flush()

    def _run(self) -> None:
        while not self._closing.wait(FLUSH_SECONDS):
            self.flush()

    def _add(self, message: Message) -> None:
        if self._tracks is not None and message.time - self._tracks.origin > LONGEST_SECONDS and not self._held:
            self._write()
            self.path = free_path(self.path)
            self._tracks, self._written = None, (-1, -1)
        if self._tracks is None:
            self._tracks = Tracks(message.time)
        hold(self._held, message)
        self._tracks.add(message)
        self._recent.append(message)
        while self._recent[0].time < message.time - KEPT_SECONDS:
            self._recent.popleft()

    def _append(self, tracks: Tracks, sizes: tuple[int, int]) -> None:
        """Appends to the model's track, which ends the file."""
        length = len(HEADER) + len(chunk(b"")) + sizes[YOURS] + 4
        with self.path.open("r+b") as file:
            file.seek(length + 4 + self._written[MODELS])
            file.write(tracks.tail(self._written[MODELS]))
            file.flush()
            file.seek(length)
            file.write(struct.pack(">I", sizes[MODELS] + len(END_OF_TRACK)))


class RecordedOutput:
    """An output whose notes on the first channel, the model's, are recorded.

    Args:
        output: the output that sounds them.
        recording: the recording.
    """

    def __init__(self, output: Output, recording: Recording) -> None:
        self._output = output
        self._recording = recording
        self.silence, self.check, self.close = output.silence, output.check, output.close

    def note_on(self, pitch: int, velocity: int, channel: int = 0) -> None:
        """Strikes a key."""
        self._output.note_on(pitch, velocity, channel)
        if channel == 0:
            self._recording.play(pitch, velocity)

    def note_off(self, pitch: int, channel: int = 0) -> None:
        """Releases a key."""
        self._output.note_off(pitch, channel)
        if channel == 0:
            self._recording.play(pitch, 0)


def chunk(events: bytes) -> bytes:
    """A track's chunk of a file."""
    return struct.pack(">4sI", b"MTrk", len(events) + len(END_OF_TRACK)) + events + END_OF_TRACK


def variable_length(number: int) -> bytes:
    r"""A number in groups of seven bits, as MIDI files have times.

    >>> variable_length(0), variable_length(200)
    (b'\x00', b'\x81H')
    """
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))


def free_path(path: Path) -> Path:
    """The path itself or, if there is such a file, the same with the first free number."""
    numbered: Iterable[Path] = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(2, 10_000))
    return path if not path.exists() else next(each for each in numbered if not each.exists())


def session_path() -> Path:
    """A new file for a session, by its date, its time and its process, in the user's data folder."""
    import platformdirs

    folder = platformdirs.user_data_path("kerasmusic") / "sessions"
    return free_path(folder / f"{datetime.now().astimezone():%Y-%m-%d-%H%M%S}-{os.getpid()}.mid")
