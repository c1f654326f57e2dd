import gzip
import io
import random
import struct
import wave
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasmusic import midi, midi_parser
from kerasmusic.errors import MidiError
from kerasmusic.midi_parser import parse
from midi_model import Event, exclusive, file_bytes, meta, number, off, on, program, tempo, track_bytes

pytestmark = pytest.mark.device

NOTE = [on(0, 60), off(480, 60)]


def pitches(data):
    return midi.read_bytes(data, "x.mid").pitch.tolist()


def riff(*chunks, kind=b"RMID"):
    body = kind + b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_a_header_longer_than_six_bytes_is_honoured():
    data = b"MThd" + struct.pack(">IHHH", 8, 1, 1, 480) + b"\x12\x34" + track_bytes(NOTE)
    assert pitches(data) == [60]


def test_chunks_of_other_kinds_are_skipped():
    head, track = file_bytes(), track_bytes(NOTE)
    other = b"XFIH" + struct.pack(">I", 5) + b"MTrk!"
    assert pitches(head + other + track + other) == [60]
    assert pitches(head + track + b"\0\0\0") == [60]


def test_the_number_of_tracks_in_the_header_is_not_needed():
    data = bytearray(file_bytes(NOTE, [on(0, 64), off(480, 64)]))
    for count in (0, 1, 9):
        struct.pack_into(">H", data, 10, count)
        assert pitches(bytes(data)) == [60, 64]


def test_a_file_of_an_unknown_format_is_read_as_one_of_format_1():
    assert pitches(file_bytes(NOTE, kind=3)) == [60]


def test_a_midi_file_in_a_riff_container_is_read():
    data = file_bytes([on(0, 60), off(481, 60)])
    assert pitches(riff((b"data", data))) == [60]
    assert pitches(riff((b"DISP", b"odd"), (b"LIST", b"INFO"), (b"data", data))) == [60]
    with pytest.raises(MidiError, match=r"x\.mid: a RIFF container of MIDI without any MIDI in it; get it again"):
        parse(riff((b"LIST", b"INFO")), "x.mid")


def test_system_exclusive_messages_in_packets_keep_their_time():
    packets = [exclusive(10, b"\x43\x12"), exclusive(50, b"\x00\x43", 0xF7), exclusive(28, b"\xf7", 0xF7)]
    (note,) = midi.read_bytes(file_bytes([*packets, *NOTE]), "x.mid")
    assert note.start == pytest.approx(88 / 960)
    # Bytes escaped in F7 are sent unchanged, and are not notes of the file.
    assert pitches(file_bytes([exclusive(0, bytes([0x90, 62, 64]), 0xF7), *NOTE])) == [60]


@pytest.mark.parametrize(
    "between", [meta(0, 1, b"text"), exclusive(0, b"\x7e\xf7"), Event(0, 0xF6, b""), Event(0, 0xFE, b"")]
)
def test_a_status_holds_for_the_messages_after_it_whatever_is_between(between):
    events = [on(0, 60), Event(480, 0x90, bytes([60, 0])), between, on(0, 62), Event(480, 0x90, bytes([62, 0]))]
    explicit = file_bytes(events)
    track = b"".join(
        number(event.delta) + (bytes([event.status]) if event.status != 0x90 or not at else b"") + event.data
        for at, event in enumerate(events)
    )
    assert midi.read_bytes(explicit, "x.mid").pitch.tolist() == [60, 62]
    implicit = file_bytes() + b"MTrk" + struct.pack(">I", len(track)) + track
    assert midi.read_bytes(implicit, "x.mid") == midi.read_bytes(explicit, "x.mid")


@pytest.mark.parametrize("status", [0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF8, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE])
def test_system_messages_that_no_file_should_hold_are_passed_over(status):
    data = b"\x01" * {0xF1: 1, 0xF2: 2, 0xF3: 1}.get(status, 0)
    notes = midi.read_bytes(file_bytes([Event(480, status, data), *NOTE]), "x.mid")
    assert list(notes) == [(0.5, 60, 0.5, 64)]


def test_nothing_after_the_end_of_a_track_is_read():
    assert pitches(file_bytes([*NOTE, meta(0, 0x2F), on(0, 62), off(480, 62)])) == [60]


