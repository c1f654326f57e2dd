"""Phrase: collects the notes that the user has played since the last answer from key events."""

from __future__ import annotations

from collections import deque

from kerasmusic.live.inputs import Event, Pedal, Release, Strike
from kerasmusic.notes import Note, Notes

# If a phrase does not end, only its last notes are kept.
MAX_NOTES = 1_000


class Phrase:
    """Makes notes from events of keys and the sustain pedal.

    >>> phrase = Phrase()
    >>> for event in (Strike(10.0, 60, 80), Strike(10.5, 64, 70), Release(10.6, 60), Release(11.0, 64)):
    ...     phrase.handle(event)
    >>> phrase.notes(until=12.0).end.tolist()
    [0.5999999999999996, 1.0]
    """

    def __init__(self) -> None:
        self._pedal_is_down = False
        self._held: dict[int, Strike] = {}
        self._sustained: dict[int, Strike] = {}
        self._notes: deque[Note] = deque(maxlen=MAX_NOTES)
        #: The time of the last strike on the clock.
        self.last = 0.0

    @property
    def is_held(self) -> bool:
        """Whether a key is down."""
        return bool(self._held)

    def __len__(self) -> int:
        return len(self._notes) + len(self._held) + len(self._sustained)

    def clear(self) -> None:
        """Removes all notes, including those that still sound; the state of the pedal is kept."""
        self._held.clear()
        self._sustained.clear()
        self._notes.clear()

    def handle(self, event: Event) -> None:
        """Adds an event."""
        match event:
            case Strike(time, pitch, _):
                self.last = time
                # A key that is struck again ends its earlier note.
                self._end(self._held, pitch, time)
                self._end(self._sustained, pitch, time)
                self._held[pitch] = event
            case Release(time, pitch):
                if self._pedal_is_down and pitch in self._held:
                    self._sustained[pitch] = self._held.pop(pitch)
                self._end(self._held, pitch, time)
            case Pedal(time, is_down):
                self._pedal_is_down = is_down
                if not is_down:
                    for pitch in list(self._sustained):
                        self._end(self._sustained, pitch, time)

    def notes(self, until: float) -> Notes:
        """The notes so far, with the first at 0; notes that still sound end at the clock's time `until`."""
        sounding = [
            Note(strike.time, strike.pitch, max(until - strike.time, 0.0), strike.velocity)
            for strike in (*self._held.values(), *self._sustained.values())
        ]
        played = [*self._notes, *sounding]
        begins = min((note.start for note in played), default=0.0)
        return Notes.from_iterable([note._replace(start=note.start - begins) for note in played])

    def _end(self, strikes: dict[int, Strike], pitch: int, time: float) -> None:
        strike = strikes.pop(pitch, None)
        if strike is not None:
            self._notes.append(Note(strike.time, pitch, max(time - strike.time, 0.0), strike.velocity))
