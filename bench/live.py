"""Measures the lateness of live music: endless playing, answers to phrases, and duets.

A scripted performer plays on a separate thread, as a MIDI backend would. The output only records times, so the latency
of a synthesizer or a cable is not included. Run it as `python -m kerasmusic.bench.live [--seconds N] [MODEL]`.
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
    """Records the time of each strike, and counts hanging notes."""

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
        """Does nothing, so that hanging notes are counted."""

    def check(self) -> None:
        """Does nothing, since memory cannot be disconnected."""

    def close(self) -> None:
        """Does nothing, since there is nothing to close."""


def play_events(player: Player, events: Sequence[Event]) -> list[float]:
    """Plays events at their times on this thread; returns the time at which each was played."""
    times = []
    for event in events:
        time.sleep(max(0.0, event.time - time.perf_counter()))
        times.append(time.perf_counter())
        player.handle(event._replace(time=times[-1]))
    return times


def phrases(begins: float, seconds: float) -> tuple[list[Event], list[float]]:
    """Events of phrases of four to sixteen notes, with pauses for answers, and the times at which the phrases end."""
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
    """Runs a player with a scripted performer; returns the player, its output and the times of the events."""
    output = MemoryOutput()
    began = time.perf_counter()
    with Player(source, output) as player:
        times = play_events(player, events)
        time.sleep(max(0.0, seconds - (time.perf_counter() - began)))
    return player, output, times


def percentiles(seconds: NDArray[np.float64]) -> str:
    """The percentiles of times, in words."""
    half, most, every = (1000 * np.percentile(seconds, share) for share in (50, 99, 100))
    return f"half within {half:.1f} ms, 99 % within {most:.1f} ms, all within {every:.1f} ms"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints the results."""
    parser = argparse.ArgumentParser(description="Measures the lateness of live music.")
    parser.add_argument("model", nargs="?", default=bundled_model(), help="a .tflite file (default: the bundled model)")
    parser.add_argument("--seconds", type=float, default=60.0, help="the time for each of the three (default: 60)")
    options = parser.parse_args(arguments)
    if options.seconds < 10:
        parser.error(f"{options.seconds:g}: at least 10 seconds are needed for a phrase")
    print(f"{platform.machine()}, Python {platform.python_version()}, {options.seconds:g} s each")

    player, output, _ = measure(Endless(Generator(options.model, seed=7)), [], options.seconds)
    print(f"on its own: {player.lateness}; {output.hanging} hanging")

    answers = Answers(Generator(options.model, seed=7))
    events, _ = phrases(time.perf_counter(), options.seconds)
    player, output, times = measure(answers, events, options.seconds)
    # A phrase ends with a release that is followed by a pause.
    ends = [at + PAUSE_SECONDS for at, after in itertools.pairwise([*times, np.inf]) if after - at > PAUSE_SECONDS]
    strikes = np.array(output.strikes)
    latencies = np.array([strikes[strikes >= end - 0.05].min(initial=np.inf) - end for end in ends])
    print(f"answers: {player.lateness}; {output.hanging} hanging")
    print(f"from the phrase's end to the answer's first note, {len(ends)} phrases: {percentiles(latencies)}")

    random = np.random.default_rng(0)
    taps = np.cumsum(random.uniform(0.08, 0.5, int(options.seconds / 0.3)))
    began = time.perf_counter() + 0.5
    duet = Duet(Generator(options.model, seed=7), "time")
    keys: list[Event] = [Strike(began + float(at), 60, 80) for at in taps if at < options.seconds - 1]
    player, output, times = measure(duet, keys, options.seconds)
    print(f"duet: {player.lateness}; {output.hanging} hanging")
    print(f"from a key to its note, {len(keys)} keys: {percentiles(np.array(output.strikes) - np.array(times))}")


if __name__ == "__main__":
    main()