def test_a_track_without_its_end_is_read():
    track = b"\x00\x90\x3c\x40\x83\x60\x80\x3c\x00"
    assert pitches(file_bytes() + b"MTrk" + struct.pack(">I", len(track)) + track) == [60]


def test_names_of_tracks_are_read_in_either_encoding():
    tracks = [[meta(0, 3, "Klavier für zwei".encode(coding)), *NOTE] for coding in ("utf-8", "latin-1")]
    assert [track.name for track in parse(file_bytes(*tracks), "x.mid").tracks] == ["Klavier für zwei"] * 2


def wav():
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"\0" * 100)
    return file.getvalue()


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        # With a fixed date: every worker must collect the same parameters.
        archive.writestr(zipfile.ZipInfo("x.mid"), file_bytes(NOTE))
    return file.getvalue()


SCORE = b'<?xml version="1.0"?>\n<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" "">\n'


# Files that are no MIDI files, and the beginning of what each is said to be.
OTHER_KINDS = (
    (b"", "an empty file; get it again"),
    (gzip.compress(b"MThd", mtime=0), "a gzip archive; unpack it first"),
    (zipped(), "a zip archive; unpack it first"),
    (b"<!DOCTYPE html>\n<html><body>404</body></html>", "a page of HTML, .+; open its address in a browser"),
    (b"\n <HTML>", "a page of HTML"),
    (SCORE + b"<score-partwise version='4.0'>", "MusicXML; export MIDI from a notation program"),
    (b"\xef\xbb\xbf<?xml version='1.0'?><museScore>", "an XML file; export MIDI"),
    (b"ID3\x04" + b"\0" * 20, "MP3 audio, and MIDI is notes, not sound; a transcription program"),
    (b"\xff\xfb\x90\x64" + b"\0" * 20, "MP3 audio"),
    (wav(), "WAVE audio"),
    (riff((b"sfbk", b""), kind=b"sfbk"), "a RIFF file of another kind"),
    (b"OggS" + b"\0" * 20, "Ogg audio"),
    (b"fLaC" + b"\0" * 20, "FLAC audio"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "a Git LFS pointer, .+ git lfs pull"),
    (b"SMF2CLIP" + b"\0" * 20, "a MIDI 2.0 clip; export a Standard MIDI File"),
    (b"%PDF-1.7", "a PDF document"),
    (b"X:1\nT:Ashover\nK:G\nGABc\n", "a text; name a .mid file"),
    (bytes(range(128, 160)), "something else, which begins with 80 81 82 83 instead of MThd"),
)


@pytest.mark.parametrize(("data", "told"), OTHER_KINDS)
def test_a_file_of_another_kind_is_named_with_a_remedy(data, told):
    with pytest.raises(MidiError, match=rf"^x\.mid: not a MIDI file but {told}") as caught:
        midi.read_bytes(data, "x.mid")
    assert "\n" not in str(caught.value)


def chunk(*written):
    track = b"".join(written)
    return file_bytes() + b"MTrk" + struct.pack(">I", len(track)) + track


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"MThd\0\0", r"cut short in its header, after 6 bytes; get it again"),
        (b"MThd" + struct.pack(">IHHH", 4, 1, 1, 480), "its header says that it has 4 bytes, not 6"),
        (file_bytes(NOTE, division=0), "its division is 0x0000"),
        (file_bytes(NOTE, division=-31 * 256 + 4), "its division is 0xe104"),
        (file_bytes(NOTE)[:-1], r"cut short: track 0 should have 13 bytes, and 12 are there\); get it again"),
        (file_bytes(NOTE)[:17], "cut short: track 0"),
        (chunk(b"\x00\x90\x3c"), "track 0: cut short in its last event"),
        (chunk(b"\x00\xff\x01\x05abc"), "track 0: cut short in an event at byte 0"),
        (chunk(b"\x00\xff\x01"), "track 0: a length at byte 3 does not end"),
        (chunk(b"\x00\xf0\x85"), "track 0: a length at byte 2 does not end"),
        (chunk(b"\x00\xc0"), "track 0: cut short in an event at byte 0"),
        (chunk(b"\x81"), "track 0: cut short in a delta time at byte 0"),
        (chunk(b"\x00"), "track 0: cut short before an event"),
        (chunk(b"\x81\x81\x81\x81\x00\x90\x3c\x40"), "track 0: a delta time at byte 0 does not end"),
        (chunk(b"\x00\x3c\x40"), "track 0: a message at byte 0 has no status, nor has any before it"),
        (chunk(b"\x00\x90\x3c\x80"), "track 0: a message at byte 0 has a data byte over 127"),
        (chunk(b"\x00\xc0\x80"), "track 0: a message at byte 0 has a data byte over 127"),
    ],
)
def test_a_violation_of_the_standard_is_refused_with_its_offset(data, told):
    with pytest.raises(MidiError, match=told) as caught:
        parse(data, "x.mid")
    assert str(caught.value).startswith("x.mid: ")
    assert "\n" not in str(caught.value)


