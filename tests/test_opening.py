import shutil

import pytest

import kerasmusic
from kerasmusic import bundled, midi, runs
from kerasmusic.bundled import bundled_keras_file, bundled_model
from kerasmusic.codec import NoteCodec
from kerasmusic.errors import ArgumentError, KerasMusicError, MissingPackageError
from kerasmusic.opening import (
    KERAS,
    KINDS,
    TFLITE,
    codec_of,
    find_keras_file,
    find_model,
    kind_of,
    open_generator,
    open_scorer,
)


@pytest.fixture
def run(exported, tmp_path):
    """A run's folder with both files of a model."""
    for path in exported["tiny"]:
        shutil.copy(path, tmp_path / path.name)
    return tmp_path


def test_none_means_the_bundled_model():
    assert find_model() == bundled_model()
    assert find_keras_file() == bundled_keras_file()


def test_bundled_models_have_names(tmp_path, monkeypatch):
    assert find_model("small") == bundled_model("small")
    assert find_model("base") == bundled_model()
    assert find_keras_file("small") == bundled_keras_file()
    with pytest.raises(ArgumentError, match=r"base\.tflite: is for playing"):
        find_keras_file("base")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    with pytest.raises(KerasMusicError, match=r"small: a folder without"):
        find_model("small")


def test_a_file_means_itself_and_a_runs_folder_its_model_of_the_kind_that_is_preferred(run):
    for kind in KINDS.values():
        path = run / f"model{kind.suffix}"
        assert find_model(path) == find_model(str(path)) == find_model(run, prefer=kind) == path
        assert kind_of(path) is kind
    assert find_model(run) == run / "model.keras"
    (run / "model.keras").unlink()
    assert find_model(run, prefer=KERAS) == run / "model.tflite"
    with pytest.raises(ArgumentError, match=r"model\.tflite: is for playing"):
        find_keras_file(run)


def test_what_is_no_model_is_refused_with_what_would_be_one(tmp_path):
    with pytest.raises(KerasMusicError, match=r"absent: no such file"):
        find_model("absent")
    with pytest.raises(KerasMusicError, match=r"a folder without model\.keras or model\.tflite"):
        find_model(tmp_path)
    (tmp_path / "text.zip").touch()
    with pytest.raises(KerasMusicError, match=r"not a model file; model files end in \.keras or \.tflite"):
        find_model(tmp_path / "text.zip")


@pytest.mark.slow
def test_both_kinds_play_the_same_notes_and_have_the_same_codec(run):
    played = [open_generator(run, prefer=kind, seed=7).take(20) for kind in (KERAS, TFLITE)]
    assert played[0] == played[1]
    assert codec_of(run / "model.keras") == codec_of(run / "model.tflite") == NoteCodec()


@pytest.mark.slow
def test_both_kinds_score_alike(run, corpus):
    (fields,) = (fields[:50] for fields in corpus.performances("validation"))
    keras, tflite = (next(iter(open_scorer(run / f"model{suffix}").score_fields([fields]))) for suffix in KINDS)
    assert keras == pytest.approx(tflite, abs=1e-3)


@pytest.mark.slow
def test_a_model_is_loaded_from_a_run_a_file_or_the_package(run, exported, monkeypatch):
    assert kerasmusic.load_model(run).preset == "tiny"
    monkeypatch.setattr(bundled, "bundled_keras_file", lambda: exported["tutorial"][0])
    assert kerasmusic.load_model().preset == "tutorial"


@pytest.mark.slow
def test_a_notebook_needs_six_lines_from_music_to_music(midi_zip, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    corpus = kerasmusic.open_corpus(midi_zip)
    result = kerasmusic.train("tiny", corpus, "runs/mine", kerasmusic.Settings(epochs=0.05, batch_size=4))
    kerasmusic.export_tflite(result.run / "model.keras", "mine.tflite", precision="int8")
    generator = kerasmusic.Generator("mine.tflite", seed=7)
    music = generator.take(30)
    kerasmusic.write_midi(music, "music.mid")

    assert len(kerasmusic.read_midi("music.mid")) == len(music) == 30
    assert result.files is not None
    left = {path.name: path for path in result.files.written}
    assert {"model.tflite", "sample.mid"} <= set(left)
    assert len(midi.read(left["sample.mid"])) > 10
    assert all(path.exists() for path in left.values())
    assert all("pip install" in reason or "apt" in reason for reason in result.files.missing.values())


@pytest.fixture
def trained(exported, tmp_path, monkeypatch):
    """The folder of a run that was trained and is not finished, whose sample is short."""
    shutil.copy(exported["tiny"][0], tmp_path / "model.keras")
    (tmp_path / "history.csv").write_text("training_steps,minutes\n")
    monkeypatch.setattr(runs, "SAMPLE_SECONDS", 2.0)
    return tmp_path


@pytest.mark.slow
def test_what_cannot_be_written_is_told_with_the_reason(trained, monkeypatch):
    def missing(*arguments):
        raise MissingPackageError("exporting needs TensorFlow")

    monkeypatch.setattr(runs, "export_tflite", missing)
    monkeypatch.setattr(runs.plots, "loss_curves", missing)
    monkeypatch.setattr(runs, "write_wav", missing)
    files = runs.finish(trained)
    assert {path.name for path in files.missing} == {"loss.png", "model.tflite", "sample.wav"}
    assert files.missing[trained / "model.tflite"] == "exporting needs TensorFlow"
    assert {path.name for path in files.written} >= {"sample.mid"}


@pytest.mark.slow
def test_a_trained_model_is_not_lost_where_it_cannot_be_exported(trained, monkeypatch):
    def refuse(*arguments):
        raise KerasMusicError("mine: no such block")

    monkeypatch.setattr(runs, "export_tflite", refuse)
    files = runs.finish(trained)
    assert files.missing[trained / "model.tflite"] == "mine: no such block"
    assert trained / "sample.mid" in files.written
