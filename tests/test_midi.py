import importlib.util
import io
import json
import struct
import subprocess
import sys
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest
from broken_midi import FILES
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasmusic import midi
from kerasmusic.errors import ArgumentError, MidiError
from kerasmusic.midi_readers import READERS
from kerasmusic.notes import Notes
from kerasmusic.sources import list_source, read_members

needs_both_readers = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, READERS)), reason="symusic has no place on a small device"
)


def write_file(path, *instruments, tempo=120.0):
    file = pretty_midi.PrettyMIDI(resolution=500, initial_tempo=tempo)
    file.instruments.extend(instruments)
    file.write(str(path))
    return path


def instrument(*notes, pedal=(), **options):
    made = pretty_midi.Instrument(program=0, **options)
    made.notes = [pretty_midi.Note(velocity, pitch, start, end) for start, end, pitch, velocity in notes]
    made.control_changes = [pretty_midi.ControlChange(64, value, time) for time, value in pedal]
    return made


@pytest.fixture(params=sorted(READERS))
def reader(request):
    return pytest.importorskip(request.param).__name__


@needs_both_readers
@pytest.mark.parametrize("pedal", [True, False])
def test_both_readers_give_the_same_notes_within_a_millisecond(performances, pedal):
    for name, data in performances:
        fast, slow = (midi.read_bytes(data, name, pedal=pedal, reader=reader) for reader in ("symusic", "pretty_midi"))
        assert len(fast) == len(slow) > 300
        # Onsets a rounding error apart may be sorted either way.
        orders = [np.lexsort((notes.pitch, np.round(notes.start, 4))) for notes in (fast, slow)]
        for column in ("start", "pitch", "end", "velocity"):
            first, second = (getattr(notes, column)[order] for notes, order in zip((fast, slow), orders, strict=True))
            np.testing.assert_allclose(first, second, atol=1e-3)


def test_the_pedal_lengthens_notes_until_it_lifts_or_the_key_is_struck_again(tmp_path, reader):
    played = instrument(
        (0.0, 0.5, 60, 64), (1.0, 1.2, 60, 64), (1.1, 1.3, 64, 64), (3.0, 3.5, 62, 64), pedal=[(0.2, 127), (2.0, 0)]
    )
    path = write_file(tmp_path / "pedal.mid", played)
    heard = midi.read(path, reader=reader)
    np.testing.assert_allclose(heard.end, [1.0, 2.0, 2.0, 3.5], atol=1e-3)
    np.testing.assert_allclose(midi.read(path, pedal=False, reader=reader).end, [0.5, 1.2, 1.3, 3.5], atol=1e-3)


def test_a_pedal_that_never_lifts_does_so_with_the_last_release(tmp_path, reader):
    path = write_file(tmp_path / "p.mid", instrument((0.0, 0.5, 60, 64), (1.0, 2.0, 64, 64), pedal=[(0.0, 64)]))
    np.testing.assert_allclose(midi.read(path, reader=reader).end, [2.0, 2.0], atol=1e-3)


def test_instruments_are_merged_without_drums_or_one_is_chosen(tmp_path, reader):
    path = write_file(
        tmp_path / "band.mid",
        instrument((0.0, 1.0, 60, 64)),
        instrument((0.5, 1.0, 36, 90), is_drum=True),
        instrument((0.25, 1.0, 48, 80)),
    )
    assert midi.read(path, reader=reader).pitch.tolist() == [60, 48]
    single = [midi.read(path, instrument=index, reader=reader).pitch.tolist() for index in range(3)]
    assert sorted(map(tuple, single)) == [(36,), (48,), (60,)]
    with pytest.raises(MidiError, match="has no instrument 3, only 3"):
        midi.read(path, instrument=3, reader=reader)


def test_tempo_counts(tmp_path, reader):
    path = write_file(tmp_path / "slow.mid", instrument((1.0, 2.5, 60, 64)), tempo=50.0)
    notes = midi.read(path, reader=reader)
    assert notes.start[0] == pytest.approx(1.0, abs=2e-3)
    assert notes.duration[0] == pytest.approx(1.5, abs=2e-3)