def test_every_cut_of_a_file_is_refused():
    data = file_bytes([tempo(0, 300_000), program(0, 5), *NOTE], [exclusive(0, b"\x00\xf7"), *NOTE])
    # A cut between two complete tracks leaves a valid file of one track.
    whole = data.rindex(b"MTrk")
    for length in range(len(data)):
        if length != whole:
            with pytest.raises(MidiError):
                midi.read_bytes(data[:length], "x.mid")


def slow_events(data):
    """Parses a track in plain Python: (tick, status, first, second data byte) of each event, and the track's end."""
    found, place, tick, running = [], 0, 0, None

    def size():
        nonlocal place
        value = 0
        while True:
            byte = data[place]
            place += 1
            value = value << 7 | byte & 127
            if byte < 128:
                return value

    while place < len(data):
        tick += size()
        status = data[place]
        if status >= 0x80:
            place += 1
        else:
            status = running
        if status == 0xFF:
            kind = data[place]
            place += 1
            length = size()
            place += length
            if kind == 0x2F:
                break
        elif status in (0xF0, 0xF7):
            length = size()
            place += length
        else:
            running = status
            count = 1 if 0xC0 <= status < 0xE0 else 2
            first, second = (*data[place : place + count], 0)[:2]
            place += count
            if status >> 4 in (8, 9, 12) or (status >> 4 == 11 and (first == 64 or first >= 120)):
                found.append((tick, status, first, second))
    return [*found, (tick, 0xF0, 0, 0)]


def with_data_bytes(event):
    return event if event.status >= 0xF0 else event._replace(data=bytes(byte & 127 for byte in event.data))


MESSAGES = st.one_of(
    st.builds(Event, st.integers(0, 2**28 - 1), st.integers(0x80, 0xBF), st.binary(min_size=2, max_size=2)),
    st.builds(
        Event, st.sampled_from([0, 127, 128, 16_384]), st.integers(0xE0, 0xEF), st.binary(min_size=2, max_size=2)
    ),
    st.builds(Event, st.sampled_from([0, 1, 200]), st.integers(0xC0, 0xDF), st.binary(min_size=1, max_size=1)),
    st.builds(meta, st.integers(0, 300), st.integers(0, 0x2E), st.binary(max_size=200)),
    st.builds(exclusive, st.integers(0, 300), st.binary(max_size=200), st.sampled_from([0xF0, 0xF7])),
).map(with_data_bytes)


@settings(deadline=None, max_examples=300)
@given(st.lists(MESSAGES, max_size=60), st.booleans(), st.sampled_from([8, 50, midi_parser.BLOCK]))
def test_events_are_those_that_a_loop_over_the_bytes_finds(events, running, block):
    data = file_bytes(events, running=running)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(midi_parser, "BLOCK", block)
        (track,) = parse(data, "x.mid").tracks
    columns = (track.tick, track.status, track.data1, track.data2)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == slow_events(data[22:])


def test_a_track_of_many_blocks_is_read_as_a_whole():
    chosen = random.Random(0)
    events = [program(0, 1)]
    for _ in range(60_000):
        delta, key = chosen.choice([0, 5, 300]), chosen.randrange(128)
        events.append(chosen.choice([on(delta, key), off(delta, key), program(delta, key), meta(delta, 1, b"la")]))
    data = file_bytes(events, running=True)
    (track,) = parse(data, "x.mid").tracks
    assert len(data) > 3 * midi_parser.BLOCK
    expected = np.array(slow_events(data[22:]))
    np.testing.assert_array_equal(np.stack([track.tick, track.status, track.data1, track.data2], axis=1), expected)
