import json
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasmusic import codec as codec_module
from kerasmusic.codec import FIELDS, NoteCodec
from kerasmusic.errors import ModelFileError
from kerasmusic.notes import Notes

pytestmark = pytest.mark.device

CODEC = NoteCodec()


def half_bins(edges, values):
    """Half the width in seconds of the bin of each value."""
    return np.diff(edges)[values] / 2 / 100


@st.composite
def random_notes(draw):
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 60))
    start = np.cumsum(random.uniform(0, 0.9, count) * random.integers(0, 2, count))
    duration = np.exp(random.uniform(np.log(0.01), np.log(20), count))
    return Notes(start, random.integers(0, 128, count), duration, random.integers(1, 128, count))


def check_within_half_a_bin(notes, codec=CODEC):
    fields = codec.encode(notes)
    order = np.lexsort((notes.pitch, np.rint(notes.start * 100)))
    decoded = codec.decode(fields)
    assert fields[:, 1].tolist() == notes.pitch[order].tolist() == decoded.pitch.tolist()
    assert np.all(np.abs(decoded.start - notes.start[order]) <= 0.005 + 1e-9)
    off = np.abs(decoded.end - notes.end[order])
    assert np.all(off <= half_bins(codec.duration_edges, fields[:, 2]) + 1e-9)
    assert np.all(np.abs(decoded.velocity - notes.velocity[order]) <= 2)


@settings(deadline=None, max_examples=80)
@given(random_notes())
def test_decoded_onsets_and_ends_are_within_half_a_bin(notes):
    check_within_half_a_bin(notes)
    fields = CODEC.encode(notes)
    assert fields.min() >= 0
    assert np.all(fields < np.array(CODEC.sizes))
    np.testing.assert_array_equal(CODEC.encode(CODEC.decode(fields)), fields)


def test_a_real_performance_moves_only_at_its_pauses(notes):
    notes = notes.without_leading_silence()
    fields = CODEC.encode(notes)
    decoded = CODEC.decode(fields)
    allowed = np.cumsum(np.where(fields[:, 0] > 100, half_bins(CODEC.step_edges, fields[:, 0]), 0.0)) + 0.005
    order = np.lexsort((notes.pitch, np.rint(notes.start * 100)))
    assert np.all(np.abs(decoded.start - notes.start[order]) <= allowed + 1e-9)


def test_notes_struck_within_a_tick_are_a_chord_sorted_by_pitch():
    fields = CODEC.encode(Notes([0.100, 0.102, 0.104], [72, 60, 66], [1.0] * 3, [64] * 3))
    assert fields[:, :2].tolist() == [[10, 60], [0, 66], [0, 72]]


def test_times_beyond_the_tables_go_into_their_last_bin():
    fields = CODEC.encode(Notes([500.0], [60], [500.0], [127]))
    assert fields.tolist() == [[127, 60, 255, 31]]


def test_tables_ascend_and_every_value_is_in_its_own_bin():
    for edges, values in (
        (CODEC.step_edges, CODEC.step_ticks),
        (CODEC.duration_edges, CODEC.duration_ticks),
        (CODEC.velocity_edges, CODEC.velocities),
    ):
        assert np.all(np.diff(edges) > 0)
        assert np.all((values >= edges[:-1]) & (values < edges[1:]))
    assert CODEC.size == sum(CODEC.sizes) == 544
    assert CODEC.offsets == (0, 128, 256, 512)
    assert CODEC.log_widths.step[0] == 0
    assert CODEC.log_widths.duration[-1] == pytest.approx(np.log(CODEC.duration_edges[-1] - CODEC.duration_edges[-2]))


def test_the_start_note_is_a_note_like_any_other():
    assert CODEC.start_note.tolist() == [0] * len(FIELDS)
    assert CODEC.decode(CODEC.start_note[None]).pitch.tolist() == [0]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"step_edges": "x"},
        {"step_edges": [3, 1]},
        {"ticks_per_second": 50},
        {"duration_edges": None},
        {"step_edges": [0, float("inf")]},
    ],
)
def test_tables_that_make_no_sense_are_refused(wrong):
    tables = {**CODEC.to_json(), **wrong} if wrong else {}
    with pytest.raises(ModelFileError, match="codec"):
        NoteCodec.from_json(tables)


def test_tables_come_back_from_json():
    other = NoteCodec(velocity_edges=tuple(range(0, 129, 8)))
    for codec in (CODEC, other):
        assert NoteCodec.from_json(json.loads(json.dumps(codec.to_json()))) == codec
    assert NoteCodec.from_json(CODEC.to_json()) != other


def test_times_are_the_middles_of_their_bins():
    for edges, ticks in ((CODEC.step_edges, CODEC.step_ticks), (CODEC.duration_edges, CODEC.duration_ticks)):
        first, last = np.array(edges[:-1]), np.array(edges[1:]) - 1
        np.testing.assert_array_equal(2 * ticks, first + last)


def test_log_widths_are_those_of_the_bins():
    widths = CODEC.log_widths
    assert tuple(map(len, widths)) == CODEC.sizes
    np.testing.assert_allclose(np.exp(widths.step), np.diff(CODEC.step_edges))
    np.testing.assert_allclose(np.exp(widths.duration), np.diff(CODEC.duration_edges))
    assert not widths.pitch.any()
    assert not widths.velocity.any()


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_any_fields_in_order_come_back_from_their_notes(data):
    row = st.tuples(*(st.integers(0, size - 1) for size in CODEC.sizes))
    fields = np.array(data.draw(st.lists(row, min_size=1, max_size=40)), np.int32)
    fields[1::2, 0] = 0
    # Notes of one tick are sorted by pitch.
    chord = np.cumsum(fields[:, 0] > 0)
    fields[:, 1] = fields[np.lexsort((fields[:, 1], chord)), 1]
    np.testing.assert_array_equal(CODEC.encode(CODEC.decode(fields)), fields)


@settings(deadline=None, max_examples=80)
@given(st.integers(100, CODEC.step_edges[-1] - 1), st.integers(0, 99))
def test_a_pause_shifts_later_notes_by_less_than_half_its_bin(pause, step):
    notes = Notes(np.cumsum([0, pause, step]) / 100, [60, 62, 64], [0.1] * 3, [64] * 3)
    fields = CODEC.encode(notes)
    moved = (CODEC.decode(fields).start - notes.start) * 100
    assert moved[0] == 0
    assert abs(moved[1]) < np.diff(CODEC.step_edges)[fields[1, 0]] / 2
    assert moved[2] == pytest.approx(moved[1])


def test_a_performance_is_the_same_once_it_has_been_encoded(notes):
    fields = CODEC.encode(notes.without_leading_silence())
    np.testing.assert_array_equal(CODEC.encode(CODEC.decode(fields)), fields)
    assert len(fields) == len(notes)


def test_velocities_are_those_of_midi_however_fine_the_table():
    # The lower of the two middle values of 0 to 3, 4 to 7 and so on.
    assert CODEC.velocities.tolist() == list(range(1, 129, 4))
    # In MIDI, velocity 0 means a release.
    finest = NoteCodec(velocity_edges=tuple(range(129)))
    assert finest.velocities.tolist() == [1, *range(1, 128)]


def test_a_field_that_the_codec_does_not_know_how_to_fill_is_no_empty_column(monkeypatch):
    names = (*FIELDS, "pedal")
    monkeypatch.setattr(codec_module, "FIELDS", names)
    monkeypatch.setattr(codec_module, "Fields", namedtuple("Fields", names))
    with pytest.raises(TypeError, match="pedal"):
        CODEC.encode(Notes([0.0], [60], [0.5], [64]))
