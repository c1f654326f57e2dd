import pytest

from kerasmusic.errors import CorpusError
from kerasmusic.sources import MAESTRO_LICENCE, list_source


def test_the_official_split_is_kept_and_absent_files_are_counted(midi_folder, midi_zip):
    for root in (midi_folder, midi_zip):
        listing = list_source(root)
        assert sorted(listing.splits.values()) == ["train", "train", "validation"]
        assert [name.rsplit("/", 1)[-1] for name in listing.absent] == ["lost.midi"]
        assert listing.licence == MAESTRO_LICENCE


def test_files_that_the_csv_does_not_name_are_left_out(midi_folder, performances):
    (midi_folder / "extra.mid").write_bytes(performances[0][1])
    assert "extra.mid" not in list_source(midi_folder).splits


@pytest.mark.parametrize(("count", "held_out"), [(1, 0), (2, 1), (10, 1), (40, 4)])
def test_without_a_csv_a_tenth_of_the_files_is_held_out(tmp_path, count, held_out):
    for index in range(count):
        (tmp_path / f"{index}.mid").write_bytes(b"")
    splits = list_source(tmp_path).splits
    assert len(splits) == count
    assert list(splits.values()).count("validation") == held_out
    assert list_source(tmp_path).splits == splits


def test_sources_that_are_none_are_refused_by_name(tmp_path):
    (tmp_path / "text.zip").write_text("no zip")
    (tmp_path / "empty").mkdir()
    for name, reason in [("absent", "no such"), ("text.zip", "neither a folder nor a zip"), ("empty", "no MIDI file")]:
        with pytest.raises(CorpusError, match=reason) as caught:
            list_source(tmp_path / name)
        assert name in str(caught.value)
