import os
import re
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from conftest import PERFORMANCES
from kerasmusic import midi
from kerasmusic.bundled import bundled_keras_file
from kerasmusic.codec import NoteCodec
from kerasmusic.data.corpus import open_corpus
from kerasmusic.data.reader_pool import encode_files
from kerasmusic.data.sources import MAESTRO_LICENCE, UNKNOWN_LICENCE
from kerasmusic.errors import CorpusError, MidiError
from kerasmusic.models.keras_file import read_keras_config
from kerasmusic.training.settings import Settings


def test_it_holds_each_performance_as_the_codec_encodes_it(midi_folder, midi_zip, performances, tmp_path):
    encoded = {
        name: NoteCodec().encode(midi.read_bytes(data, name).without_leading_silence()) for name, data in performances
    }
    for root in (midi_folder, midi_zip):
        corpus = open_corpus(root, cache=tmp_path / "cache")
        pieces = dict(zip(corpus.names, zip(corpus.bounds[:-1], corpus.bounds[1:], strict=True), strict=True))
        assert len(pieces) == 3
        for name, (start, end) in pieces.items():
            (expected,) = [fields for known, fields in encoded.items() if name.endswith(known)]
            np.testing.assert_array_equal(corpus.fields[start:end], expected)
        assert corpus.summary()["train"]["performances"] == 2
        assert [len(piece) for piece in corpus.performances("validation")] == [corpus.summary()["validation"]["notes"]]


def test_composers_stay_with_their_performances_and_their_spellings_are_brought_together(
    midi_folder, performances, tmp_path
):
    by_member = dict(zip((name for name, _ in performances), ("Chopin", "Bach", "Chopin"), strict=True))
    whole = open_corpus(midi_folder, cache=tmp_path / "cache")
    assert [by_member[name] for name in whole.names] == whole.composers
    assert whole.composers_of("validation") == ["Chopin"]
    lengths = dict(zip(whole.names, np.diff(whole.bounds).tolist(), strict=True))
    train = {"Bach": lengths[performances[1][0]], "Chopin": lengths[performances[0][0]]}
    assert whole.notes_by_composer("train") == train
    assert whole.styles(1) == ["Bach", "Chopin"]
    assert whole.styles(max(train.values())) == [max(train, key=train.get)]
    assert whole.styles(0) == []
    # A file that cannot be read leaves its composer out too; a source without a table has none.
    (midi_folder / performances[0][0]).write_text("not music")
    write_all(tmp_path / "mine", {"a.mid": performances[0][1]})
    both = open_corpus([midi_folder, tmp_path / "mine"], cache=tmp_path / "cache")
    assert both.composers == [*(by_member[name] for name in both.parts[0].names), None]
    assert sorted(both.parts[0].composers) == ["Bach", "Chopin"]
    assert both.notes_by_composer("train") == {"Bach": train["Bach"]}


def test_a_corpus_in_the_cache_takes_the_composers_of_a_table_that_changes(midi_folder, tmp_path):
    (table,) = midi_folder.glob("*.csv")
    text = table.read_text()
    assert "Bach" in open_corpus(midi_folder, cache=tmp_path / "cache").composers
    table.write_text(text.replace("canonical_composer", "composer").replace("Johann Sebastian Bach", "???"))
    assert set(open_corpus(midi_folder, cache=tmp_path / "cache").composers) == {"Chopin", None}
    table.write_text(text.replace("canonical_composer", "by"))
    assert open_corpus(midi_folder, cache=tmp_path / "cache").composers == [None] * 3


@pytest.mark.slow
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
    assert not list((tmp_path / "cache").glob(".*"))


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


def test_all_of_maestro_is_read(maestro, tmp_path):
    corpus = open_corpus(maestro, cache=tmp_path)
    counts = {split: counts["performances"] for split, counts in corpus.summary().items()}
    assert counts.items() >= PERFORMANCES.items()
    assert not corpus.skipped
    assert None not in corpus.composers
    styles = corpus.styles(Settings.style_notes)
    assert len(styles) == 16
    assert set(styles) < set(read_keras_config(bundled_keras_file()).config["styles"])


