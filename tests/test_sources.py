import re
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from kerasmusic import midi
from kerasmusic.data.corpus import open_corpus
from kerasmusic.data.sources import MAESTRO_LICENCE, UNKNOWN_LICENCE, FolderSource, SourceListing, open_source
from kerasmusic.errors import CorpusError
from kerasmusic.midi import MAX_BYTES
from kerasmusic.notes import Notes


def assign_splits(root):
    """The split of each file of a source if all of them can be read."""
    listing = open_source(root).list_files()
    return dict(zip(listing.names, listing.assign_splits(listing.names), strict=True))


def test_the_official_split_is_kept_and_absent_files_are_counted(midi_folder, midi_zip):
    for root in (midi_folder, midi_zip):
        listing = open_source(root).list_files()
        assert sorted(assign_splits(root).values()) == ["train", "train", "validation"]
        assert [name.rsplit("/", 1)[-1] for name in listing.absent] == ["lost.midi"]
        assert listing.licence == MAESTRO_LICENCE


def test_files_that_the_csv_does_not_name_are_left_out(midi_folder, performances):
    (midi_folder / "extra.mid").write_bytes(performances[0][1])
    assert "extra.mid" not in open_source(midi_folder).list_files().names


@pytest.mark.parametrize(("count", "held_out"), [(1, 0), (2, 1), (10, 1), (40, 4)])
def test_without_a_csv_a_tenth_of_the_files_is_held_out(tmp_path, count, held_out):
    for index in range(count):
        (tmp_path / f"{index}.mid").write_bytes(b"")
    splits = assign_splits(tmp_path)
    assert len(splits) == count
    assert list(splits.values()).count("validation") == held_out
    assert assign_splits(tmp_path) == splits


def test_sources_that_are_none_are_refused_by_name(tmp_path):
    (tmp_path / "text.zip").write_text("no zip")
    (tmp_path / "empty").mkdir()
    for name, reason in [("absent", "no such"), ("text.zip", "neither a folder nor a zip"), ("empty", "no MIDI file")]:
        with pytest.raises(CorpusError, match=reason) as caught:
            open_source(tmp_path / name).list_files()
        assert name in str(caught.value)


def test_a_folder_and_a_zip_hold_the_same_files(midi_folder, midi_zip):
    folder, archive = open_source(midi_folder).list_files(), open_source(midi_zip).list_files()
    assert {f"{midi_folder.name}/{name}": split for name, split in assign_splits(midi_folder).items()} == assign_splits(
        midi_zip
    )
    contents = [[data for _, data in open_source(source.root).read(source.names)] for source in (folder, archive)]
    assert contents[0] == contents[1]
    assert folder.stamps.shape == (len(folder.names), 2)


def test_the_files_held_out_are_always_the_same(tmp_path):
    for index in range(20):
        (tmp_path / f"song-{index:02d}.mid").write_bytes(b"")
    splits = assign_splits(tmp_path)
    held_out = [name for name, split in splits.items() if split == "validation"]
    # The two smallest of `printf song-NN.mid | sha256sum` for NN from 00 to 19.
    assert held_out == ["song-13.mid", "song-15.mid"]
    assert set(splits.values()) == {"train", "validation"}
    assert open_source(tmp_path).list_files().licence == UNKNOWN_LICENCE


def test_files_are_found_by_their_suffix_however_deep(tmp_path):
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    for name in ("a.mid", "deep/B.MIDI", "deep/deeper/c.midi", "notes.txt", "._a.mid"):
        (tmp_path / name).write_bytes(b"")
    assert open_source(tmp_path).list_files().names == ["a.mid", "deep/B.MIDI", "deep/deeper/c.midi"]


