"""How late live music is on this machine: played on its own, in answer to phrases, and in a duet.

A scripted player plays on a thread of its own, as a MIDI backend would. What is struck goes into memory, so the time of
a synthesizer or a cable comes on top. Run it as `python -m kerasmusic.bench.live [--seconds N] [MODEL]`.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kerasmusic.bundled import bundled_model
from kerasmusic.edge import Generator
from kerasmusic.live import Answers, Duet, Endless, Player, Source
from kerasmusic.live.answers import PAUSE_SECONDS
from kerasmusic.live.inputs import Event, Release, Strike

SCALE = (60, 62, 64, 65, 67, 69, 71, 72)


class MemoryOutput:
    """Keeps when each note was struck, and counts those that hang."""

    def __init__(self) -> None:
        self.strikes: list[float] = []
        self.hanging = 0

    def note_on(self, pitch: int, velocity: int, channel: int = 0) -> None:
        """Strikes a key."""
        self.strikes.append(time.perf_counter())
        self.hanging += 1

    def note_off(self, pitch: int, channel: int = 0) -> None:
        """Releases a key."""
        self.hanging -= 1

    def silence(self) -> None:
        """Nothing sounds that was not released."""

    def check(self) -> None:
        """Memory does not go away."""

    def close(self) -> None:
        """There is nothing to let go of."""


def play_events(player: Player, events: Sequence[Event]) -> list[float]:
    """Plays events at their times, on this thread; returns when each of them really was played."""
    times = []
    for event in events:
        time.sleep(max(0.0, event.time - time.perf_counter()))
        times.append(time.perf_counter())
        player.hear(event._replace(time=times[-1]))
    return times


def phrases(begins: float, seconds: float) -> tuple[list[Event], list[float]]:
    """Phrases of four to sixteen notes with pauses to answer in, and when each of them ends."""
    random = np.random.default_rng(0)
    events: list[Event] = []
    ends = []
    at = begins + 0.5
    while at < begins + seconds - 8:
        for index in range(int(random.integers(4, 17))):
            pitch = SCALE[index % len(SCALE)]
            events += [Strike(at, pitch, int(random.integers(40, 100))), Release(at + 0.1, pitch)]
            at += float(random.choice([0.15, 0.2, 0.3]))
        ends.append(events[-1].time + PAUSE_SECONDS)
        at = ends[-1] + 2.5
    return events, ends


def measure(source: Source, events: Sequence[Event], seconds: float) -> tuple[Player, MemoryOutput, list[float]]:
    """Lets a player play for so long, with someone who plays events; also returns when each was played."""
    ear = MemoryOutput()
    began = time.perf_counter()
    with Player(source, ear) as player:
        times = play_events(player, events)
        time.sleep(max(0.0, seconds - (time.perf_counter() - began)))
    return player, ear, times


def spread(seconds: NDArray[np.float64]) -> str:
    """How long something took, in words."""
    half, most, every = (1000 * np.percentile(seconds, share) for share in (50, 99, 100))
    return f"half within {half:.1f} ms, 99 % within {most:.1f} ms, all within {every:.1f} ms"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description="How late live music is on this machine.")
    parser.add_argument("model", nargs="?", default=bundled_model(), help="a .tflite file (default: the bundled one)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each of the three (default: 60)")
    options = parser.parse_args(arguments)
    if options.seconds < 10:
        parser.error(f"{options.seconds:g}: there is no phrase in less than 10 seconds")
    print(f"{platform.machine()}, Python {platform.python_version()}, {options.seconds:g} s each")

    player, ear, _ = measure(Endless(Generator(options.model, seed=7)), [], options.seconds)
    print(f"on its own: {player.lateness}; {ear.hanging} hanging")

    answers = Answers(Generator(options.model, seed=7))
    events, _ = phrases(time.perf_counter(), options.seconds)
    player, ear, times = measure(answers, events, options.seconds)
    # A phrase ends with a release that nothing follows for as long as the pause.
    ends = [at + PAUSE_SECONDS for at, after in itertools.pairwise([*times, np.inf]) if after - at > PAUSE_SECONDS]
    strikes = np.array(ear.strikes)
    latencies = np.array([strikes[strikes >= end - 0.05].min(initial=np.inf) - end for end in ends])
    print(f"answers: {player.lateness}; {ear.hanging} hanging")
    print(f"from the phrase's end to the answer's first note, {len(ends)} phrases: {spread(latencies)}")

    random = np.random.default_rng(0)
    taps = np.cumsum(random.uniform(0.08, 0.5, int(options.seconds / 0.3)))
    began = time.perf_counter() + 0.5
    duet = Duet(Generator(options.model, seed=7), "time")
    keys: list[Event] = [Strike(began + float(at), 60, 80) for at in taps if at < options.seconds - 1]
    player, ear, times = measure(duet, keys, options.seconds)
    print(f"duet: {player.lateness}; {ear.hanging} hanging")
    print(f"from a key to its note, {len(keys)} keys: {spread(np.array(ear.strikes) - np.array(times))}")


if __name__ == "__main__":
    main()