def test_files_that_are_listed_but_absent_are_named_even_from_the_cache(midi_folder, tmp_path):
    assert open_corpus(midi_folder, cache=tmp_path).absent == ["2004/lost.midi"]
    table = midi_folder / "maestro-v2.0.0.csv"
    rows = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join(row for row in rows if "lost" not in row), encoding="utf-8")
    assert open_corpus(midi_folder, cache=tmp_path).absent == []


def test_it_is_rebuilt_on_request(midi_zip, tmp_path):
    first = open_corpus(midi_zip, cache=tmp_path)
    before = (first.path / "fields.npy").stat()
    again = open_corpus(midi_zip, cache=tmp_path, rebuild=True)
    after = (again.path / "fields.npy").stat()
    assert (after.st_ino, after.st_mtime_ns) != (before.st_ino, before.st_mtime_ns)
    np.testing.assert_array_equal(again.fields, first.fields)
    assert [path.name for path in tmp_path.iterdir()] == [first.path.name]


def test_without_the_pedal_no_note_is_longer(midi_zip, tmp_path):
    heard, released = (open_corpus(midi_zip, pedal=pedal, cache=tmp_path) for pedal in (True, False))
    assert (heard.pedal, released.pedal) == (True, False)
    assert released.fields[:, 2].sum() < heard.fields[:, 2].sum()


def test_pieces_lie_one_after_another(corpus):
    assert corpus.fields.dtype == np.int16
    pieces = np.concatenate([corpus.pieces(split) for split in ("train", "validation", "test")])
    pieces = pieces[np.argsort(pieces[:, 0])]
    assert pieces[0, 0] == 0
    assert pieces[-1, 1] == len(corpus.fields)
    np.testing.assert_array_equal(pieces[1:, 0], pieces[:-1, 1])
    for split in ("train", "validation"):
        for (start, end), piece in zip(corpus.pieces(split), corpus.performances(split), strict=True):
            np.testing.assert_array_equal(corpus.fields[start:end], piece)


def test_the_summary_counts_what_the_pieces_hold(corpus):
    summary = corpus.summary()
    assert set(summary) == {"train", "validation"}
    for split, counts in summary.items():
        pieces = [corpus.codec.decode(piece) for piece in corpus.performances(split)]
        assert counts["performances"] == len(pieces)
        assert counts["notes"] == sum(map(len, pieces))
        assert counts["hours"] == pytest.approx(sum(notes.start[-1] for notes in pieces) / 3600)


def test_an_unknown_split_is_refused_by_name(corpus):
    with pytest.raises(CorpusError, match="practice: no such split; there are train, validation, test"):
        corpus.pieces("practice")


def test_a_damaged_member_of_a_zip_is_skipped_with_a_reason(performances, tmp_path):
    path = tmp_path / "damaged.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in performances:
            archive.writestr(name, data)
    raw = bytearray(path.read_bytes())
    raw[raw.find(b"MThd") + 200] ^= 0xFF
    path.write_bytes(raw)
    corpus = open_corpus(path, cache=tmp_path / "cache")
    assert list(corpus.skipped) == [performances[0][0]]
    assert len(corpus.names) == 2


def test_a_corpus_that_cannot_be_renamed_leaves_no_temporary_folder(midi_zip, tmp_path):
    place = tmp_path / open_corpus(midi_zip, cache=tmp_path / "first").path.name
    place.write_text("in the way")
    with pytest.raises(OSError, match=place.name):
        open_corpus(midi_zip, cache=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"first", place.name}