def test_notes_on_the_grid_come_back_from_a_file_exactly(tmp_path, reader):
    random = np.random.default_rng(0)
    start = np.arange(200) / 20
    notes = Notes(
        start, random.integers(21, 109, 200), random.integers(1, 300, 200) / 100, random.integers(1, 128, 200)
    )
    notes = notes.restruck()
    midi.write(notes, tmp_path / "grid.mid")
    back = midi.read(tmp_path / "grid.mid", reader=reader)
    assert back.pitch.tolist() == notes.pitch.tolist()
    assert back.velocity.tolist() == notes.velocity.tolist()
    np.testing.assert_allclose(back.start, notes.start, atol=1e-9)
    np.testing.assert_allclose(back.end, notes.end, atol=1e-9)


def test_what_is_no_midi_file_is_refused_in_one_line_that_names_it(tmp_path, reader, performances):
    (tmp_path / "text.mid").write_text("not music")
    (tmp_path / "cut.mid").write_bytes(performances[0][1][:1000])
    (tmp_path / "folder.mid").mkdir()
    write_file(tmp_path / "silent.mid", instrument())
    for name, reason in [
        ("text.mid", "not a MIDI file"),
        ("cut.mid", "not a MIDI file"),
        ("folder.mid", "cannot be read"),
        ("absent.mid", "no such file"),
        ("silent.mid", "has no notes"),
    ]:
        with pytest.raises(MidiError, match=reason) as caught:
            midi.read(tmp_path / name, reader=reader)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def read_one_by_one(paths, reader):
    """What a process of its own made of each file; it is killed where one takes more than two seconds."""
    script = str(Path(__file__).with_name("read_within.py"))
    done = subprocess.run(
        [sys.executable, script, reader, *map(str, paths)], capture_output=True, text=True, check=False
    )
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended by {done.returncode} at {paths[len(outcomes)]}: {done.stderr}"
    return outcomes


def test_broken_files_are_read_with_sane_notes_or_refused_in_little_time_and_memory(broken_midi, reader):
    paths = sorted(broken_midi.iterdir())
    outcomes = read_one_by_one(paths, reader)
    assert len(outcomes) == len(paths) == len(FILES)
    read = [outcome for outcome in outcomes if "refused" not in outcome]
    assert len(read) >= 50
    for outcome in read:
        assert outcome["finite"]
        assert 0 <= outcome["pitch"][0] <= outcome["pitch"][1] <= 127
        assert 1 <= outcome["velocity"][0] <= outcome["velocity"][1] <= 127
        assert 0 <= outcome["seconds"][0] <= outcome["seconds"][1] <= midi.LONGEST_SECONDS
    for outcome in outcomes:
        if "refused" in outcome:
            assert outcome["refused"].startswith(f"{outcome['path']}: ")
            assert "\n" not in outcome["refused"]
    assert outcomes[-1]["bytes"] < 300e6


@pytest.mark.parametrize("name", [name for name, file in FILES.items() if not file.disputed])
def test_odd_files_are_read_with_the_notes_they_have_or_refused(name, reader):
    file = FILES[name]
    if file.notes:
        assert len(midi.read_bytes(file.data, name, reader=reader)) == file.notes
        return
    with pytest.raises(MidiError) as refused:
        midi.read_bytes(file.data, name, reader=reader)
    silent = f"{name}: has no notes" + (f" but {file.drums} of drums" if file.drums else "")
    assert (str(refused.value) == silent) == (file.notes == 0)


def midi_bytes(*events, ticks_per_beat=100):
    """A MIDI file of one track; events are (seconds at 120 beats a minute, message)."""
    track, now = mido.MidiTrack(), 0
    for seconds, message in events:
        tick = round(seconds * 2 * ticks_per_beat)
        track.append(message.copy(time=tick - now))
        now = tick
    file = io.BytesIO()
    mido.MidiFile(tracks=[track], ticks_per_beat=ticks_per_beat).save(file=file)
    return file.getvalue()


