import zipfile

import pytest

from kerasmusic import bundled, midi
from kerasmusic.bundled import bundled_model
from kerasmusic.command_line import main
from kerasmusic.edge import TFLiteRuntime
from kerasmusic.edge.golden import verify
from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.errors import ModelFileError
from kerasmusic.models.keras_file import read_keras_config

pytestmark = pytest.mark.device


def test_it_proves_itself_on_this_runtime():
    verdict = verify(TFLiteRuntime(bundled_model()))
    assert verdict.holds
    assert (verdict.exact, verdict.notes) == (True, 10_000)


def test_both_files_are_one_trained_model_under_maestros_licence():
    record = read_record(read_model_bytes(bundled_model()), "it")
    config = read_keras_config(bundled_model(".keras")).config
    assert record["precision"] == "exact"
    assert record["preset"] == config["preset"] == "small"
    assert record["training"] == config["record"]
    assert record["licence"].startswith("CC BY-NC-SA 4.0")


def test_it_is_light_and_without_an_optimizer():
    keras_file = bundled_model(".keras")
    assert keras_file.stat().st_size + bundled_model().stat().st_size <= 12_000_000
    # The state of Adam or Muon would double the size.
    parameters = read_record(read_model_bytes(bundled_model()), "it")["parameters"]
    with zipfile.ZipFile(keras_file) as archive:
        assert archive.getinfo("model.weights.h5").file_size < 1.5 * 4 * parameters


def test_its_card_says_what_it_was_trained_on_and_what_may_be_done_with_it():
    card = (bundled_model().parent / "README.md").read_text()
    for word in ("MAESTRO", "CC BY-NC-SA 4.0", "nats per note", "kerasmusic train"):
        assert word in card


def test_music_is_generated_by_it_where_no_model_is_named(tmp_path, capsys):
    assert main(["generate", "--notes", "100", "--seed", "3", "-o", str(tmp_path / "music.mid")]) == 0
    assert "seed 3" in capsys.readouterr().out
    notes = midi.read(tmp_path / "music.mid")
    assert 90 < len(notes) <= 100
    assert len(set(notes.pitch.tolist())) > 10


def test_an_installation_without_it_says_so_in_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bundled.resources, "files", lambda package: tmp_path)
    with pytest.raises(ModelFileError, match=r"weights.small\.keras: no model came with this installation"):
        bundled_model(".keras")
    assert main(["generate", "-o", str(tmp_path / "music.mid")]) == 2
    said = capsys.readouterr().err
    assert "train one with 'kerasmusic train'" in said
    assert said.count("\n") == 1


def test_it_is_evaluated_where_no_model_is_named(midi_folder, capsys):
    answers = []
    for named in ([], [str(bundled_model())]):
        assert main(["evaluate", *named, "--data", str(midi_folder), "--pieces", "1", "--json"]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]
