import contextlib
import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasmusic import midi
from kerasmusic.bundled import bundled_model
from kerasmusic.codec import FIELDS, NoteCodec
from kerasmusic.command_line import main
from kerasmusic.edge.piece import Piece, model_id, primer_id
from kerasmusic.edge.sampling import Sampling
from kerasmusic.errors import ArgumentError
from kerasmusic.notes import Notes

ID = "0123456789"
NUMBERS = st.floats(0, 1000, width=32)
SHARES = st.floats(0, 1, width=32)
SAMPLINGS = st.builds(
    Sampling,
    temperature=st.one_of(NUMBERS, st.dictionaries(st.sampled_from(FIELDS), NUMBERS)),
    min_p=st.one_of(SHARES, st.dictionaries(st.sampled_from(FIELDS), SHARES)),
    key=st.sampled_from([None, "C major", "F# minor", "Bb", "am"]),
    pitch_range=st.sampled_from([None, "C2-C6", "36 - 96"]),
    speed=st.one_of(st.none(), st.just("any"), st.floats(0.5, 30)),
    polyphony=st.one_of(st.none(), st.just("any"), st.floats(0.5, 20)),
    loudness=st.one_of(st.none(), st.floats(1, 127), st.sampled_from(["any", "pp", "mf", "70"])),
    style=st.sampled_from([None, "Chopin", "Bach:0.6,Debussy:0.4", "de Falla", "a/b:0.5, 50%:0.5"]),
    chords=st.sampled_from([None, "Am F C/G", "Dm7b5,G7"]),
    chord_seconds=st.floats(0.1, 100),
)


@given(
    seed=st.integers(0, 2**64 - 1),
    sampling=SAMPLINGS,
    notes=st.one_of(st.none(), st.integers(1, 10**6)),
    seconds=st.one_of(st.none(), st.floats(1e-3, 1e6)),
    primer=st.sampled_from([None, "89abcdef"]),
)
def test_a_name_is_read_as_the_piece_it_was_made_of(seed, sampling, notes, seconds, primer):
    piece = Piece(model=ID, seed=seed, sampling=sampling, notes=notes, seconds=seconds, primer=primer)
    name = str(piece)
    assert not set(name) & set(" \"'$&;<>|*?()`\\!")
    found = Piece.parse(name)
    assert (found.model, found.seed, found.notes, found.seconds, found.primer) == (ID, seed, notes, seconds, primer)
    assert found.sampling.temperatures() == sampling.temperatures()
    assert found.sampling.min_ps() == sampling.min_ps()
    # Whatever a later version lets the seed choose.
    assert found.sampling.targets(seed=0) == sampling.targets(seed)
    assert found.sampling.style == sampling.style
    assert (found.sampling.chords is None) == (sampling.chords is None)
    if sampling.chords:
        assert found.sampling.chord_seconds == sampling.chord_seconds
        assert [found.sampling.chord_track().at(tick) for tick in range(0, 1000, 9)] == [
            sampling.chord_track().at(tick) for tick in range(0, 1000, 9)
        ]
    assert str(found) == name


def test_a_setting_that_a_name_leaves_out_is_not_the_default():
    sampling = Piece.parse(f"{ID}/7").sampling
    assert sampling.targets(seed=7) == (None, None, None)
    assert sampling.min_ps() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "not the name of a piece"),
        ("small/7", "not the name of a piece"),
        (f"{ID}/seven", "not the name of a piece"),
        (f"{ID}/-7", "not the name of a piece"),
        (f"{ID}/7/notes=3e", "a number in this name is damaged"),
        (f"{ID}/7/spede=1", "knows no setting spede of a piece; did you mean speed?"),
        (f"{ID}/7/notes=-5", "a piece has more than 0 notes and seconds"),
        (f"{ID}/7/seconds=0", "a piece has more than 0 notes and seconds"),
        (f"{ID}/7/temperature=pich=1", "pich: no such field for temperature"),
        (f"{ID}/7/temperature=hot", "hot: not a temperature"),
        (f"{ID}/7/key=H", "H: no such key"),
        (f"{ID}/7/speed=nan", "nan: a speed is from"),
        (f"{ID}/7/style=Bach:2", "Bach:2: not a style"),
    ],
)
def test_a_name_of_no_piece_is_refused(name, message):
    with pytest.raises(ArgumentError, match=message):
        Piece.parse(name)