def strike(pitch):
    return mido.Message("note_on", note=pitch, velocity=64)


def release(pitch):
    return mido.Message("note_off", note=pitch)


def test_time_follows_each_change_of_tempo(reader):
    data = midi_bytes(
        (0.0, strike(60)),
        (1.0, release(60)),
        (1.0, mido.MetaMessage("set_tempo", tempo=1_000_000)),
        (1.5, strike(62)),
        (2.0, mido.MetaMessage("set_tempo", tempo=250_000)),
        (3.0, release(62)),
    )
    notes = midi.read_bytes(data, "tempo.mid", reader=reader)
    # From 1 s on all takes twice its time, from what would be 2 s on half of it.
    np.testing.assert_allclose(notes.start, [0.0, 2.0], atol=1e-9)
    np.testing.assert_allclose(notes.end, [1.0, 3.5], atol=1e-9)


def test_each_instrument_has_a_pedal_of_its_own(tmp_path, reader):
    path = write_file(
        tmp_path / "two.mid",
        instrument((0.0, 0.5, 60, 64), pedal=[(0.1, 127), (2.0, 0)]),
        instrument((0.0, 0.5, 72, 64)),
    )
    np.testing.assert_allclose(midi.read(path, reader=reader).end, [2.0, 0.5], atol=1e-3)


@pytest.mark.parametrize(("value", "end"), [(63, 0.5), (64, 2.0)])
def test_the_pedal_is_down_from_64_on(tmp_path, reader, value, end):
    path = write_file(tmp_path / "half.mid", instrument((0.0, 0.5, 60, 64), pedal=[(0.1, value), (2.0, 0)]))
    np.testing.assert_allclose(midi.read(path, reader=reader).end, [end], atol=1e-3)


def test_a_pedal_pressed_further_is_not_pressed_anew(tmp_path, reader):
    pedal = [(0.1, 70), (0.3, 127), (0.7, 90), (2.0, 40), (3.0, 0)]
    path = write_file(tmp_path / "deep.mid", instrument((0.0, 0.5, 60, 64), (2.2, 2.5, 62, 64), pedal=pedal))
    np.testing.assert_allclose(midi.read(path, reader=reader).end, [2.0, 2.5], atol=1e-3)


def test_a_note_released_before_the_pedal_goes_down_is_not_held(tmp_path, reader):
    path = write_file(tmp_path / "late.mid", instrument((0.0, 0.5, 60, 64), pedal=[(0.6, 127), (2.0, 0)]))
    np.testing.assert_allclose(midi.read(path, reader=reader).end, [0.5], atol=1e-3)


def test_pretty_midi_objects_are_heard_with_and_without_pedal():
    file = pretty_midi.PrettyMIDI()
    file.instruments += [
        instrument((0.0, 0.5, 60, 64), pedal=[(0.1, 127), (2.0, 0)]),
        instrument((0.0, 1.0, 36, 64), is_drum=True),
    ]
    assert Notes.from_pretty_midi(file).end.tolist() == [2.0]
    assert Notes.from_pretty_midi(file, pedal=False).end.tolist() == [0.5]


struck = st.tuples(st.integers(0, 1000), st.integers(0, 127), st.integers(1, 300), st.integers(1, 127))


@needs_both_readers
@settings(deadline=None, max_examples=40)
@given(st.lists(struck, min_size=1, max_size=40, unique_by=lambda note: note[:2]))
def test_any_notes_on_the_grid_come_back_from_a_file(tmp_path_factory, rows):
    start, pitch, duration, velocity = np.array(rows).T
    notes = Notes(start / 100, pitch, duration / 100, velocity)
    path = tmp_path_factory.mktemp("grid") / "notes.mid"
    midi.write(notes, path)
    for name in READERS:
        back = midi.read(path, reader=name)
        for column in ("start", "pitch", "end", "velocity"):
            expected = getattr(notes.restruck(), column)
            np.testing.assert_allclose(getattr(back, column), expected, rtol=0, atol=1e-9)


