import os
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from kerasmusic import corpus as corpus_module
from kerasmusic.corpus import encode_performance, open_corpus
from kerasmusic.errors import CorpusError, MidiError
from kerasmusic.reading import encode_files


def encode_as_told(data, name, **options):
    """A reader of files that say what becomes of it."""
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
    return dict(encode_files(folder, sorted(path.name for path in folder.iterdir()), encode_as_told, **options))


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


def test_a_file_that_takes_too_long_is_given_up(tmp_path):
    (tmp_path / "a").write_text("hang")
    (tmp_path / "b").write_text("ab")
    outcomes = outcomes_of(tmp_path, longest=1.0)
    assert outcomes["a"] == "a: took longer than 1 seconds to read"
    assert outcomes["b"].shape == (2, 4)


def test_a_corpus_is_built_of_what_did_not_kill_its_reader(performances, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_module, "encode_performance", encode_as_told)
    with zipfile.ZipFile(tmp_path / "music.zip", "w") as archive:
        for index, (_, data) in enumerate(performances):
            archive.writestr(f"{index}.mid", data)
        archive.writestr("bomb.mid", b"abort")
    corpus = open_corpus(tmp_path / "music.zip", cache=tmp_path / "cache")
    assert corpus.names == ["0.mid", "1.mid", "2.mid"]
    assert corpus.skipped == {"bomb.mid": "bomb.mid: the process that read it died (SIGABRT)"}
    with pytest.raises(CorpusError, match=r"1 of 4 files cannot be read; the first: bomb\.mid: .*SIGABRT"):
        open_corpus(tmp_path / "music.zip", cache=tmp_path / "cache", strict=True)


def test_a_script_that_opens_a_corpus_as_it_is_imported_is_told_what_to_do(midi_zip, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from kerasmusic.corpus import open_corpus\nfrom kerasmusic.errors import CorpusError\n"
        f"try: open_corpus({str(midi_zip)!r}, cache={str(tmp_path / 'cache')!r})\n"
        "except CorpusError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert "below if __name__ == '__main__':" in done.stdout


def test_no_process_is_left_behind(tmp_path):
    for index in range(4):
        (tmp_path / str(index)).write_bytes(b"x")
    files = encode_files(tmp_path, [str(index) for index in range(4)], encode_as_told)
    next(files)
    readers = files.gi_frame.f_locals["readers"]
    pids = [reader.process.pid for reader in readers]
    assert pids
    files.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
