import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasmusic import midi
from kerasmusic.errors import ArgumentError
from kerasmusic.notes import Note, Notes

pytestmark = pytest.mark.device


def test_notes_are_sorted_by_onset_then_pitch():
    notes = Notes([1.0, 0.0, 1.0], [64, 72, 60], [0.1, 0.2, 0.3], [1, 2, 3])
    assert list(notes) == [Note(0.0, 72, 0.2, 2), Note(1.0, 60, 0.3, 3), Note(1.0, 64, 0.1, 1)]
    assert notes.step.tolist() == [0.0, 1.0, 0.0]
    assert notes.seconds == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([-1.0], [60], [1.0], [64]), "start of -1"),
        (([0.0], [128], [1.0], [64]), "pitch of 128"),
        (([0.0], [-1], [1.0], [64]), "pitch of -1"),
        (([0.0], [2**40], [1.0], [64]), "pitch"),
        (([0.0], [float("nan")], [1.0], [64]), "pitch"),
        (([0.0], [60], [-0.5], [64]), "duration of -0.5"),
        (([0.0], [60], [1.0], [0]), "velocity of 0"),
        (([0.0], [60], [1.0], [128]), "velocity of 128"),
        (([0.0], [60], [float("nan")], [64]), "duration of nan"),
        (([float("inf")], [60], [1.0], [64]), "start of inf"),
        (([float("nan")], [60], [1.0], [64]), "start of nan"),
        (([0.0], [60], [float("inf")], [64]), "duration of inf"),
        (([0.0, 1.0], [60], [1.0], [64]), "of one length"),
        (([[0.0]], [[60]], [[1.0]], [[64]]), "of one length"),
    ],
)
def test_impossible_notes_are_refused_with_their_value(columns, message):
    with pytest.raises(ArgumentError, match=message):
        Notes(*columns)


@pytest.mark.parametrize("column", ["start", "pitch", "duration", "velocity"])
def test_columns_cannot_be_written_to(column):
    with pytest.raises(ValueError, match="read-only"):
        getattr(Notes([0.0], [60], [1.0], [64]), column)[0] = 1


def test_columns_do_not_change_with_the_array_they_came_from():
    start = np.array([0.0, 1.0])
    notes = Notes(start, [60, 62], [1.0, 1.0], [64, 64])
    start[0] = 0.5
    assert notes.start.tolist() == [0.0, 1.0]


def test_a_key_struck_again_ends_its_earlier_note():
    notes = Notes([0.0, 1.0, 2.0], [60, 60, 62], [5.0, 3.0, 1.0], [64] * 3)
    assert notes.without_overlaps().duration.tolist() == [1.0, 3.0, 1.0]


def test_of_strikes_of_a_key_at_once_one_is_kept_with_the_louder_velocity_and_the_longer_duration():
    notes = Notes([0.0, 1.0, 1.0, 1.0], [60, 60, 60, 62], [5.0, 3.0, 0.5, 1.0], [64, 30, 90, 64])
    assert list(notes.without_overlaps()) == [(0.0, 60, 1.0, 64), (1.0, 60, 3.0, 90), (1.0, 62, 1.0, 64)]


def test_silence_before_the_first_note_can_be_left_out():
    assert Notes([2.0, 3.0], [60, 62], [1, 1], [64, 64]).without_leading_silence().start.tolist() == [0.0, 1.0]
    assert len(Notes.empty().without_leading_silence()) == 0


def test_slices_and_masks_keep_onsets(notes):
    assert notes[10:20].start.tolist() == notes.start[10:20].tolist()
    assert notes[3] == notes[np.int64(3)] == list(notes)[3]
    assert notes[-1] == list(notes)[-1]
    with pytest.raises(IndexError):
        notes[len(notes)]
    assert len(notes[notes.pitch > 60]) == int((notes.pitch > 60).sum())
    assert Notes.from_iterable(list(notes)) == notes


def test_pretty_midi_and_back_is_the_same_within_a_millisecond(notes):
    back = midi.from_pretty_midi(midi.to_pretty_midi(notes))
    assert back.pitch.tolist() == notes.pitch.tolist()
    for name in ("start", "end", "velocity"):
        np.testing.assert_allclose(getattr(back, name), getattr(notes, name), atol=1e-3)


def test_a_dataframe_has_the_tutorials_columns_and_comes_back(notes):
    pandas = pytest.importorskip("pandas")
    frame = notes.to_dataframe()
    assert {"pitch", "start", "end", "step", "duration"} <= set(frame.columns)
    assert Notes.from_dataframe(frame) == notes
    steps = Notes.from_dataframe(pandas.DataFrame({"pitch": [60, 62], "step": [0.5, 0.5], "duration": [1, 1]}))
    assert steps.start.tolist() == [0.5, 1.0]
    assert steps.velocity.tolist() == [100, 100]
    with pytest.raises(ArgumentError, match="need the columns"):
        Notes.from_dataframe(pandas.DataFrame({"pitch": [60]}))


