"""Player: makes notes ahead of time on one thread, and strikes them on time on another.

The work is done by `make` and `send`, which do not depend on threads: a test can call them in turn with a simulated
clock. A player used as a context manager runs them on two threads.
"""

from __future__ import annotations

import enum
import heapq
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, Protocol, TypeAlias

from kerasmusic.errors import PortError
from kerasmusic.live.clock import Clock, SystemClock
from kerasmusic.live.inputs import Event, Pedal, Release, Strike
from kerasmusic.live.lateness import Lateness
from kerasmusic.live.outputs import Output, Voices
from kerasmusic.live.priority import raise_priority, request_real_time_priority
from kerasmusic.notes import Note

# Notes are made this far ahead, within a minimum and a maximum number.
AHEAD_SECONDS = 3.0
MIN_AHEAD = 8
MAX_AHEAD = 64
# When settings change, notes due sooner than this are kept, since new ones take a moment to make.
KEPT_SECONDS = 0.1
# Later notes are skipped: otherwise all notes due while a machine slept would be struck at once.
TOO_LATE_SECONDS = 0.5
# The least time between strike and release, even if the strike was late.
SHORTEST_SECONDS = 0.01
LONGEST_JOIN_SECONDS = 5.0
# A key that arrives this soon after it was sent is taken for its echo.
ECHO_SECONDS = 0.03


#: The state of a source, which is opaque to the player.
Snapshot: TypeAlias = Any


class Effect(enum.Enum):
    """The effect of a user's event on a source's notes."""

    #: Nothing.
    NONE = enum.auto()
    #: Those that have not been struck are made again.
    REPLACE = enum.auto()
    #: Those that have not been struck are dropped, and those that sound end.
    CUT = enum.auto()


class Source(Protocol):
    """The source of a player's notes. The player calls all methods on its maker thread."""

    #: The time on the clock at which to call `make` again after it returned None; infinite to wait for an event.
    retry_at: float

    def make(self, now: float) -> Note | None:
        """The next note, with `start` as its time on the clock; None if there is none at present."""

    def handle(self, event: Event) -> Effect:
        """Handles an event of the user."""

    def snapshot(self) -> Snapshot:
        """The current state; None if the next note must not be regenerated."""

    def restore(self, snapshot: Snapshot) -> None:
        """Restores a state."""


class QueuedNote(NamedTuple):
    """A note that has not been struck yet, and the state of its source before it."""

    note: Note
    snapshot: Snapshot


