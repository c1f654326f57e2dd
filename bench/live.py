"""How late live music is on this machine: played on its own, in answer to phrases, and in a duet.

A scripted player plays on a thread of its own, as a MIDI backend would. What is struck goes into memory, so the time of
a synthesizer or a cable comes on top. Run it as `python -m kerasmusic.bench.live [--seconds N] [MODEL]`.
"""

from __future__ import annotations

import argparse
import platform
import threading
import time
from collections.abc import Sequence

import numpy as np

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


def play_events(player: Player, events: Sequence[Event]) -> None:
    """Plays events at their times, on this thread, each with the time at which it really came."""
    for event in events:
        time.sleep(max(0.0, event.time - time.perf_counter()))
        player.hear(event._replace(time=time.perf_counter()))


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


def measure(source: Source, events: Sequence[Event], seconds: float) -> tuple[Player, MemoryOutput]:
    """Lets a player play for so long, with someone who plays events."""
    output = MemoryOutput()
    with Player(source, output) as player:
        hand = threading.Thread(target=play_events, args=(player, events))
        began = time.perf_counter()
        hand.start()
        time.sleep(max(0.0, seconds - (time.perf_counter() - began)))
        hand.join()
    return player, output


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description="How late live music is on this machine.")
    parser.add_argument("model", nargs="?", default=bundled_model(), help="a .tflite file (default: the bundled one)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each of the three (default: 60)")
    options = parser.parse_args(arguments)
    if options.seconds < 10:
        parser.error(f"{options.seconds:g}: there is no phrase in less than 10 seconds")
    print(f"{platform.machine()}, Python {platform.python_version()}, {options.seconds:g} s each")

    player, output = measure(Endless(Generator(options.model, seed=7)), [], options.seconds)
    print(f"on its own: {player.lateness}; {output.hanging} hanging")

    events, ends = phrases(time.perf_counter(), options.seconds)
    player, output = measure(Answers(Generator(options.model, seed=7)), events, options.seconds)
    strikes = np.array(output.strikes)
    # From the end of the phrase as it was planned; the hand's own lateness is within it.
    latencies = np.array([strikes[strikes >= end - 0.05].min(initial=np.inf) - end for end in ends])
    print(
        f"answers: {len(ends)} phrases, the first note after the phrase's end within {1000 * np.median(latencies):.1f} "
        f"ms for half of them, {1000 * latencies.max():.1f} ms for all; {player.lateness}; {output.hanging} hanging"
    )

    began, random = time.perf_counter(), np.random.default_rng(0)
    times = began + 0.5 + np.cumsum(random.uniform(0.08, 0.5, int(options.seconds / 0.3)))
    taps: list[Event] = [Strike(float(at), 60, 80) for at in times if at < began + options.seconds - 1]
    player, output = measure(Duet(Generator(options.model, seed=7), "time"), taps, options.seconds)
    print(f"duet, from a key to its note: {player.lateness}; {output.hanging} hanging")


if __name__ == "__main__":
    main()