def test_a_folder_of_broken_files_gives_a_corpus_of_the_good_ones_and_a_report_of_the_others(broken_midi, tmp_path):
    corpus = open_corpus(broken_midi, cache=tmp_path)
    files = {path.name for path in broken_midi.iterdir()}
    assert {*corpus.names, *corpus.skipped} == files
    for name in corpus.names:
        assert len(midi.read(broken_midi / name)) > 0
    for name, reason in corpus.skipped.items():
        with pytest.raises(MidiError, match=re.escape(reason)):
            midi.read(broken_midi / name)
    assert open_corpus(broken_midi, cache=tmp_path).skipped == corpus.skipped
    with pytest.raises(CorpusError, match=f"{len(corpus.skipped)} of {len(files)} files cannot be read"):
        open_corpus(broken_midi, cache=tmp_path, strict=True)


def test_strictness_takes_nothing_away_where_all_can_be_read(midi_folder, performances, tmp_path):
    assert len(open_corpus(midi_folder, cache=tmp_path, strict=True).names) == 3
    (midi_folder / performances[0][0]).write_bytes(performances[0][1][:-1])
    with pytest.raises(CorpusError, match=r"1 of 3 files cannot be read; the first: 20.*; without --strict"):
        open_corpus(midi_folder, cache=tmp_path, strict=True)
    assert len(open_corpus(midi_folder, cache=tmp_path).names) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["corpus.json", "fields.npy", "index.npy"])
