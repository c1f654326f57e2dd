import os
import zipfile

import pytest

from kerasmusic.errors import CorpusError
from kerasmusic.sources import MAESTRO_LICENCE, UNKNOWN_LICENCE, list_source, read_members


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


def test_a_folder_and_a_zip_hold_the_same_files(midi_folder, midi_zip):
    folder, archive = list_source(midi_folder), list_source(midi_zip)
    assert {f"{midi_folder.name}/{name}": split for name, split in folder.splits.items()} == archive.splits
    contents = [[data for _, data in read_members(source.root, source.splits)] for source in (folder, archive)]
    assert contents[0] == contents[1]
    assert set(folder.marks) == set(folder.splits)


def test_the_files_held_out_are_always_the_same(tmp_path):
    for index in range(20):
        (tmp_path / f"song-{index:02d}.mid").write_bytes(b"")
    listing = list_source(tmp_path)
    held_out = [name for name, split in listing.splits.items() if split == "validation"]
    # The two least of `printf song-NN.mid | sha256sum` for NN from 00 to 19.
    assert held_out == ["song-13.mid", "song-15.mid"]
    assert set(listing.splits.values()) == {"train", "validation"}
    assert listing.licence == UNKNOWN_LICENCE


def test_files_are_found_by_their_suffix_however_deep(tmp_path):
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    for name in ("a.mid", "deep/B.MIDI", "deep/deeper/c.midi", "notes.txt", "._a.mid"):
        (tmp_path / name).write_bytes(b"")
    assert sorted(list_source(tmp_path).splits) == ["a.mid", "deep/B.MIDI", "deep/deeper/c.midi"]


def test_a_table_without_the_columns_decides_nothing(tmp_path):
    (tmp_path / "a.mid").write_bytes(b"")
    (tmp_path / "prices.csv").write_text("name,price\na.mid,3\n")
    assert list_source(tmp_path).splits == {"a.mid": "train"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_table_decides_with_and_without_a_byte_order_mark(tmp_path, encoding):
    for name in ("a.mid", "b.mid"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "table.csv").write_text("midi_filename,split\na.mid,test\nb.mid,train\n", encoding=encoding)
    assert list_source(tmp_path).splits == {"a.mid": "test", "b.mid": "train"}


def test_a_table_none_of_whose_files_is_there_is_refused(tmp_path):
    (tmp_path / "a.mid").write_bytes(b"")
    (tmp_path / "table.csv").write_text("midi_filename,split\nlost.mid,train\n")
    with pytest.raises(CorpusError, match="none of the 1 files that its csv lists is there"):
        list_source(tmp_path)


def test_a_files_mark_changes_with_the_file(midi_folder, performances):
    name, data = performances[0]
    before = list_source(midi_folder).marks
    (midi_folder / name).write_bytes(data + b"more")
    after = list_source(midi_folder).marks
    assert {changed for changed in before if before[changed] != after[changed]} == {name}


def test_resource_files_of_a_mac_in_a_zip_are_left_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "mac.zip", "w") as archive:
        archive.writestr("a.mid", b"")
        archive.writestr("__MACOSX/._a.mid", b"")
    assert list(list_source(tmp_path / "mac.zip").splits) == ["a.mid"]


def test_a_link_that_leads_nowhere_does_not_hide_the_other_files(tmp_path):
    (tmp_path / "a.mid").write_bytes(b"")
    os.symlink(tmp_path / "nowhere.mid", tmp_path / "b.mid")
    assert "a.mid" in list_source(tmp_path).splits


def test_the_order_of_a_zips_members_does_not_change_the_split(tmp_path):
    names = [f"song-{index}.mid" for index in range(30)]
    listings = []
    for file, order in (("up.zip", names), ("down.zip", names[::-1])):
        with zipfile.ZipFile(tmp_path / file, "w") as archive:
            for name in order:
                archive.writestr(name, b"")
        listings.append(list_source(tmp_path / file))
    assert listings[0].splits == listings[1].splits


def test_one_more_file_moves_at_most_one_other_to_another_split(tmp_path):
    moved = []
    before = {}
    for index in range(60):
        (tmp_path / f"{index}.mid").write_bytes(b"")
        after = list_source(tmp_path).splits
        moved.append(sum(split != after[name] for name, split in before.items()))
        before = after
    assert max(moved) == 1


def test_a_row_that_was_cut_off_does_not_hide_the_others(tmp_path):
    (tmp_path / "a.mid").write_bytes(b"")
    (tmp_path / "table.csv").write_text("split,midi_filename\ntest,a.mid\ntrain\n")
    assert list_source(tmp_path).splits == {"a.mid": "test"}


def test_a_table_that_cannot_be_parsed_is_refused_by_name(tmp_path):
    (tmp_path / "a.mid").write_bytes(b"")
    # A quotation mark that is never closed makes one field of the rest, longer than Python's csv takes.
    (tmp_path / "table.csv").write_text('midi_filename,split\n"a.mid,train\n' + "b.mid,train\n" * 20_000)
    with pytest.raises(CorpusError, match=r"table\.csv"):
        list_source(tmp_path)


def test_hidden_files_are_left_out_of_a_zip_as_of_a_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    with zipfile.ZipFile(tmp_path / "hidden.zip", "w") as archive:
        for name in ("a.mid", "._a.mid"):
            (tmp_path / "folder" / name).write_bytes(b"")
            archive.writestr(name, b"")
    assert list(list_source(tmp_path / "folder").splits) == ["a.mid"]
    assert list(list_source(tmp_path / "hidden.zip").splits) == ["a.mid"]