def test_a_table_without_the_columns_decides_nothing(tmp_path):
    (tmp_path / "a.mid").write_bytes(b"")
    (tmp_path / "prices.csv").write_text("name,price\na.mid,3\n")
    assert assign_splits(tmp_path) == {"a.mid": "train"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_table_decides_with_and_without_a_byte_order_mark(tmp_path, encoding):
    for name in ("a.mid", "b.mid"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "table.csv").write_text("midi_filename,split\na.mid,test\nb.mid,train\n", encoding=encoding)
    assert assign_splits(tmp_path) == {"a.mid": "test", "b.mid": "train"}


def test_a_table_none_of_whose_files_exists_is_refused(tmp_path):
    (tmp_path / "a.mid").write_bytes(b"")
    (tmp_path / "table.csv").write_text("midi_filename,split\nlost.mid,train\n")
    with pytest.raises(CorpusError, match="none of the 1 files that its csv lists exists"):
        open_source(tmp_path).list_files()


def test_a_files_mark_changes_with_the_file(midi_folder, performances):
    name, data = performances[0]
    before = open_source(midi_folder).list_files()
    (midi_folder / name).write_bytes(data + b"more")
    changed = (before.stamps != open_source(midi_folder).list_files().stamps).any(axis=1)
    assert [before.names[index] for index in changed.nonzero()[0]] == [name]


def test_resource_files_of_a_mac_in_a_zip_are_left_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "mac.zip", "w") as archive:
        archive.writestr("a.mid", b"")
        archive.writestr("__MACOSX/._a.mid", b"")
    assert open_source(tmp_path / "mac.zip").list_files().names == ["a.mid"]


def test_a_link_that_leads_nowhere_does_not_hide_the_other_files(tmp_path):
    (tmp_path / "a.mid").write_bytes(b"")
    (tmp_path / "b.mid").symlink_to(tmp_path / "nowhere.mid")
    listing = open_source(tmp_path).list_files()
    assert listing.names == ["a.mid"]
    assert listing.unreadable == {"b.mid": "b.mid: cannot be read (No such file or directory)"}


def test_linked_folders_are_followed_and_no_file_is_found_twice(tmp_path):
    (tmp_path / "music" / "own").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    for name in ("music/own/a.mid", "elsewhere/b.mid", "elsewhere/deep/c.mid"):
        (tmp_path / name).write_bytes(b"")
    links = {"again": "music/own", "far": "elsewhere", "near": "elsewhere", "own/up": "music", "itself": "music/itself"}
    for name, target in links.items():
        (tmp_path / "music" / name).symlink_to(tmp_path / target)
    # Independent of the system's order: the folder's own name, or the first of two links in alphabetical order.
    assert open_source(tmp_path / "music").list_files().names == ["far/b.mid", "far/deep/c.mid", "own/a.mid"]


def test_a_link_that_leads_to_itself_is_named_and_fails_a_strict_corpus(performances, tmp_path):
    music = tmp_path / "music"
    music.mkdir()
    (music / "a.mid").write_bytes(performances[0][1])
    (music / "loop.mid").symlink_to("loop.mid")
    corpus = open_corpus(music, cache=tmp_path / "cache")
    ((name, reason),) = corpus.skipped.items()
    assert name == "loop.mid"
    assert reason.startswith("loop.mid: cannot be read (")
    with pytest.raises(CorpusError, match=r"1 of 2 files cannot be read; the first: loop\.mid"):
        open_corpus(music, cache=tmp_path / "cache", strict=True)


