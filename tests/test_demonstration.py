import socket
from functools import partial

import numpy as np
import pytest
from tqdm import tqdm

from kerasmusic import bundled, midi, runs
from kerasmusic.command_line import main
from kerasmusic.data import demonstration, maestro
from kerasmusic.data.corpus import open_corpus
from kerasmusic.data.demonstration import play_demonstration
from kerasmusic.edge import Generator
from kerasmusic.errors import ArgumentError, KerasMusicError, ModelFileError
from kerasmusic.models.note_model import load_model
from kerasmusic.training.run_folder import RunFiles


@pytest.fixture
def model(exported):
    return exported["tiny"][1]


def test_each_piece_is_that_of_its_seed(model, tmp_path):
    folder = play_demonstration(model, pieces=3, notes=40, seed=5, cache=tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["seed-5.mid", "seed-6.mid", "seed-7.mid"]
    midi.write(Generator(model, seed=6).take(40), tmp_path / "six.mid")
    assert (folder / "seed-6.mid").read_bytes() == (tmp_path / "six.mid").read_bytes()


@pytest.mark.slow
def test_many_pieces_are_played_by_several_processes_and_make_a_corpus_of_two_splits(model, tmp_path):
    folder = play_demonstration(model, pieces=21, notes=30, cache=tmp_path)
    summary = open_corpus(folder, cache=tmp_path / "corpora").summary()
    assert {split: counts["performances"] for split, counts in summary.items()} == {"train": 19, "validation": 2}


@pytest.mark.slow
def test_it_is_played_once_and_another_model_or_seed_has_another(exported, model, tmp_path, monkeypatch):
    folder = play_demonstration(model, pieces=2, notes=10, cache=tmp_path)
    others = {
        play_demonstration(exported["tutorial"][1], pieces=2, notes=10, cache=tmp_path),
        play_demonstration(model, pieces=1, notes=10, cache=tmp_path),
        play_demonstration(model, pieces=2, notes=11, cache=tmp_path),
        play_demonstration(model, pieces=2, notes=10, seed=1, cache=tmp_path),
    }
    assert len(others | {folder}) == 5
    monkeypatch.setattr(demonstration, "_play_all", None)
    assert play_demonstration(model, pieces=2, notes=10, cache=tmp_path) == folder


def interrupt(*arguments):
    raise KeyboardInterrupt


def test_an_interruption_leaves_nothing(model, tmp_path, monkeypatch):
    monkeypatch.setattr(tqdm, "update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        play_demonstration(model, pieces=5, notes=10, cache=tmp_path)
    assert not list(tmp_path.iterdir())


def play_each_on_a_full_disk(model, notes, folder, seeds):
    """The service of a worker whose disk is full."""
    for _ in seeds:
        raise OSError(28, "No space left on device", "seed-0.mid")
    yield b""


@pytest.mark.slow
def test_a_piece_that_cannot_be_written_is_an_error_and_leaves_nothing(model, tmp_path, monkeypatch):
    monkeypatch.setattr(demonstration, "_play_each", play_each_on_a_full_disk)
    with pytest.raises(KerasMusicError, match=r"^seed-0\.mid: No space left on device$"):
        play_demonstration(model, pieces=5, notes=10, cache=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("wrong", "value"), [({"pieces": 0}, "0"), ({"notes": -2}, "-2"), ({"seed": -1}, "-1")])
def test_less_than_a_piece_is_refused(model, tmp_path, wrong, value):
    with pytest.raises(ArgumentError, match=f"{value}: a"):
        play_demonstration(model, cache=tmp_path, **wrong)


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """Makes MAESTRO's server unreachable."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/maestro.zip"
        monkeypatch.setattr(maestro, "download_maestro", partial(maestro.download_maestro, url=url))
        yield url


@pytest.mark.slow
def test_without_a_network_training_is_on_music_of_the_bundled_model(no_network, model, monkeypatch, capsys):
    monkeypatch.setattr(bundled, "bundled_model", lambda: model)
    monkeypatch.setattr(demonstration, "play_demonstration", partial(play_demonstration, pieces=4, notes=300))
    monkeypatch.setattr(runs, "finish", lambda run: RunFiles((), {}))
    assert main(["train", "--preset", "tutorial", "--epochs", "0.5", "--run", "run"]) == 0
    notice = capsys.readouterr().err.splitlines()[0]
    assert no_network in notice
    assert "this trains on a demonstration: 200 pieces of 500 notes that the bundled model plays" in notice
    record = load_model("run").record
    assert record["source"].startswith("demonstration-")
    assert record["licence"] == "not recorded"
    assert np.sum([counts["performances"] for counts in record["data"].values()]) == 4


def test_without_a_network_and_a_bundled_model_one_line_says_how_to_pass_data(
    no_network, monkeypatch, capsys, tmp_path
):
    def missing():
        raise ModelFileError("no bundled model")

    monkeypatch.setattr(bundled, "bundled_model", missing)
    assert main(["train", "--run", "run"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"kerasmusic: cannot download {no_network}")
    assert "pass --data" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_nothing_is_evaluated_on_a_demonstration(no_network, model, monkeypatch, capsys):
    monkeypatch.setattr(bundled, "bundled_model", lambda: model)
    assert main(["evaluate", str(model)]) == 2
    assert "cannot download" in capsys.readouterr().err
