"""Player: notes made ahead of time on one thread and struck at their time on another.

What is done is in `make` and `send`, which know no threads: a test calls them in turn, on a clock of its own. A player
used as a context runs the two on threads.
"""

from __future__ import annotations

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
from kerasmusic.live.priority import run_at_once, run_soon
from kerasmusic.notes import Note

# Notes are made until so far ahead, but this many at least and this many at most.
AHEAD_SECONDS = 3.0
LEAST_AHEAD = 8
MOST_AHEAD = 64
# When settings change, what comes sooner than this is struck as it was made: the next needs a moment to be made.
KEPT_SECONDS = 0.1
# A note so late is left out. After a machine has slept, all that was due would be struck at once.
TOO_LATE_SECONDS = 0.5
# No key is released sooner than this after it was struck, however late that was.
SHORTEST_SECONDS = 0.01
LONGEST_JOIN_SECONDS = 5.0


#: Where a source is. Only the source itself looks into it, and each has its own.
Place: TypeAlias = Any


class Source(Protocol):
    """Where a player's notes come from. All of it is called on the one thread that makes notes."""

    #: When `make` wants to be asked again after it had no note, in seconds on the clock; infinite for not before it has
    #: heard something.
    asks_again: float

    def make(self, now: float) -> Note | None:
        """The next note, `start` being its time on the clock; None where there is none for now."""

    def hear(self, event: Event) -> bool:
        """Takes what a person plays; returns whether the notes that were not struck yet are void by it."""

    def place(self) -> Place:
        """Where it is, to go back to; None where it cannot."""

    def go_to(self, place: Place) -> None:
        """Goes back to a place."""


class Ahead(NamedTuple):
    """A note that was made and not struck yet, and where its source was before."""

    note: Note
    place: Place


class Player:
    """Plays a source's notes on an output, each at its time.

    Args:
        source: makes the notes.
        output: sounds them.
        clock: their time.
        sounds_keys: whether what a person plays, which is told to `hear`, is sounded too, on a channel of its own.

    Example, for ten seconds of the model in the box on the machine's own sound::

        generator = Generator(bundled_model())
        with Player(Endless(generator), FluidSynthOutput()) as player:
            time.sleep(10)
        print(player.lateness)
    """

    def __init__(
        self, source: Source, output: Output, clock: Clock | None = None, *, sounds_keys: bool = False
    ) -> None:
        self.source = source
        self.clock = clock or SystemClock()
        self.output = output
        self.lateness = Lateness()
        #: Set when the threads have ended, or one of them is about to by an error.
        self.ended = threading.Event()
        self.voices = Voices(output)
        self._keys = Keys(Voices(output, channel=1)) if sounds_keys else None
        self._queue: deque[Ahead] = deque()
        # Of the notes that sound: when they end, the strike, the note.
        self._ends: list[tuple[float, int, Note]] = []
        self._changes: deque[Callable[[], None]] = deque()
        self._heard: deque[Event] = deque()
        self._lock = threading.RLock()
        self._to_make = threading.Event()
        self._to_send = threading.Event()
        self._stopping = False
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(turn, woken, hurry), name=name, daemon=True)
            for name, turn, woken, hurry in (
                ("maker", self.make, self._to_make, run_soon),
                ("sender", self.send, self._to_send, run_at_once),
            )
        ]

    def make(self) -> float:
        """Makes a note, where there is room for one. For the maker's thread alone.

        Returns:
            when to be called again: now where there may be more to make, infinite for when something was sent, heard
            or changed.
        """
        while self._heard:
            if self.source.hear(self._heard.popleft()):
                self._cut()
        while self._changes:
            self._make_anew(self._changes.popleft())
        now = self.clock.now()
        if self._is_full(now):
            return math.inf
        place = self.source.place()
        note = self.source.make(now)
        if note is None:
            return self.source.asks_again
        with self._lock:
            self._queue.append(Ahead(note, place))
        self._to_send.set()
        return now

    def send(self) -> float:
        """Strikes and releases what is due. For the sender's thread alone.

        Returns:
            when to be called again at the latest, in seconds on the clock; infinite for when something was made.
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

    def hear(self, event: Event) -> None:
        """Takes what a person plays; may be called on any thread."""
        self._heard.append(event)
        self._to_make.set()
        if self._keys is not None:
            try:
                self._keys.hear(event)
            except PortError as error:
                self._end(error)

    def change(self, apply: Callable[[], None]) -> None:
        """Lets something about the source be changed, on the thread that makes notes.

        The notes that are not to be struck in a moment are made anew, so that the change is heard at once.
        """
        self._changes.append(apply)
        self._to_make.set()

    def seen(self) -> tuple[list[Note], list[Note]]:
        """The notes that sound and the ones to come, for who draws them; `start` is their time on the clock."""
        with self._lock:
            return [note for _, _, note in self._ends], [ahead.note for ahead in self._queue]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Ends everything that sounds, and strikes nothing for as long as the block runs."""
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
        """Ends the threads and everything that sounds.

        Raises:
            PortError: the output went away meanwhile.
        """
        self._end()
        for thread in self._threads:
            if thread.is_alive():
                # A driver that does not return must not keep the rest from being silenced.
                thread.join(LONGEST_JOIN_SECONDS)
        with suppress(PortError):
            self._cut()
            if self._keys is not None:
                self._keys.silence()
        # Also where a port failed for a moment only: this ends what is not known to sound.
        with suppress(PortError):
            self.output.silence()
        if self._error is not None:
            raise self._error

    def _cut(self) -> None:
        """Drops the notes that were not struck yet, and ends those that sound."""
        with self._lock:
            self._queue.clear()
            self._ends.clear()
            self.voices.silence()

    def _strike(self, note: Note, now: float) -> None:
        late = now - note.start
        if late > TOO_LATE_SECONDS:
            self.lateness.skipped += 1
            return
        strike = self.voices.strike(note.pitch, note.velocity)
        self.lateness.add(late)
        end = max(note.start + note.duration, now + SHORTEST_SECONDS)
        heapq.heappush(self._ends, (end, strike, note))

    def _is_full(self, now: float) -> bool:
        count = len(self._queue)
        return count >= MOST_AHEAD or (count >= LEAST_AHEAD and self._queue[-1].note.start > now + AHEAD_SECONDS)

    def _make_anew(self, apply: Callable[[], None]) -> None:
        with self._lock:
            until = self.clock.now() + KEPT_SECONDS
            kept = sum(1 for ahead in self._queue if ahead.note.start < until or ahead.place is None)
            if kept < len(self._queue):
                self.source.go_to(self._queue[kept].place)
                while len(self._queue) > kept:
                    self._queue.pop()
        apply()

    def _run(self, turn: Callable[[], float], woken: threading.Event, hurry: Callable[[], None]) -> None:
        try:
            hurry()
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
    """A person's own keys and sustain pedal, sounded.

    Args:
        voices: of the channel that they sound on.
    """

    def __init__(self, voices: Voices) -> None:
        self._voices = voices
        self._pedal_is_down = False
        # Keys that are up again and sound by the pedal.
        self._sustained: set[int] = set()

    def hear(self, event: Event) -> None:
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
        """Releases every key."""
        self._voices.silence()
