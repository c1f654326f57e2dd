import numpy as np
import pytest

from kerasmusic import midi
from kerasmusic.codec import NoteCodec
from kerasmusic.corpus import open_corpus
from kerasmusic.errors import CorpusError


def test_it_holds_each_performance_as_the_codec_encodes_it(midi_folder, midi_zip, performances, tmp_path):
    encoded = {name: NoteCodec().encode(midi.read_bytes(data, name).from_first()) for name, data in performances}
    for root in (midi_folder, midi_zip):
        corpus = open_corpus(root, cache=tmp_path / "cache")
        pieces = dict(zip(corpus.names, zip(corpus.bounds[:-1], corpus.bounds[1:], strict=True), strict=True))
        assert len(pieces) == 3
        for name, (start, end) in pieces.items():
            (expected,) = [fields for known, fields in encoded.items() if name.endswith(known)]
            np.testing.assert_array_equal(corpus.fields[start:end], expected)
        assert corpus.summary()["train"]["performances"] == 2
        assert [len(piece) for piece in corpus.performances("validation")] == [corpus.summary()["validation"]["notes"]]


def test_it_is_built_again_only_when_files_codec_or_pedal_change(midi_folder, performances, tmp_path):
    def identity(**options):
        status = (open_corpus(midi_folder, cache=tmp_path / "cache", **options).path / "fields.npy").stat()
        return status.st_ino, status.st_mtime_ns

    first = identity()
    assert identity() == first
    assert identity(pedal=False) != first
    assert identity(codec=NoteCodec(velocity_edges=tuple(range(0, 129, 8)))) != first
    assert identity() == first
    (midi_folder / performances[0][0]).write_bytes(performances[1][1])
    assert identity() != first
    assert not list((tmp_path / "cache").glob(".building-*"))


def test_files_that_cannot_be_read_are_listed_and_the_rest_is_used(midi_folder, performances, tmp_path):
    (midi_folder / performances[0][0]).write_text("not music")
    corpus = open_corpus(midi_folder, cache=tmp_path / "cache")
    assert len(corpus.names) == 2
    ((name, reason),) = corpus.skipped.items()
    assert name.endswith(performances[0][0])
    assert "not a MIDI file" in reason


def test_a_source_with_nothing_to_read_is_refused(tmp_path):
    (tmp_path / "broken.mid").write_text("not music")
    with pytest.raises(CorpusError, match=r"none of its 1 MIDI files can be read; the first: broken.mid"):
        open_corpus(tmp_path, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


def test_all_of_maestro_is_read(maestro_zip, tmp_path):
    corpus = open_corpus(maestro_zip, cache=tmp_path)
    counts = {split: counts["performances"] for split, counts in corpus.summary().items()}
    assert counts == {"train": 967, "validation": 137}
    assert not corpus.skipped