LIST_AND_MEASURE = """
import re, sys
from pathlib import Path
from kerasmusic.data.corpus import _keys
from kerasmusic.data.sources import open_source
listing = open_source(sys.argv[1]).list_files()
_keys(listing)
print(len(listing.assign_splits(listing.names)))
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured as of Linux")
def test_the_names_of_many_files_take_little_memory(tmp_path):
    kilobytes = []
    for count in (1, 20_001):
        folder = tmp_path / str(count)
        folder.mkdir()
        for index in range(count):
            (folder / f"a-name-of-some-length-{index:07d}.mid").touch()
        done = subprocess.run(
            [sys.executable, "-c", LIST_AND_MEASURE, str(folder)], capture_output=True, text=True, check=True
        )
        found, most = map(int, done.stdout.splitlines())
        assert found == count
        kilobytes.append(most)
    # At 400 bytes per name, a million names take 400 MB.
    assert kilobytes[1] - kilobytes[0] < 20_000 * 400 / 1024


def test_the_order_of_a_zips_members_does_not_change_the_split(tmp_path):
    names = [f"song-{index}.mid" for index in range(30)]
    listings = []
    for file, order in (("up.zip", names), ("down.zip", names[::-1])):
        with zipfile.ZipFile(tmp_path / file, "w") as archive:
            for name in order:
                archive.writestr(name, b"")
        listings.append(assign_splits(tmp_path / file))
    assert listings[0] == listings[1]


def test_one_more_file_moves_at_most_one_other_to_another_split(tmp_path):
    moved = []
    before = {}
    for index in range(60):
        (tmp_path / f"{index}.mid").write_bytes(b"")
        after = assign_splits(tmp_path)
        moved.append(sum(split != after[name] for name, split in before.items()))
        before = after
    assert max(moved) == 1


def test_a_row_that_was_cut_off_does_not_hide_the_others(tmp_path):
    (tmp_path / "a.mid").write_bytes(b"")
    (tmp_path / "table.csv").write_text("split,midi_filename\ntest,a.mid\ntrain\n")
    assert assign_splits(tmp_path) == {"a.mid": "test"}


def test_a_table_that_cannot_be_parsed_is_refused_by_name(tmp_path):
    (tmp_path / "a.mid").write_bytes(b"")
    # An unclosed quotation mark makes the rest one field, longer than the limit of Python's csv module.
    (tmp_path / "table.csv").write_text('midi_filename,split\n"a.mid,train\n' + "b.mid,train\n" * 20_000)
    with pytest.raises(CorpusError, match=r"table\.csv"):
        open_source(tmp_path).list_files()


def test_hidden_files_are_left_out_of_a_zip_as_of_a_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    with zipfile.ZipFile(tmp_path / "hidden.zip", "w") as archive:
        for name in ("a.mid", "._a.mid"):
            (tmp_path / "folder" / name).write_bytes(b"")
            archive.writestr(name, b"")
    assert open_source(tmp_path / "folder").list_files().names == ["a.mid"]
    assert open_source(tmp_path / "hidden.zip").list_files().names == ["a.mid"]


LEADING_OUTSIDE = ("/absolute.mid", "../parent.mid", "a/../../deep.mid", "C:\\drive.mid", "a\\..\\..\\back.mid")


def test_unsafe_members_of_an_archive_are_refused_by_name_and_the_rest_is_used(performances, tmp_path):
    name, data = performances[0]
    place = tmp_path / "inside" / "hostile.zip"
    place.parent.mkdir()
    link = zipfile.ZipInfo("link.mid")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr(name, data)
        archive.writestr("Op. 1: Allegro.mid", data)
        archive.writestr(link, "/etc/passwd")
        archive.writestr("text.mid", "no music at all")
        for outside in LEADING_OUTSIDE:
            archive.writestr(outside, data)
    corpus = open_corpus(place, cache=tmp_path / "cache")
    assert corpus.names == sorted([name, "Op. 1: Allegro.mid"])
    assert corpus.skipped["link.mid"] == "link.mid: cannot be read (it is a link)"
    assert "not a MIDI file" in corpus.skipped["text.mid"]
    for outside in LEADING_OUTSIDE:
        assert corpus.skipped[outside] == f"{outside}: cannot be read (its name leads outside the zip)"
    # Nothing was extracted, inside or outside.
    assert {path.name for path in tmp_path.iterdir()} == {"inside", "cache"}
    assert [path.name for path in place.parent.iterdir()] == ["hostile.zip"]


def write_bomb(path, name, size, declared=None):
    """Writes a zip with a member of `size` zeros whose declared size is `declared`."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block, checksum, packed = bytes(1 << 20), 0, []
    for _ in range(size >> 20):
        packed.append(packer.compress(block))
        checksum = zlib.crc32(block, checksum)
    packed = b"".join([*packed, packer.flush()])
    sizes = struct.pack("<III", checksum, len(packed), declared or size)
    label = name.encode()
    local = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes + struct.pack("<HH", len(label), 0) + label
    central = b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 33) + sizes
    central += struct.pack("<HHHHHII", len(label), 0, 0, 0, 0, 0, 0) + label
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local) + len(packed), 0)
    path.write_bytes(local + packed + central + end)


