import numpy as np
import pandas
import pytest

from kerasmusic.errors import ArgumentError
from kerasmusic.notes import Note, Notes


def test_notes_are_sorted_by_onset_then_pitch():
    notes = Notes([1.0, 0.0, 1.0], [64, 72, 60], [0.1, 0.2, 0.3], [1, 2, 3])
    assert list(notes) == [Note(0.0, 72, 0.2, 2), Note(1.0, 60, 0.3, 3), Note(1.0, 64, 0.1, 1)]
    assert notes.step.tolist() == [0.0, 1.0, 0.0]
    assert notes.seconds == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([-1.0], [60], [1.0], [64]), "start of -1.0"),
        (([0.0], [128], [1.0], [64]), "pitch of 128"),
        (([0.0], [60], [-0.5], [64]), "duration of -0.5"),
        (([0.0], [60], [1.0], [0]), "velocity of 0"),
        (([float("nan")], [60], [1.0], [64]), "start of nan"),
        (([0.0], [60], [float("inf")], [64]), "duration of inf"),
        (([0.0, 1.0], [60], [1.0], [64]), "of one length"),
    ],
)
def test_impossible_notes_are_refused_with_their_value(columns, message):
    with pytest.raises(ArgumentError, match=message):
        Notes(*columns)


def test_columns_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        Notes([0.0], [60], [1.0], [64]).start[0] = 1


def test_a_key_struck_again_ends_its_former_note():
    notes = Notes([0.0, 1.0, 1.0, 2.0], [60, 60, 60, 62], [5.0, 3.0, 0.5, 1.0], [64] * 4)
    assert notes.restruck().duration.tolist() == [1.0, 3.0, 0.5, 1.0]


def test_silence_before_the_first_note_can_be_left_out():
    assert Notes([2.0, 3.0], [60, 62], [1, 1], [64, 64]).from_first().start.tolist() == [0.0, 1.0]
    assert len(Notes.empty().from_first()) == 0


def test_slices_and_masks_keep_onsets(notes):
    assert notes[10:20].start.tolist() == notes.start[10:20].tolist()
    assert len(notes[notes.pitch > 60]) == int((notes.pitch > 60).sum())
    assert Notes.from_iterable(list(notes)) == notes


def test_pretty_midi_and_back_is_the_same_within_a_millisecond(notes):
    back = Notes.from_pretty_midi(notes.to_pretty_midi())
    assert back.pitch.tolist() == notes.pitch.tolist()
    for name in ("start", "end", "velocity"):
        np.testing.assert_allclose(getattr(back, name), getattr(notes, name), atol=1e-3)


def test_a_dataframe_has_the_tutorials_columns_and_comes_back(notes):
    frame = notes.to_dataframe()
    assert {"pitch", "start", "end", "step", "duration"} <= set(frame.columns)
    assert Notes.from_dataframe(frame) == notes
    steps = Notes.from_dataframe(pandas.DataFrame({"pitch": [60, 62], "step": [0.5, 0.5], "duration": [1, 1]}))
    assert steps.start.tolist() == [0.5, 1.0]
    assert steps.velocity.tolist() == [100, 100]
    with pytest.raises(ArgumentError, match="need the columns"):
        Notes.from_dataframe(pandas.DataFrame({"pitch": [60]}))