class Player:
    """Plays a source's notes on an output, each at its time.

    Args:
        source: the source of the notes.
        output: the output that sounds them.
        clock: the clock of their times.
        thru: whether events passed to `handle` also sound, on a separate channel.
        restrike: seconds for which a key is up before it is struck again; some player pianos miss a strike that
            follows the release at once.
        on_event: called with each event passed to `handle` that is not an echo.

    Example, which plays the bundled model for ten seconds with FluidSynth::

        generator = Generator(bundled_model())
        with Player(Endless(generator), FluidSynthOutput()) as player:
            time.sleep(10)
        print(player.lateness)
    """

    def __init__(
        self,
        source: Source,
        output: Output,
        clock: Clock | None = None,
        *,
        thru: bool = False,
        on_event: Callable[[Event], None] | None = None,
        restrike: float = 0.0,
    ) -> None:
        self.source = source
        self.clock = clock or SystemClock()
        self.output = output
        self.lateness = Lateness()
        #: Set when the threads have been told to end, or one fails.
        self.ended = threading.Event()
        self.voices = Voices(output)
        self._keys = Keys(Voices(output, channel=1)) if thru else None
        self._on_event = on_event
        self._restrike = restrike
        self._queue: deque[QueuedNote] = deque()
        # For each sounding note: its end, the number of its strike, and the note.
        self._ends: list[tuple[float, int, Note]] = []
        self._changes: deque[Callable[[], None]] = deque()
        self._input: deque[Event] = deque()
        # The time at which each pitch was last sent, and the pitches whose echo is being left out.
        self._sent: dict[int, float] = {}
        self._echoes: set[int] = set()
        self._lock = threading.RLock()
        self._to_make = threading.Event()
        self._to_send = threading.Event()
        self._stopping = False
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(turn, woken, prioritize), name=name, daemon=True)
            for name, turn, woken, prioritize in (
                ("maker", self.make, self._to_make, raise_priority),
                ("sender", self.send, self._to_send, request_real_time_priority),
            )
        ]

    def make(self) -> float:
        """Makes a note if the queue has room; called only on the maker thread.

        Returns:
            The time at which to call it again: now if there may be more to make; infinite to wait until a note is
            struck, an event arrives or a setting changes.
        """
        while self._input:
            effect = self.source.handle(self._input.popleft())
            if effect is Effect.CUT:
                self._cut()
            elif effect is Effect.REPLACE:
                self._drop_coming()
        while self._changes:
            self._drop_coming()
            self._changes.popleft()()
        now = self.clock.now()
        if self._is_full(now):
            return math.inf
        snapshot = self.source.snapshot()
        note = self.source.make(now)
        if note is None:
            return self.source.retry_at
        with self._lock:
            self._queue.append(QueuedNote(note, snapshot))
            self._release_before(note)
        self._to_send.set()
        return now

    def send(self) -> float:
        """Strikes and releases the notes that are due; called only on the sender thread.

        Returns:
            The time on the clock at which to call it again at the latest; infinite to wait until a note is made.
        """
        with self._lock:
            while True:
                now = self.clock.now()
                start = self._queue[0].note.start if self._queue else math.inf
                end = self._ends[0][0] if self._ends else math.inf
                if min(start, end) > now:
                    return min(start, end)
                if end <= start:
                    _, strike, note = heapq.heappop(self._ends)
                    self.voices.release(note.pitch, strike)
                else:
                    self._strike(self._queue.popleft().note, now)
                    self._to_make.set()

    def handle(self, event: Event) -> None:
        """Passes an event of the user to the source; may be called on any thread.

        A piano that sends what it receives, as some do, would play with itself: a key that was sent within the last
        `ECHO_SECONDS` is left out.
        """
        if self._is_echo(event):
            return
        if self._on_event is not None:
            self._on_event(event)
        self._input.append(event)
        self._to_make.set()
        if self._keys is not None:
            try:
                self._keys.handle(event)
            except PortError as error:
                self._end(error)

    def _is_echo(self, event: Event) -> bool:
        if isinstance(event, Strike) and event.time - self._sent.get(event.pitch, -math.inf) <= ECHO_SECONDS:
            self._echoes.add(event.pitch)
            return True
        if isinstance(event, Release) and event.pitch in self._echoes:
            self._echoes.discard(event.pitch)
            return True
        return False

    def change(self, apply: Callable[[], None]) -> None:
        """Calls `apply`, which may change the source, on the maker thread.

        Notes that are not due at once are regenerated, so that the change takes effect immediately.
        """
        self._changes.append(apply)
        self._to_make.set()

    def visible_notes(self) -> tuple[list[Note], list[Note]]:
        """The notes that sound, and those to come, for drawing; `start` is their time on the clock."""
        with self._lock:
            return [note for _, _, note in self._ends], [queued.note for queued in self._queue]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Silences all notes, and strikes none while the block runs."""
        with self._lock:
            self._ends.clear()
            self.voices.silence()
            if self._keys is not None:
                self._keys.silence()
            yield

    def __enter__(self) -> Player:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the threads, and silences all notes.

        Raises:
            PortError: the output disappeared in the meantime.
        """
        self._end()
        for thread in self._threads:
            if thread.is_alive():
                # A driver call that does not return must not prevent silencing.
                thread.join(LONGEST_JOIN_SECONDS)
        with suppress(PortError):
            self._cut()
            if self._keys is not None:
                self._keys.silence()
        # Ends notes that are not known to sound, in case a port failed only for a moment.
        with suppress(PortError):
            self.output.silence()
        if self._error is not None:
            raise self._error

    def _cut(self) -> None:
        """Drops the notes that have not been struck, and silences those that sound."""
        with self._lock:
            self._queue.clear()
            self._ends.clear()
            self.voices.silence()

    def _release_before(self, note: Note) -> None:
        """Releases the key of a note that has been queued in time for it to be up before its strike."""
        until = note.start - self._restrike
        for end, strike, sounding in list(self._ends) if self._restrike else ():
            if sounding.pitch == note.pitch and end > until:
                heapq.heappush(self._ends, (until, strike, sounding))

    def _strike(self, note: Note, now: float) -> None:
        late = now - note.start
        if late > TOO_LATE_SECONDS:
            self.lateness.skipped += 1
            return
        # First, since its echo may arrive before the next line.
        self._sent[note.pitch] = now
        strike = self.voices.strike(note.pitch, note.velocity)
        self.lateness.add(late)
        again = (queued.note.start for queued in self._queue if queued.note.pitch == note.pitch)
        until = next(again, math.inf) - self._restrike if self._restrike else math.inf
        end = max(min(note.start + note.duration, until), now + SHORTEST_SECONDS)
        heapq.heappush(self._ends, (end, strike, note))

    def _is_full(self, now: float) -> bool:
        count = len(self._queue)
        return count >= MAX_AHEAD or (count >= MIN_AHEAD and self._queue[-1].note.start > now + AHEAD_SECONDS)

    def _drop_coming(self) -> None:
        """Drops the notes that are not due at once, so that they are made again."""
        with self._lock:
            until = self.clock.now() + KEPT_SECONDS
            kept = sum(1 for queued in self._queue if queued.note.start < until or queued.snapshot is None)
            if kept < len(self._queue):
                self.source.restore(self._queue[kept].snapshot)
                while len(self._queue) > kept:
                    self._queue.pop()

    def _run(self, turn: Callable[[], float], woken: threading.Event, prioritize: Callable[[], None]) -> None:
        try:
            prioritize()
            while not self._stopping:
                woken.clear()
                until = turn()
                self.clock.wait(woken, until)
        except BaseException as error:
            self._end(error)

    def _end(self, error: BaseException | None = None) -> None:
        self._error = self._error or error
        self._stopping = True
        self.ended.set()
        self._to_make.set()
        self._to_send.set()


class Keys:
    """Sounds the user's own keys and sustain pedal.

    Args:
        voices: the voices of their channel.
    """

    def __init__(self, voices: Voices) -> None:
        self._voices = voices
        self._pedal_is_down = False
        # Keys that have been released, but are held by the pedal.
        self._sustained: set[int] = set()

    def handle(self, event: Event) -> None:
        """Sounds an event."""
        match event:
            case Strike(_, pitch, velocity):
                self._sustained.discard(pitch)
                self._voices.strike(pitch, velocity)
            case Release(_, pitch) if self._pedal_is_down:
                self._sustained.add(pitch)
            case Release(_, pitch):
                self._voices.release(pitch)
            case Pedal(_, is_down):
                self._pedal_is_down = is_down
                if not is_down:
                    for pitch in self._sustained:
                        self._voices.release(pitch)
                    self._sustained.clear()

    def silence(self) -> None:
        """Releases all keys."""
        self._voices.silence()
