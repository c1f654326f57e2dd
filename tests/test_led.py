"""A piece that follows the chords of the user's left hand."""

import numpy as np
import pytest

from kerasmusic.bundled import bundled_model
from kerasmusic.command_line import main
from kerasmusic.edge.generator import Generator
from kerasmusic.errors import ArgumentError
from kerasmusic.live.inputs import Release, Strike
from kerasmusic.live.led import Led
from kerasmusic.live.performance import PlayOptions
from kerasmusic.live.player import Player
from simulated import MemoryOutput, SteppedClock, simulate

F_MAJOR, D_MINOR = (53, 57, 48), (50, 53, 57)


def chord(time, pitches):
    """A chord that is held for a second."""
    return [
        *(Strike(time + 0.002 * index, pitch, 70) for index, pitch in enumerate(pitches)),
        *(Release(time + 1, pitch) for pitch in pitches),
    ]


def played(events, seconds=40, seed=7):
    clock = SteppedClock()
    output = MemoryOutput(clock)
    generator = Generator(bundled_model("small"), seed=seed, speed=9, polyphony=4.5, loudness=64)
    player = Player(Led(generator), output, clock)
    simulate(player, seconds, sorted(events))
    return player, [(when, pitch) for when, pitch, *_ in output.strikes]


def share(strikes, begins, ends, classes):
    pitches = [pitch % 12 for when, pitch in strikes if begins <= when < ends]
    assert len(pitches) > 30
    return np.isin(pitches, list(classes)).mean()


def test_the_chord_that_is_held_is_played_in_and_lasts():
    free, strikes = played([])[1], played([*chord(5, F_MAJOR), *chord(20, D_MINOR)])[1]
    assert strikes[:20] == free[:20]
    assert share(strikes, 5.5, 20, {5, 9, 0}) > 0.8 > share(free, 5.5, 20, {5, 9, 0})
    assert share(strikes, 20.5, 40, {2, 5, 9}) > 0.8


def test_a_chord_takes_effect_at_once_and_leaves_what_sounds():
    player, strikes = played(chord(5, F_MAJOR))
    soon = [pitch % 12 for when, pitch in strikes if 5.2 <= when < 7]
    assert np.isin(soon, [5, 9, 0]).mean() > 0.6
    assert not player.lateness.late


def test_the_right_hand_and_releases_change_nothing():
    right = [*chord(5, (60, 64, 67)), Release(9, 40)]
    assert played(right)[1] == played([])[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"follow": "chords"}, "--follow needs your keys"),
        ({"follow": "chords", "midi_in": "x", "duet": "time"}, "leave out --duet"),
        ({"follow": "tempo", "midi_in": "x"}, "tempo: no such part of your playing to follow; there are chords"),
    ],
)
def test_what_cannot_be_followed_is_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        PlayOptions(**options)


def test_chords_come_from_one_place(capsys):
    assert main(["play", "--midi-in", "x", "--follow", "chords", "--chords", "Am F"]) == 2
    assert "Am F: --chords gives the chords that --follow takes from you" in capsys.readouterr().err
