import numpy as np
import pytest

from kerasmusic.edge.controls import RULED_OUT, parse_key, parse_range, pitch_bias
from kerasmusic.errors import ArgumentError
from kerasmusic.pitch_names import parse_pitch, pitch_name

pytestmark = pytest.mark.device


def test_every_pitch_has_a_name_that_means_it():
    assert [parse_pitch(pitch_name(pitch)) for pitch in range(128)] == list(range(128))


def test_a_key_has_the_pitch_classes_of_its_scale():
    assert parse_key("C major") == parse_key("c") == {0, 2, 4, 5, 7, 9, 11}
    assert parse_key("F# minor") >= {6, 8, 9, 11, 1, 2, 4}
    assert parse_key("Bb") == parse_key("A# maj")


def test_key_and_range_rule_out_every_other_pitch():
    bias = pitch_bias(key="G major", pitch_range="C3-C5")
    allowed = np.flatnonzero(bias == 0)
    assert allowed.min() == 48
    assert allowed.max() == 72
    assert set(allowed % 12) == parse_key("G major")
    assert set(bias[bias != 0]) == {RULED_OUT}


@pytest.mark.parametrize(
    ("parse", "wrong"),
    [
        (parse_key, "H major"),
        (parse_key, "C dorian"),
        (parse_range, "C5"),
        (parse_range, "C5-C3"),
        (parse_pitch, "200"),
    ],
)
def test_what_is_no_key_range_or_pitch_is_refused_with_its_value(parse, wrong):
    with pytest.raises(ArgumentError, match=wrong):
        parse(wrong)


def test_a_range_without_a_pitch_of_the_key_is_refused():
    with pytest.raises(ArgumentError, match="no pitch of the key"):
        pitch_bias(key="C major", pitch_range="C#4-C#4")


@pytest.mark.parametrize(
    ("text", "pitch"), [("C4", 60), ("c4", 60), ("Bb3", 58), ("B#3", 60), ("C-1", 0), ("G9", 127), (" 48 ", 48)]
)
def test_pitches_are_read_from_names_and_numbers(text, pitch):
    assert parse_pitch(text) == pitch


@pytest.mark.parametrize("text", ["", "H4", "C", "-1", "C10", "Cb-1", "G#9", "128", "4C", "middle C"])
def test_what_is_no_pitch_is_refused(text):
    with pytest.raises(ArgumentError, match=r"not a (MIDI )?pitch"):
        parse_pitch(text)


@pytest.mark.parametrize(
    ("text", "low_high"), [("C3-C5", (48, 72)), ("36-84", (36, 84)), ("C-1-G9", (0, 127)), (" a0 - 108 ", (21, 108))]
)
def test_ranges_are_read_from_names_and_numbers(text, low_high):
    assert parse_range(text) == low_high


def test_the_minor_has_both_sevenths():
    assert parse_key("A minor") == parse_key("am") == parse_key("a min") == {9, 11, 0, 2, 4, 5, 7, 8}


def test_without_wishes_nothing_is_ruled_out():
    bias = pitch_bias()
    assert bias.dtype == np.float32
    assert bias.shape == (128,)
    assert not bias.any()


def test_a_range_of_one_pitch_leaves_that_pitch():
    assert np.flatnonzero(pitch_bias(pitch_range="60-60") == 0).tolist() == [60]
