import os
import signal
import time
import zipfile

import numpy as np
import pytest

from kerasmusic.data import corpus as corpus_module
from kerasmusic.data.corpus import encode_performance, open_corpus
from kerasmusic.data.reader_pool import encode_files
from kerasmusic.data.sources import FolderSource
from kerasmusic.errors import CorpusError, MidiError


def encode_as_requested(data, name, **options):
    """A reader that does what a file's contents say."""
    if data.startswith(b"MThd"):
        return encode_performance(data, name, **options)
    if data == b"abort":
        os.abort()
    if data == b"killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if data == b"exit":
        os._exit(7)
    if data == b"hang":
        time.sleep(3600)
    if data == b"refuse":
        raise MidiError(f"{name}: no music")
    return np.full((len(data), 4), len(data), np.int16)


def outcomes_of(folder, **options):
    names = sorted(path.name for path in folder.iterdir())
    return dict(encode_files(FolderSource(folder), names, encode_as_requested, **options))


@pytest.mark.slow
def test_a_process_that_dies_takes_one_file_with_it(tmp_path):
    for index in range(40):
        (tmp_path / f"{index:02d}").write_bytes(b"x" * (index + 1))
    for index, fate in ((3, "abort"), (4, "killed"), (20, "exit"), (38, "abort"), (39, "refuse")):
        (tmp_path / f"{index:02d}").write_text(fate)
    outcomes = outcomes_of(tmp_path)
    refused = {name: reason for name, reason in outcomes.items() if isinstance(reason, str)}
    assert refused == {
        "03": "03: the process that read it died (SIGABRT)",
        "04": "04: the process that read it died (SIGKILL)",
        "20": "20: the process that read it died (exit code 7)",
        "38": "38: the process that read it died (SIGABRT)",
        "39": "39: no music",
    }
    assert len(outcomes) == 40
    for name, fields in outcomes.items():
        if name not in refused:
            np.testing.assert_array_equal(fields, np.full((int(name) + 1, 4), int(name) + 1))


@pytest.mark.slow
def test_a_file_that_takes_too_long_is_given_up(tmp_path):
    (tmp_path / "a").write_text("hang")
    (tmp_path / "b").write_text("ab")
    outcomes = outcomes_of(tmp_path, timeout=1.0)
    assert outcomes["a"] == "a: the process that read it took longer than 1 seconds"
    assert outcomes["b"].shape == (2, 4)


def test_a_corpus_is_built_of_the_files_that_did_not_kill_their_reader(performances, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_module, "encode_performance", encode_as_requested)
    with zipfile.ZipFile(tmp_path / "music.zip", "w") as archive:
        for index, (_, data) in enumerate(performances):
            archive.writestr(f"{index}.mid", data)
        archive.writestr("bomb.mid", b"abort")
    corpus = open_corpus(tmp_path / "music.zip", cache=tmp_path / "cache")
    assert corpus.names == ["0.mid", "1.mid", "2.mid"]
    assert corpus.skipped == {"bomb.mid": "bomb.mid: the process that read it died (SIGABRT)"}
    with pytest.raises(CorpusError, match=r"1 of 4 files cannot be read; the first: bomb\.mid: .*SIGABRT"):
        open_corpus(tmp_path / "music.zip", cache=tmp_path / "cache", strict=True)


def test_no_process_is_left_behind(tmp_path):
    for index in range(4):
        (tmp_path / str(index)).write_bytes(b"x")
    files = encode_files(FolderSource(tmp_path), [str(index) for index in range(4)], encode_as_requested)
    next(files)
    workers = files.gi_frame.f_locals["outcomes"].gi_frame.f_locals["workers"]
    pids = [worker.process.pid for worker in workers if worker.process]
    assert pids
    files.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