@pytest.mark.parametrize("damage", ["emptied", "cut", "lost"])
def test_a_damaged_corpus_is_rebuilt(midi_zip, tmp_path, name, damage):
    first = open_corpus(midi_zip, cache=tmp_path)
    fields, file = np.array(first.fields), first.path / name
    data = file.read_bytes()
    del first
    file.unlink()
    if damage != "lost":
        file.write_bytes(data[: len(data) // 2] if damage == "cut" else b"")
    np.testing.assert_array_equal(open_corpus(midi_zip, cache=tmp_path).fields, fields)


def test_names_that_are_no_text_are_read_all_the_same(performances, tmp_path):
    (tmp_path / "music").mkdir()
    for name, (_, data) in zip((b"caf\xe9.mid", b"\x1b[2J.mid", b"plain.mid"), performances, strict=True):
        path = tmp_path / "music" / os.fsdecode(name)
        path.write_bytes(data if name != b"\x1b[2J.mid" else b"not music")
    corpus = open_corpus(tmp_path / "music", cache=tmp_path / "cache")
    assert corpus.names == [os.fsdecode(b"caf\xe9.mid"), "plain.mid"]
    (reason,) = corpus.skipped.values()
    assert reason.startswith("?[2J.mid: not a MIDI file")


def write_all(folder, contents):
    folder.mkdir(exist_ok=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)


@pytest.mark.slow
def test_of_a_changed_folder_only_new_files_are_read_and_the_corpus_equals_a_new_one(
    performances, tmp_path, monkeypatch
):
    datas = [data for _, data in performances]
    read = []

    def encode_and_note(source, names, encode):
        read.append(list(names))
        return encode_files(source, names, encode)

    monkeypatch.setattr("kerasmusic.data.corpus.encode_files", encode_and_note)
    music = tmp_path / "music"
    write_all(music, {"b.mid": datas[0], "broken.mid": b"not music", "d.mid": datas[1], "gone.mid": datas[2]})
    former = open_corpus(music, cache=tmp_path / "cache")
    kept = np.array(former.fields)
    write_all(music, {"a.mid": datas[2], "c.mid": datas[0], "d.mid": datas[0] + b"more"})
    (music / "gone.mid").unlink()
    grown = open_corpus(music, cache=tmp_path / "cache")
    assert read == [["b.mid", "broken.mid", "d.mid", "gone.mid"], ["a.mid", "c.mid", "d.mid"]]
    anew = open_corpus(music, cache=tmp_path / "elsewhere")
    assert grown.names == anew.names == ["a.mid", "b.mid", "c.mid", "d.mid"]
    assert grown.splits == anew.splits
    assert grown.skipped == anew.skipped
    np.testing.assert_array_equal(grown.bounds, anew.bounds)
    np.testing.assert_array_equal(grown.fields, anew.fields)
    # The previous corpus is deleted from the cache, but an open one can still be read.
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [grown.path.name]
    np.testing.assert_array_equal(former.fields, kept)


@pytest.mark.slow
def test_a_damaged_previous_corpus_is_not_used(performances, tmp_path):
    music = tmp_path / "music"
    write_all(music, {"a.mid": performances[0][1]})
    first = open_corpus(music, cache=tmp_path / "cache")
    data = (first.path / "fields.npy").read_bytes()
    (first.path / "fields.npy").unlink()
    (first.path / "fields.npy").write_bytes(data[:-8])
    write_all(music, {"b.mid": performances[1][1]})
    grown = open_corpus(music, cache=tmp_path / "cache")
    np.testing.assert_array_equal(grown.fields, open_corpus(music, cache=tmp_path / "elsewhere").fields)


def test_old_leftovers_of_a_killed_builder_are_deleted(performances, tmp_path):
    music, cache = tmp_path / "music", tmp_path / "cache"
    write_all(music, {"a.mid": performances[0][1]})
    corpus = open_corpus(music, cache=cache)
    old, young = (cache / f".{corpus.path.name}-{number:08d}" for number in range(2))
    for leftover, hours in ((old, 25), (young, 1)):
        write_all(leftover, {"fields.npy": b""})
        for path in (leftover / "fields.npy", leftover):
            os.utime(path, (time.time() - hours * 3600,) * 2)
    open_corpus(music, cache=cache, rebuild=True)
    assert {path.name for path in cache.iterdir()} == {corpus.path.name, young.name}


def test_splits_are_assigned_among_the_readable_files(performances, tmp_path):
    names = [f"{index}.mid" for index in range(4)]
    write_all(tmp_path / "music", dict.fromkeys(names, performances[0][1]))
    whole = open_corpus(tmp_path / "music", cache=tmp_path / "cache")
    (held_out,) = [name for name, split in zip(whole.names, whole.splits, strict=True) if split == "validation"]
    write_all(tmp_path / "music", {held_out: b"not music"})
    corpus = open_corpus(tmp_path / "music", cache=tmp_path / "cache")
    assert held_out not in corpus.names
    assert sorted(corpus.splits) == ["train", "train", "validation"]
    assert corpus.empty == {"test": "music: without a csv, files are for training and validation only"}


def test_an_official_split_stays_and_says_why_it_is_empty(midi_folder, performances, tmp_path):
    (midi_folder / performances[2][0]).write_bytes(b"not music")
    corpus = open_corpus(midi_folder, cache=tmp_path)
    assert corpus.splits == ["train", "train"]
    assert corpus.empty == {
        "validation": "maestro-v2.0.0: none of the 1 files that its csv assigns to it can be read",
        "test": "maestro-v2.0.0: its csv assigns no file to it",
    }


def test_one_performance_alone_is_for_training(performances, tmp_path):
    write_all(tmp_path / "music", {"a.mid": performances[0][1], "b.mid": b"not music"})
    corpus = open_corpus(tmp_path / "music", cache=tmp_path / "cache")
    assert corpus.splits == ["train"]
    assert corpus.empty["validation"] == "music: only one performance can be read, and it is for training"


def test_several_sources_keep_their_splits_and_names_apart(midi_folder, performances, tmp_path):
    other = tmp_path / "other" / midi_folder.name
    other.mkdir(parents=True)
    write_all(other, {name.replace("/", "-"): data for name, data in performances})
    write_all(other, {"broken.mid": b"not music"})
    parts = [open_corpus(source, cache=tmp_path / "cache") for source in (midi_folder, other)]
    both = open_corpus([midi_folder, other], cache=tmp_path / "cache")
    assert isinstance(both.fields, np.memmap)
    np.testing.assert_array_equal(both.fields, np.concatenate([part.fields for part in parts]))
    for split in ("train", "validation"):
        alone = [piece for part in parts for piece in part.performances(split)]
        together = list(both.performances(split))
        assert [len(piece) for piece in together] == [len(piece) for piece in alone]
        np.testing.assert_array_equal(np.concatenate(together), np.concatenate(alone))
    labels = ("maestro-v2.0.0", "maestro-v2.0.0 (2)")
    expected = [f"{label}/{name}" for label, part in zip(labels, parts, strict=True) for name in part.names]
    assert both.names == expected
    assert len(set(both.names)) == 6
    assert list(both.skipped) == ["maestro-v2.0.0 (2)/broken.mid"]
    assert both.skipped["maestro-v2.0.0 (2)/broken.mid"].startswith("maestro-v2.0.0 (2)/broken.mid: not a MIDI file")
    assert both.absent == ["maestro-v2.0.0/2004/lost.midi"]
    assert both.licence == f"{MAESTRO_LICENCE}; and {UNKNOWN_LICENCE}"
    assert both.roots == [midi_folder, other]
    assert [part.path for part in both.parts] == [part.path for part in parts]


def test_several_sources_are_joined_again_only_if_one_has_changed(midi_folder, performances, tmp_path):
    write_all(tmp_path / "other", {"a.mid": performances[0][1]})
    sources = [midi_folder, tmp_path / "other"]
    first = open_corpus(sources, cache=tmp_path / "cache")
    before = (first.path / "fields.npy").stat().st_mtime_ns
    assert (open_corpus(sources, cache=tmp_path / "cache").path / "fields.npy").stat().st_mtime_ns == before
    (first.path / "fields.npy").unlink()
    np.testing.assert_array_equal(open_corpus(sources, cache=tmp_path / "cache").fields, first.fields)
    write_all(tmp_path / "other", {"b.mid": performances[1][1]})
    grown = open_corpus(sources, cache=tmp_path / "cache")
    assert len(grown.names) == len(first.names) + 1
    kept = {path.name for path in (tmp_path / "cache").iterdir()}
    assert kept == {grown.path.name, *(part.path.name for part in grown.parts)}


def test_a_source_named_twice_is_refused(midi_folder, tmp_path):
    with pytest.raises(CorpusError, match="named twice"):
        open_corpus([midi_folder, f"{midi_folder}/"], cache=tmp_path)
    with pytest.raises(CorpusError, match="no source is named"):
        open_corpus([], cache=tmp_path)


BUILD_OFTEN = """
import sys
import numpy as np
from kerasmusic.data.corpus import open_corpus

source, cache, times = sys.argv[1:]
for _ in range(int(times)):
    corpus = open_corpus(source, cache=cache, rebuild=True)
    print(len(corpus.names), len(corpus.fields), int(np.array(corpus.fields).sum()), flush=True)
"""


@pytest.mark.slow
def test_two_processes_that_build_one_corpus_at_once_do_not_harm_each_other_or_a_reader(midi_zip, tmp_path):
    expected = open_corpus(midi_zip, cache=tmp_path / "elsewhere")
    line = f"{len(expected.names)} {len(expected.fields)} {int(np.array(expected.fields).sum())}"
    (tmp_path / "build.py").write_text(BUILD_OFTEN)
    command = [sys.executable, str(tmp_path / "build.py"), str(midi_zip), str(tmp_path / "cache"), "4"]
    builders = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    while any(builder.poll() is None for builder in builders):
        reader = open_corpus(midi_zip, cache=tmp_path / "cache")
        np.testing.assert_array_equal(reader.fields, expected.fields)
    for builder in builders:
        output, errors = builder.communicate()
        assert builder.returncode == 0, errors
        assert output.splitlines() == [line] * 4
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [expected.path.name]


def test_a_builder_that_is_killed_harms_nobody(midi_zip, tmp_path):
    (tmp_path / "build.py").write_text(BUILD_OFTEN)
    command = [sys.executable, str(tmp_path / "build.py"), str(midi_zip), str(tmp_path / "cache"), "1000"]
    builder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    first = builder.stdout.readline()
    builder.kill()
    builder.communicate()
    corpus = open_corpus(midi_zip, cache=tmp_path / "cache")
    assert first == f"{len(corpus.names)} {len(corpus.fields)} {int(np.array(corpus.fields).sum())}\n"