@st.composite
def random_notes(draw):
    """Notes of few keys and onsets, so that keys are struck repeatedly and simultaneously."""
    rows = st.tuples(st.integers(0, 30), st.integers(60, 63), st.integers(0, 40), st.integers(1, 127))
    drawn = draw(st.lists(rows, max_size=40))
    start, pitch, duration, velocity = zip(*drawn, strict=True) if drawn else ([], [], [], [])
    return Notes(np.array(start) / 8, pitch, np.array(duration) / 8, velocity)


@settings(deadline=None, max_examples=100)
@given(random_notes())
def test_restruck_notes_end_where_they_did_or_at_the_next_strike_of_their_key(notes):
    without_overlaps = notes.without_overlaps()
    assert [note[:2] for note in without_overlaps] == sorted({note[:2] for note in notes})
    for note in without_overlaps:
        at_once = [other for other in notes if other[:2] == note[:2]]
        strikes = [other.start for other in notes if other.pitch == note.pitch and other.start > note.start]
        # Eighths of a second are exact in binary.
        longest = max(other.duration for other in at_once)
        assert note.duration == min([longest, *(start - note.start for start in strikes)])
        assert note.velocity == max(other.velocity for other in at_once)
    assert without_overlaps.without_overlaps() == without_overlaps


@settings(deadline=None, max_examples=100)
@given(random_notes())
def test_steps_add_up_to_onsets_and_the_last_end_is_the_length(notes):
    np.testing.assert_array_equal(np.cumsum(notes.step), notes.start)
    assert np.all(notes.step >= 0)
    assert notes.seconds == max([note.start + note.duration for note in notes], default=0.0)


def test_iteration_gives_plain_numbers(notes):
    first = next(iter(notes))
    assert [type(value) for value in first] == [float, int, float, int]
    assert first == Note(notes.start[0], notes.pitch[0], notes.duration[0], notes.velocity[0])
    assert Notes.from_iterable([]) == Notes.empty()


def test_notes_differ_when_any_column_does():
    columns = {"start": [0.0], "pitch": [60], "duration": [1.0], "velocity": [64]}
    for name, other in (("start", [0.5]), ("pitch", [61]), ("duration", [2.0]), ("velocity", [65])):
        assert Notes(**columns) != Notes(**{**columns, name: other})
    assert Notes(**columns) == Notes(**columns)
    assert Notes(**columns) != "notes"


def test_notes_are_not_moved_to_before_the_beginning():
    assert Notes([1.0], [60], [1.0], [64]).shifted(-0.5).start.tolist() == [0.5]
    with pytest.raises(ArgumentError, match=r"start of -0\.5"):
        Notes([1.0], [60], [1.0], [64]).shifted(-1.5)


def test_a_step_that_was_edited_is_a_conflict_with_the_starts(notes):
    frame = notes[:10].to_dataframe()
    frame.loc[3, "step"] += 0.5
    with pytest.raises(
        ArgumentError, match=r"row 3 has the step .+, but by start it is .+frame\.drop\(columns='step'\)"
    ):
        Notes.from_dataframe(frame)
    assert Notes.from_dataframe(frame.drop(columns="step")) == notes[:10]
    moved = Notes.from_dataframe(frame.drop(columns=["start", "end"]))
    np.testing.assert_allclose(moved.start[3:], notes.start[3:10] + 0.5)


def test_an_end_that_was_edited_is_a_conflict_with_the_durations(notes):
    frame = notes[:10].to_dataframe()
    frame.loc[2, "end"] += 0.5
    with pytest.raises(ArgumentError, match="row 2 has the end"):
        Notes.from_dataframe(frame)


def test_a_part_of_a_dataframe_and_one_of_the_tutorial_come_back(notes):
    frame = notes.to_dataframe()
    assert Notes.from_dataframe(frame[10:20]) == notes[10:20]
    frame.loc[0, "step"] = 0.0
    assert Notes.from_dataframe(frame) == notes
    frame.loc[0, "step"] = frame.loc[0, "start"] + 1
    with pytest.raises(ArgumentError, match="row 0 has the step"):
        Notes.from_dataframe(frame)


@pytest.mark.parametrize("column", ["pitch", "velocity"])
def test_pitches_and_velocities_are_whole_numbers(column):
    row = Note(0.0, 60, 1.0, 64)._replace(**{column: 60.5})
    with pytest.raises(ArgumentError, match=f"note 0 has a {column} of 60.5, not a whole number within"):
        Notes.from_iterable([row])


def test_rows_that_are_no_notes_are_refused():
    with pytest.raises(ArgumentError, match="note 1 has 3 values, not 4"):
        Notes.from_iterable([Note(0.0, 60, 1.0, 64), (0.0, 60, 1.0)])


def test_notes_without_overlaps_take_no_more_than_40_bytes_of_memory_each():
    random, count = np.random.default_rng(0), 300_000
    notes = Notes(
        np.sort(random.uniform(0, 1e5, count)),
        random.integers(21, 109, count),
        random.exponential(1, count),
        random.integers(1, 128, count),
    )
    tracemalloc.start()
    try:
        notes.without_overlaps()
        assert tracemalloc.get_traced_memory()[1] < 40 * count
    finally:
        tracemalloc.stop()
