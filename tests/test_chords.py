import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasmusic.bundled import bundled_model
from kerasmusic.codec import TICKS_PER_SECOND
from kerasmusic.command_line import main
from kerasmusic.edge import Generator
from kerasmusic.edge.chords import OUTSIDE, QUALITIES, ChordTrack, chord_bias, parse_chord
from kerasmusic.errors import ArgumentError


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("C", {0, 4, 7}),
        ("Am", {9, 0, 4}),
        ("F#m7", {6, 9, 1, 4}),
        ("Bbmaj7", {10, 2, 5, 9}),
        ("Cb", {11, 3, 6}),
        ("C/G", {0, 4, 7}),
        ("C/Bb", {0, 4, 7, 10}),
        ("Bdim7", {11, 2, 5, 8}),
        (" Gsus4 ", {7, 0, 2}),
    ],
)
def test_a_chord_has_the_pitch_classes_of_its_name(text, classes):
    assert parse_chord(text) == classes


@pytest.mark.parametrize("text", ["H", "c", "Cmajor", "C/", "C/H", "C#b", "13", "Am/Gm", "C E"])
def test_what_is_no_chord_is_refused_by_name(text):
    with pytest.raises(ArgumentError, match=f"^{text}: no such chord"):
        parse_chord(text)


@given(st.sampled_from("ABCDEFG"), st.sampled_from(["", "#", "b"]), st.sampled_from(sorted(QUALITIES)))
def test_every_kind_of_chord_exists_on_every_root(name, accidental, quality):
    assert len(parse_chord(name + accidental + quality)) == len(QUALITIES[quality])


@pytest.mark.parametrize("chords", ["", " , ", "Am H"])
def test_a_progression_without_chords_is_refused(chords):
    with pytest.raises(ArgumentError, match=r"no chords|no such chord"):
        ChordTrack(chords)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_chord_has_a_length(seconds):
    with pytest.raises(ArgumentError, match="a chord lasts from"):
        ChordTrack("Am", seconds)


def test_chords_follow_each_other_over_and_over():
    track = ChordTrack("Am, F  C", seconds=0.5)
    found = [track.at(tick) for tick in (0, 49, 50, 100, 149, 150)]
    assert found == [parse_chord(name) for name in ("Am", "Am", "F", "C", "C", "Am")]


def test_the_bias_is_on_all_pitches_outside_a_chord():
    bias = chord_bias(parse_chord("Am"))
    assert bias.dtype == np.float32
    assert [pitch for pitch in range(60, 72) if bias[pitch] == 0] == [60, 64, 69]
    assert set(bias.tolist()) == {0.0, -OUTSIDE}
    assert not chord_bias(frozenset()).any()


def share(notes, track):
    inside = [
        pitch % 12 in track.at(round(start * TICKS_PER_SECOND))
        for start, pitch in zip(notes.start, notes.pitch, strict=True)
    ]
    return np.mean(inside)


def test_most_notes_are_in_the_chord_of_their_own_time():
    track = ChordTrack("Am F C G", 1.0)
    free, led = (
        Generator(bundled_model(), seed=4, chords=chords, chord_seconds=1.0, speed=9, polyphony=4.5, loudness=64).take(
            400
        )
        for chords in (None, "Am F C G")
    )
    assert share(led, track) > 0.85 > 0.5 > share(free, track)


def test_a_function_of_time_gives_the_same_notes_as_its_progression():
    names = ("Am", "F", "C", "G")
    by_text = Generator(bundled_model(), seed=2, chords="Am F C G", chord_seconds=2.0).take(200)
    by_function = Generator(bundled_model(), seed=2, chords=lambda seconds: names[int(seconds // 2) % 4]).take(200)
    assert by_function == by_text


def test_no_chord_leaves_the_music_alone():
    free = Generator(bundled_model(), seed=2).take(100)
    assert Generator(bundled_model(), seed=2, chords=lambda seconds: None).take(100) == free
    generator = Generator(bundled_model(), seed=2, chords="Am")
    generator.change(chords=None)
    assert generator.take(100) == free


def test_chords_are_in_a_key_and_can_be_changed_while_it_plays():
    generator = Generator(bundled_model(), seed=2, chords="C", key="A minor")
    generator.take(50)
    generator.change(chords="F")
    later = generator.take(200)
    assert share(later, ChordTrack("F")) > 0.8
    assert not np.isin(later.pitch % 12, [1, 3, 6, 10]).any()


def test_generate_follows_chords_and_its_piece_names_them(tmp_path, capsys):
    assert main(["generate", "--chords", "Am C/G", "--notes", "40", "--seed", "1", "-o", str(tmp_path / "a.mid")]) == 0
    name = capsys.readouterr().out.splitlines()[-1].removeprefix("piece ")
    assert name.endswith("/chords=Am,C%2FG/chord-seconds=2")
    assert main(["generate", "--piece", name, "-o", str(tmp_path / "b.mid")]) == 0
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()
    for options, words in ((["--chords", "Am X"], "X: no such chord"), (["--chord-seconds", "1"], "name some")):
        capsys.readouterr()
        assert main(["generate", *options, "-o", str(tmp_path / "c.mid")]) == 2
        assert words in capsys.readouterr().err