@given(st.text())
def test_any_text_is_a_piece_or_refused(text):
    for name in (text, f"{ID}/7/{text}"):
        with contextlib.suppress(ArgumentError):
            Piece.parse(name)


def test_a_primer_is_named_by_its_notes_as_the_model_hears_them():
    codec = NoteCodec()
    notes = Notes([0.0, 0.5], [60, 64], [0.4, 0.4], [80, 70])
    same = Notes([0.001, 0.501], [60, 64], [0.4, 0.4], [80, 70])
    assert primer_id(codec.encode(notes)) == primer_id(codec.encode(same)) != primer_id(codec.encode(notes[:1]))
    # The bytes of the int32 rows [0, 1, 2, 3] under zlib's CRC-32.
    assert primer_id(np.array([[0, 1, 2, 3]])) == "278eafa9"


def named(capsys):
    return capsys.readouterr().out.splitlines()[-1].removeprefix("piece ")


def test_the_name_that_generate_prints_makes_the_same_notes(tmp_path, capsys):
    path, again, longer = (str(tmp_path / name) for name in ("a.mid", "b.mid", "c.mid"))
    settings = ["--notes", "60", "--seed", "7", "--key", "F# minor", "--temperature", "pitch=1.1", "--range", "C2-C6"]
    assert main(["generate", *settings, "-o", path]) == 0
    name = named(capsys)
    identity = hashlib.sha256(bundled_model().read_bytes()).hexdigest()[:10]
    assert name == (
        f"{identity}/7/notes=60/temperature=pitch=1.1/min-p=pitch=0.02/key=F#minor/range=C2-C6"
        "/speed=13.2/polyphony=7.9/loudness=72"
    )
    assert main(["generate", "--piece", name, "-o", again]) == 0
    assert named(capsys) == name
    assert midi.read(again) == midi.read(path)
    assert main(["generate", "--piece", name, "--notes", "90", "-o", longer]) == 0
    assert midi.read(longer)[:50].pitch.tolist() == midi.read(path)[:50].pitch.tolist()


def test_a_piece_that_continues_a_file_needs_its_notes(tmp_path, capsys):
    primer, other, path = tmp_path / "primer.mid", tmp_path / "other.mid", str(tmp_path / "a.mid")
    midi.write(Notes([0.0, 0.5], [60, 64], [0.4, 0.4], [80, 70]), primer)
    midi.write(Notes([0.0], [61], [0.4], [80]), other)
    assert main(["generate", "--notes", "20", "--seed", "1", "--primer", str(primer), "-o", path]) == 0
    name = named(capsys)
    assert main(["generate", "--piece", name, "--primer", str(primer), "-o", str(tmp_path / "b.mid")]) == 0
    assert midi.read(tmp_path / "b.mid") == midi.read(path)
    capsys.readouterr()
    for given_, message in (([], "--primer names no file"), (["--primer", str(other)], "other.mid has other notes")):
        assert main(["generate", "--piece", name, *given_, "-o", str(tmp_path / "c.mid")]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "c.mid").exists()


@pytest.mark.parametrize("option", [["--seed", "1"], ["--key", "C major"], ["--speed", "6"], ["--style", "Bach"]])
def test_an_option_that_would_make_another_piece_is_refused(option, tmp_path, capsys):
    name = str(Piece(model=model_id(bundled_model()), seed=1))
    assert main(["generate", "--piece", name, *option, "-o", str(tmp_path / "a.mid")]) == 2
    assert f"{option[0]} would make another piece" in capsys.readouterr().err


def test_a_piece_of_another_model_is_refused(tmp_path, capsys):
    assert main(["generate", "--piece", f"{ID}/7/notes=10", "-o", str(tmp_path / "a.mid")]) == 2
    error = capsys.readouterr().err
    assert f"a piece of the model {ID}, but" in error
    assert error.count("\n") == 1
