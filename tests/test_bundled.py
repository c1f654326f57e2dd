import re
import zipfile
from pathlib import Path

import pytest

from kerasmusic import bundled, midi
from kerasmusic.bundled import NAMES, bundled_keras_file, bundled_model
from kerasmusic.command_line import main
from kerasmusic.edge import TFLiteRuntime
from kerasmusic.edge.golden import verify
from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.edge.piece import Piece
from kerasmusic.errors import ModelFileError
from kerasmusic.models.keras_file import read_keras_config

pytestmark = pytest.mark.device


@pytest.mark.parametrize("name", NAMES)
def test_they_prove_themselves_on_this_runtime(name):
    verdict = verify(TFLiteRuntime(bundled_model(name)))
    assert verdict.holds
    assert (verdict.exact, verdict.notes) == (True, 10_000)


@pytest.mark.parametrize("name", NAMES)
def test_they_are_exact_and_under_maestros_licence(name):
    record = read_record(read_model_bytes(bundled_model(name)), "it")
    assert record["precision"] == "exact"
    assert record["preset"] == name
    assert record["licence"].startswith("CC BY-NC-SA 4.0")
    assert "Chopin" in record["styles"]


def test_both_files_of_small_are_one_trained_model():
    record = read_record(read_model_bytes(bundled_model("small")), "it")
    config = read_keras_config(bundled_keras_file()).config
    assert config["preset"] == "small"
    assert record["training"] == config["record"]


def test_they_are_light_and_without_an_optimizer():
    keras_file = bundled_keras_file()
    assert sum(path.stat().st_size for path in [keras_file, *map(bundled_model, NAMES)]) <= 22_000_000
    # In half precision; the state of Adam or Muon would double the size.
    parameters = read_record(read_model_bytes(bundled_model("small")), "it")["parameters"]
    with zipfile.ZipFile(keras_file) as archive:
        assert archive.getinfo("model.weights.h5").file_size < 1.5 * 2 * parameters


def test_their_card_says_what_they_were_trained_on_and_what_may_be_done_with_them():
    card = (bundled_keras_file().parent / "README.md").read_text()
    for word in ("MAESTRO", "SUPRA", "ASAP", "CC BY-NC-SA 4.0", "nats per note", "kerasmusic train"):
        assert word in card


def test_music_is_generated_where_no_model_is_named(tmp_path, capsys):
    assert main(["generate", "--notes", "100", "--seed", "3", "-o", str(tmp_path / "music.mid")]) == 0
    assert "seed 3" in capsys.readouterr().out
    notes = midi.read(tmp_path / "music.mid")
    assert 90 < len(notes) <= 100
    assert len(set(notes.pitch.tolist())) > 10


def test_a_model_is_named(tmp_path, capsys):
    made = []
    for model in ("small", str(bundled_model("small")), "base"):
        path = tmp_path / f"{len(made)}.mid"
        assert main(["generate", model, "--notes", "50", "--seed", "3", "-o", str(path)]) == 0
        made.append(midi.read(path))
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize("command", [["verify", "--notes", "100"], ["inspect"]])
def test_a_model_is_named_where_a_file_may_be(command, capsys):
    assert main([*command, "small"]) == 0
    assert "small.tflite" in capsys.readouterr().out


def test_an_installation_without_them_says_so_in_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bundled.resources, "files", lambda package: tmp_path)
    with pytest.raises(ModelFileError, match=r"weights.small\.keras: no model came with this installation"):
        bundled_keras_file()
    assert main(["generate", "-o", str(tmp_path / "music.mid")]) == 2
    said = capsys.readouterr().err
    assert "train one with 'kerasmusic train'" in said
    assert said.count("\n") == 1


def test_one_is_evaluated_where_no_model_is_named(midi_folder, capsys):
    answers = []
    for named in ([], [str(bundled_model())]):
        assert main(["evaluate", *named, "--data", str(midi_folder), "--pieces", "1", "--json"]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]


DOCS = Path(__file__).parent.parent / "docs"
LISTEN = re.findall(r"\]\((listen/\S+\.mid)\): `(\S+)`", (DOCS / "listen.md").read_text())


@pytest.mark.parametrize(("file", "name"), LISTEN)
def test_the_pieces_to_listen_to_are_made_by_their_names(file, name, tmp_path):
    assert main(["generate", "--piece", name, "-o", str(tmp_path / "again.mid")]) == 0
    assert midi.read(tmp_path / "again.mid") == midi.read(DOCS / file)


def test_there_are_six_pieces_to_listen_to_with_and_without_words():
    assert [Piece.parse(name).seed for _, name in LISTEN] == [*range(1, 7)] * 2
    assert [Piece.parse(name).sampling.style is None for _, name in LISTEN] == [True] * 6 + [False] * 6
