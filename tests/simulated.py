"""Simulations for tests of live music: clocks, an output in memory and a scripted performer."""

import heapq
import time
from collections.abc import Callable
from typing import NamedTuple

from kerasmusic.live.inputs import Release, Strike


class Happening(NamedTuple):
    """Something that happens in a simulation: `act` is called at its time."""

    time: float
    number: int
    act: Callable[[], object]


class SteppedClock:
    """A clock that only moves when it is set, for tests without threads."""

    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def wait(self, woken, until):
        raise AssertionError("nothing waits here")


class FastClock:
    """A clock that runs faster than real time by a factor."""

    def __init__(self, speed):
        self.speed = speed
        self.began = time.perf_counter()

    def now(self):
        return (time.perf_counter() - self.began) * self.speed

    def wait(self, woken, until):
        if until == float("inf"):
            woken.wait()
        elif until > self.now():
            woken.wait((until - self.now()) / self.speed)


class MemoryOutput:
    """Records events and tracks the sounding keys, as a synthesizer does."""

    def __init__(self, clock):
        self.clock = clock
        self.strikes = []
        self.releases = []
        self.sounding = set()
        self.fails = False
        self.silenced = 0

    def note_on(self, pitch, velocity, channel=0):
        if self.fails:
            raise self.fails
        assert 0 <= pitch <= 127
        assert 1 <= velocity <= 127
        # A sounding key must be released before it is struck again.
        assert (channel, pitch) not in self.sounding
        self.sounding.add((channel, pitch))
        self.strikes.append((self.clock.now(), pitch, velocity, channel))

    def note_off(self, pitch, channel=0):
        if self.fails:
            raise self.fails
        self.sounding.remove((channel, pitch))
        self.releases.append((self.clock.now(), pitch, channel))

    def silence(self):
        self.silenced += 1

    def check(self):
        pass

    def close(self):
        pass


def events_of(notes, begins=0.0):
    """The key events of a performer who plays the given notes."""
    events = [event for note in notes.without_overlaps() for event in (
        Strike(begins + note.start, note.pitch, note.velocity),
        Release(begins + note.start + max(note.duration, 0.02) - 0.001, note.pitch),
    )]  # fmt: skip
    return sorted(events, key=lambda event: event.time)


def simulate(player, seconds, events=(), *, making=0.001, each=None):
    """Runs a player on its stepped clock for a number of seconds.

    Args:
        events: the performer's key events, or happenings.
        making: seconds to generate each note, during which nothing else runs, as on one slow core.
        each: called after each turn.
    """
    clock, coming = player.clock, list(events)
    heapq.heapify(coming)
    while clock.time < seconds:
        while coming and coming[0].time <= clock.time:
            event = heapq.heappop(coming)
            if isinstance(event, Happening):
                event.act()
            else:
                player.handle(event)
        made = player.make()
        if made <= clock.time:
            clock.time += making
        struck = player.lateness.notes
        due = player.send()
        if each is not None:
            each()
        # Nothing is due, and nothing can be made: advance to the next event.
        if made > clock.time and struck == player.lateness.notes:
            clock.time = max(clock.time, min(due, made, coming[0].time if coming else seconds, seconds))
