import itertools

import numpy as np
import pytest

from kerasmusic.bundled import bundled_model
from kerasmusic.edge import Generator
from kerasmusic.errors import ArgumentError
from kerasmusic.live import Duet, Player
from kerasmusic.live.duet import LONGEST_WAIT_SECONDS, MAX_WAITING
from kerasmusic.live.inputs import Release, Strike
from simulated import MemoryOutput, SteppedClock, simulate

pytestmark = pytest.mark.device


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def output(clock):
    return MemoryOutput(clock)


def player_of(given, output, clock):
    return Player(Duet(Generator(bundled_model(), seed=7), given), output, clock)


def tapped(times, pitch=60):
    """Events of one key struck at the given times."""
    return [event for time in times for event in (Strike(time, pitch, 80), Release(time + 0.04, pitch))]


def test_keys_that_give_the_time_sound_at_once_at_pitches_of_the_models(clock, output):
    times = np.cumsum(np.random.default_rng(0).uniform(0.1, 0.7, 100)).tolist()
    player = player_of("time", output, clock)
    simulate(player, times[-1] + 1, tapped(times))
    assert [when for when, *_ in output.strikes] == pytest.approx(times, abs=0.005)
    pitches = [pitch for _, pitch, *_ in output.strikes]
    assert len(set(pitches)) > 8
    assert len({velocity for _, _, velocity, _ in output.strikes}) > 3
    player.stop()
    assert not output.sounding


def test_the_model_is_given_the_time_of_the_key(clock, output):
    player = player_of("time", output, clock)
    simulate(player, 8, tapped([1.0, 1.5, 1.75, 3.0]))
    assert player.source._generator.seconds == pytest.approx(2.0, abs=0.03)


def test_keys_that_give_the_pitch_sound_in_the_models_time(clock, output):
    pitches = [60, 64, 67, 72, 67, 64] * 5
    events = [Strike(1.0 + 0.02 * index, pitch, 80) for index, pitch in enumerate(pitches[:MAX_WAITING])]
    player = player_of("pitch", output, clock)
    simulate(player, 30, events)
    assert [pitch for _, pitch, *_ in output.strikes] == pitches[: len(events)]
    gaps = np.diff([when for when, *_ in output.strikes])
    assert gaps.max() <= LONGEST_WAIT_SECONDS + 0.05
    assert len(set(np.round(gaps, 2).tolist())) > 3
    player.stop()
    assert not output.sounding


def test_after_a_rest_a_pitch_sounds_at_once_and_the_model_is_given_the_rest(clock, output):
    player = player_of("pitch", output, clock)
    simulate(player, 20, [Strike(1.0, 60, 80), Strike(9.0, 64, 80)])
    assert [when for when, *_ in output.strikes] == pytest.approx([1, 9], abs=LONGEST_WAIT_SECONDS + 0.05)
    heard = player.source._generator.seconds
    assert heard == pytest.approx(output.strikes[1][0] - output.strikes[0][0], rel=0.1)


@pytest.mark.parametrize("given", ["pitch", "time"])
def test_an_hour_of_keys_leaves_no_note_hanging(given, clock, output):
    random = np.random.default_rng(1)
    times = itertools.takewhile(lambda time: time < 3590, np.cumsum(random.exponential(0.5, 8000)).tolist())
    events = [Strike(time, int(random.integers(21, 109)), 64) for time in times]
    player = player_of(given, output, clock)
    simulate(player, 3600, events)
    assert len(output.strikes) > 6_000
    assert player.lateness.within(0.99) <= 0.010
    player.stop()
    assert not output.sounding
    assert len(output.strikes) == len(output.releases)


def test_of_too_many_keys_the_oldest_are_dropped():
    duet = Duet(Generator(bundled_model(), seed=7), "pitch")
    for index in range(40):
        duet.handle(Strike(0.0, 40 + index, 64))
    pitches = [duet.make(0.0).pitch for _ in range(MAX_WAITING)]
    assert pitches == list(range(40 + 40 - MAX_WAITING, 80))
    assert duet.make(0.0) is None


def test_anything_but_pitch_or_time_is_refused():
    with pytest.raises(ArgumentError, match="loudness: in a duet"):
        Duet(Generator(bundled_model()), "loudness")


class EchoingOutput(MemoryOutput):
    """A piano that sends back each key that it receives."""

    def __init__(self, clock, delay):
        super().__init__(clock)
        self.delay = delay
        self.player = None

    def note_on(self, pitch, velocity, channel=0):
        super().note_on(pitch, velocity, channel)
        self.player.handle(Strike(self.clock.now() + self.delay, pitch, velocity))

    def note_off(self, pitch, channel=0):
        super().note_off(pitch, channel)
        self.player.handle(Release(self.clock.now() + self.delay, pitch))


@pytest.mark.parametrize("given", ["pitch", "time"])
@pytest.mark.parametrize("delay", [0.0, 0.002, 0.025])
def test_an_echoing_piano_does_not_play_with_itself(given, delay, clock):
    output = EchoingOutput(clock, delay)
    player = output.player = player_of(given, output, clock)
    simulate(player, 10, tapped([1.0, 2.0, 3.0]))
    assert len(output.strikes) == 3
    player.stop()
    assert not output.sounding


def test_a_key_that_is_struck_again_soon_is_no_echo(clock, output):
    player = player_of("time", output, clock)
    simulate(player, 5, tapped([1.0, 1.08, 1.16, 1.24]))
    assert len(output.strikes) == 4
