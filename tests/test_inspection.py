import json
import os

import numpy as np
import pretty_midi
import pytest

from kerasmusic import midi, plots
from kerasmusic.bundled import bundled_model
from kerasmusic.command_line import main
from kerasmusic.commands.inspection import FIRST_NOTES, describe, summary
from kerasmusic.errors import MidiError
from kerasmusic.notes import Notes


@pytest.fixture
def band(tmp_path):
    """A MIDI file of a piano, a bass without a name and drums."""
    file = pretty_midi.PrettyMIDI()
    for program, is_drum, name, pitches in ((0, False, "right hand", (60, 64, 60)), (32, False, "", (36,)),
                                            (0, True, "kit", (38, 42))):  # fmt: skip
        instrument = pretty_midi.Instrument(program, is_drum=is_drum, name=name)
        instrument.notes = [pretty_midi.Note(80, pitch, 0.5 * at, 0.5 * at + 0.25) for at, pitch in enumerate(pitches)]
        file.instruments.append(instrument)
    file.instruments[0].control_changes.append(pretty_midi.ControlChange(64, 100, 0.0))
    path = tmp_path / "band.mid"
    file.write(str(path))
    return path


def test_a_midi_files_instruments_are_said_and_which_of_them_are_left_out(band):
    lines = list(describe(band))
    assert lines[0] == f"{band}: 4 notes in 1.2 s, the sustain pedal applied"
    assert lines[1] == "instruments 0: Acoustic Grand Piano 'right hand', channel 1, 3 notes, sustain pedal"
    assert lines[2] == "            1: Acoustic Bass, channel 2, 1 note"
    assert lines[3] == "            2: drums 'kit', channel 10, 2 notes, left out"
    assert "pitch       C2 to E4 (36 to 64)" in lines
    assert "names       C 75%, E 25%" in lines


def test_one_instrument_alone_is_looked_at_drums_too(band):
    lines = describe(band, 1)
    assert lines[0] == f"{band}: 1 note in 0.2 s"
    assert [line.endswith("left out") for line in lines[1:4]] == [True, False, True]
    assert describe(band, 2)[0].startswith(f"{band}: 2 notes in ")
    with pytest.raises(MidiError, match="has no instrument 3, only 3"):
        describe(band, 3)


def test_a_script_reads_the_instruments_with_their_channels_and_pedals(band):
    found = summary(band)
    assert (found["notes"], found["bytes"], found["pedal"]) == (4, band.stat().st_size, True)
    piano, bass, drums = found["instruments"]
    assert piano == {
        "instrument": 0, "program": "Acoustic Grand Piano", "program_number": 0, "track": "right hand", "channel": 1,
        "drums": False, "pedal": True, "notes": 3,
    }  # fmt: skip
    assert (bass["program"], bass["program_number"], bass["channel"], bass["pedal"]) == ("Acoustic Bass", 32, 2, False)
    assert (drums["channel"], drums["drums"]) == (10, True)
    assert (summary(band, 1)["notes"], summary(band, 1)["pedal"]) == (1, False)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_file_is_read_once_and_so_through_a_pipe_too(band, options, capfd):
    reader, writer = os.pipe()
    os.write(writer, band.read_bytes())
    os.close(writer)
    try:
        assert main(["inspect", f"/dev/fd/{reader}", *options]) == 0
    finally:
        os.close(reader)
    out = capfd.readouterr().out
    assert json.loads(out)["bytes"] == band.stat().st_size if options else "4 notes in 1.2 s" in out


def test_long_music_lasts_hours_and_minutes(tmp_path):
    midi.write(Notes([0.0, 12 * 3600.0], [60, 62], [1.0, 1.0], [64, 64]), tmp_path / "x.mid")
    assert describe(tmp_path / "x.mid")[0].endswith(": 2 notes in 12 h 0 min")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("render band.mid --instrument 9 -o x.wav", "band.mid: has no instrument 9, only 3"),
        ("plot band.mid --instrument 9", "band.mid: has no instrument 9, only 3"),
        ("generate --primer band.mid --instrument 9 -o x.mid", "band.mid: has no instrument 9, only 3"),
        ("generate --instrument 1 -o x.mid", "1: --instrument is one of the --primer; name its file"),
        ("plot . --instrument 1", "1: --instrument is for MIDI files, and . is a run"),
        ("inspect x.tflite --instrument 1", "1: --instrument is for MIDI files, and x.tflite is a model"),
    ],
)
def test_one_instrument_is_asked_of_every_command_that_reads_a_file(band, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(band.parent)
    (band.parent / "x.tflite").touch()
    assert main(arguments.split()) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_picture_is_of_one_instrument(band):
    figure = plots.figure_of([band], instrument=1)
    assert figure.axes[0].get_title() == "band.mid: 1 note"


def test_a_midi_file_is_told_by_what_is_in_it_whatever_its_name(band, tmp_path):
    (tmp_path / "band").write_bytes(band.read_bytes())
    assert list(describe(tmp_path / "band"))[1:] == list(describe(band))[1:]
    (tmp_path / "page.pdf").write_bytes(b"%PDF-1.7")
    with pytest.raises(MidiError, match=r"page\.pdf: not a MIDI file but a PDF document"):
        describe(tmp_path / "page.pdf")


def test_its_first_notes_are_a_table(notes, tmp_path):
    midi.write(notes, tmp_path / "x.mid")
    lines = list(describe(tmp_path / "x.mid"))
    (heading,) = [index for index, line in enumerate(lines) if "start [s]" in line]
    rows = [line.split() for line in lines[heading + 1 : heading + 1 + FIRST_NOTES]]
    written = midi.read(tmp_path / "x.mid")[:FIRST_NOTES]
    np.testing.assert_allclose([float(row[0]) for row in rows], written.start, atol=6e-4)
    np.testing.assert_allclose([float(row[1]) for row in rows], written.step, atol=6e-4)
    assert [int(row[3].strip("()")) for row in rows] == written.pitch.tolist()
    assert [int(row[5]) for row in rows] == written.velocity.tolist()
    assert lines[-1].startswith("... and ")
    assert {len(line) for line in lines[heading : heading + 1 + FIRST_NOTES]} == {len(lines[heading])}


def test_a_short_file_has_no_more_notes_than_it_has(tmp_path):
    midi.write(Notes([0.0], [60], [0.5], [64]), tmp_path / "x.mid")
    lines = list(describe(tmp_path / "x.mid"))
    assert lines[0].endswith("1 note in 0.5 s")
    assert lines[-1].split()[2] == "C4"


def test_the_command_says_it_and_ends_in_one_line_where_there_is_nothing_to_say(band, tmp_path, capsys):
    assert main(["inspect", str(band)]) == 0
    assert "Acoustic Bass" in capsys.readouterr().out
    (tmp_path / "x.mid").write_text("no music")
    assert main(["inspect", str(tmp_path / "x.mid")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_models_training_is_told_by_what_its_record_has():
    trained = next(line for line in describe(bundled_model("base")) if line.startswith("trained "))
    assert " by torch, " in trained
    assert trained.endswith(" minutes")
    assert " notes, " in trained
    assert "steps" not in trained