def test_writing_leaves_the_file_and_nothing_beside_it(tmp_path):
    for pitch in (60, 62):
        midi.write(Notes([0.0], [pitch], [1.0], [64]), tmp_path / "note.mid")
        assert midi.read(tmp_path / "note.mid").pitch.tolist() == [pitch]
    assert [path.name for path in tmp_path.iterdir()] == ["note.mid"]


@needs_both_readers
def test_both_readers_agree_on_performances_from_all_of_maestro(maestro):
    names = list_source(maestro).names
    for name, data in read_members(maestro, names[:: len(names) // 10]):
        fast, slow = (midi.read_bytes(data, name, reader=reader) for reader in ("symusic", "pretty_midi"))
        orders = [np.lexsort((notes.pitch, np.round(notes.start, 4))) for notes in (fast, slow)]
        assert fast.pitch[orders[0]].tolist() == slow.pitch[orders[1]].tolist()
        np.testing.assert_allclose(fast.start[orders[0]], slow.start[orders[1]], atol=1e-3)
        np.testing.assert_allclose(fast.end[orders[0]], slow.end[orders[1]], atol=1e-3)


def test_an_unknown_reader_is_refused_by_name(performances):
    name, data = performances[0]
    with pytest.raises(ArgumentError, match="magenta"):
        midi.read_bytes(data, name, reader="magenta")


def test_notes_of_no_length_are_written_and_read_as_short_ones(tmp_path, reader):
    midi.write(Notes([0.0, 1.0, 1.5], [60, 62, 64], [0.5, 0.0, 0.0003], [64] * 3), tmp_path / "short.mid")
    back = midi.read(tmp_path / "short.mid", reader=reader)
    assert back.pitch.tolist() == [60, 62, 64]
    assert back.duration.max() < 0.6


def test_a_file_of_too_many_events_is_refused_before_it_is_parsed(tmp_path, reader):
    # Program changes in running status, the shortest events there are: two bytes each.
    events = b"\x00\xc0\x00" + b"\x00\x00" * 10_000_001
    data = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk" + struct.pack(">I", len(events)) + events
    (tmp_path / "black.mid").write_bytes(data)
    with pytest.raises(MidiError, match=r"black\.mid: has more than 20,000,000 bytes"):
        midi.read(tmp_path / "black.mid", reader=reader)


def test_a_file_that_lasts_longer_than_a_day_is_refused(reader):
    def held(hours):
        # Delta times are of at most 28 bits, so a tempo of two beats a minute, and few ticks, make the day.
        return midi_bytes(
            (0.0, mido.MetaMessage("set_tempo", tempo=15_000_000)), (0.0, strike(60)), (hours * 120, release(60))
        )

    assert midi.read_bytes(held(23), "day.mid", reader=reader).seconds == pytest.approx(23 * 3600)
    with pytest.raises(MidiError, match=r"day\.mid: lasts 25 hours, more than 24"):
        midi.read_bytes(held(25), "day.mid", reader=reader)


@pytest.mark.parametrize("frames", [24, 25, 29, 30])
def test_times_in_smpte_frames_are_refused_as_such(reader, frames):
    data = bytearray(midi_bytes((0.0, strike(60)), (1.0, release(60))))
    struct.pack_into(">bB", data, 12, -frames, 40)
    with pytest.raises(MidiError, match=r"film\.mid: counts its time in SMPTE frames"):
        midi.read_bytes(bytes(data), "film.mid", reader=reader)


def test_a_file_of_drums_alone_says_so(tmp_path, reader):
    path = write_file(tmp_path / "drums.mid", instrument((0.0, 1.0, 36, 64), is_drum=True))
    with pytest.raises(MidiError, match="has no notes but 1 of drums"):
        midi.read(path, reader=reader)
    assert len(midi.read(path, instrument=0, reader=reader)) == 1