READ_AND_MEASURE = """
import re, sys
from pathlib import Path
from kerasmusic.data.sources import open_source
try:
    root = Path(sys.argv[1])
    for _, outcome in open_source(root).read(open_source(root).list_files().names):
        print(outcome)
except Exception as error:
    print(error)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured as of Linux")
@pytest.mark.parametrize(
    ("name", "declared", "reason"),
    [
        ("bomb.mid", None, r"bomb\.mid: cannot be read \(it would unpack to 1,073,741,824 bytes"),
        ("liar.mid", 1000, r"liar\.mid: cannot be read \(Bad CRC-32"),
        ("table.csv", None, r"its table table\.csv: cannot be read \(it would unpack to 1,073,741,824 bytes"),
    ],
)
@pytest.mark.slow
def test_a_bomb_of_a_gigabyte_in_a_megabyte_is_not_unpacked(tmp_path, name, declared, reason):
    write_bomb(tmp_path / "bomb.zip", name, 1 << 30, declared)
    assert (tmp_path / "bomb.zip").stat().st_size < 1.2e6
    if name.endswith(".csv"):
        with zipfile.ZipFile(tmp_path / "bomb.zip", "a") as archive:
            archive.writestr("a.mid", b"")
    done = subprocess.run(
        [sys.executable, "-c", READ_AND_MEASURE, str(tmp_path / "bomb.zip")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    outcome, kilobytes = done.stdout.splitlines()
    assert re.search(reason, outcome)
    assert int(kilobytes) < 150_000


def test_a_large_file_of_a_folder_is_not_read_to_its_end(tmp_path):
    with (tmp_path / "large.mid").open("wb") as file:
        file.truncate(1 << 34)
    ((_, reason),) = open_source(tmp_path).read(["large.mid"])
    assert reason == f"large.mid: cannot be read (it has more than {MAX_BYTES:,} bytes)"


def test_a_zip_that_was_cut_or_changed_is_refused_in_one_line(midi_zip, tmp_path):
    data = midi_zip.read_bytes()
    directory = data.rindex(b"PK\x01\x02")
    damaged = {
        "cut.zip": data[: len(data) // 2],
        "changed.zip": data[:directory] + b"PK\xff\xff" + data[directory + 4 :],
        "headless.zip": data[len(data) // 2 :],
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CorpusError, match=name) as caught:
            open_corpus(tmp_path / name, cache=tmp_path / "cache")
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("cache/*"))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_is_damaged_or_packed_without_a_measure_costs_that_member(performances, tmp_path, method):
    with zipfile.ZipFile(tmp_path / "music.zip", "w") as archive:
        for index, (_, data) in enumerate(performances):
            archive.writestr(f"{index}.mid", data, method if index == 1 else zipfile.ZIP_DEFLATED)
        second = archive.getinfo("1.mid")
    if method == zipfile.ZIP_DEFLATED:
        data = bytearray((tmp_path / "music.zip").read_bytes())
        data[second.header_offset + 60 : second.header_offset + 100] = b"\xff" * 40
        (tmp_path / "music.zip").write_bytes(data)
    corpus = open_corpus(tmp_path / "music.zip", cache=tmp_path / "cache")
    assert corpus.names == ["0.mid", "2.mid"]
    reason = "" if method == zipfile.ZIP_DEFLATED else "it is packed by another method than deflate"
    assert corpus.skipped["1.mid"].startswith(f"1.mid: cannot be read ({reason}")


class OctaveHigher(FolderSource):
    """The files of a folder, their middle C an octave higher."""

    def open_reader(self):
        def read(name):
            data = (self.root / name).read_bytes()
            # The pitch of the one note, struck and released.
            return data.replace(b"\x90\x3c", b"\x90\x48").replace(b"\x80\x3c", b"\x80\x48")

        return nullcontext(read)


def test_two_kinds_of_source_of_one_folder_have_a_corpus_each(tmp_path):
    midi.write(Notes([0.0], [60], [1.0], [64]), tmp_path / "music" / "a.mid")
    plain = open_corpus(tmp_path / "music", cache=tmp_path / "cache")
    higher = open_corpus(OctaveHigher(tmp_path / "music"), cache=tmp_path / "cache")
    assert [corpus.fields[:, 1].tolist() for corpus in (plain, higher)] == [[60], [72]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": []}, "holds no MIDI file"),
        ({"names": ["a.mid", "a.mid"]}, "lists a file twice"),
        ({"stamps": np.zeros((2, 1), np.int64)}, r"stamps of int64 \[2, 1\], not int64 \[2, 2\]"),
        ({"stamps": [[1.0, 2.0], [3.0, 4.0]]}, r"stamps of float64 \[2, 2\], not int64 \[2, 2\]"),
        ({"table_splits": {"a.mid": "train"}}, "a table that does not give each file one of train, validation, test"),
        ({"table_splits": {"a.mid": "train", "b.mid": "dev"}}, "a table that does not give each file"),
    ],
)
def test_a_listing_that_no_corpus_can_be_built_of_is_refused(changes, message):
    listing = {"root": Path("music"), "names": ["a.mid", "b.mid"], "stamps": np.zeros((2, 2), np.int64), **changes}
    with pytest.raises(CorpusError, match=message):
        SourceListing(**listing)
