import dataclasses
import os
import signal
import threading
import time

import numpy as np
import pytest

from kerasmusic.callbacks import Budget, rate_at
from kerasmusic.codec import NoteCodec
from kerasmusic.commands import train as train_command
from kerasmusic.errors import ArgumentError, KerasMusicError
from kerasmusic.evaluation import evaluate
from kerasmusic.models.loading import load_model
from kerasmusic.runs import read_history, read_start
from kerasmusic.scoring import open_scorer
from kerasmusic.training import Settings, train
from kerasmusic.windows import TRANSPOSITION


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "first"
    train(corpus, folder, Settings(preset="tutorial", epochs=2, batch_size=16, validations=4))
    return folder


def test_a_run_leaves_its_model_history_and_checkpoint(run, corpus):
    names = {path.name for path in run.iterdir()}
    assert names == {"model.keras", "checkpoint.keras", "progress.json", "history.csv", "run.json"}
    record = load_model(run).record
    assert record["settings"]["preset"] == "tutorial"
    assert record["steps"] > 0
    assert record["data"] == corpus.summary()
    assert read_start(run)["data"] == str(corpus.root.resolve())


def test_the_history_has_a_row_a_round_and_losses_by_field(run):
    history = read_history(run)
    steps = history["training_steps"]
    assert steps == sorted(set(steps))
    assert np.isfinite(history["val_loss"]).sum() >= 3
    parts = sum(np.array(history[field]) for field in ("step", "pitch", "duration", "velocity"))
    np.testing.assert_allclose(parts, history["loss"], rtol=1e-3)
    assert {"pitch", "step", "duration", "velocity", "val_pitch", "minutes", "learning_rate"} <= set(history)


def test_a_run_of_minutes_ends_with_them(corpus, tmp_path):
    trained = train(corpus, tmp_path, Settings(preset="tutorial", minutes=0.05, batch_size=4))
    assert trained.ended == "budget spent"
    assert read_history(tmp_path)["minutes"][-1] >= 0.05


def test_a_stopped_run_is_carried_on_where_it_stopped(corpus, tmp_path):
    def stop():
        while not (tmp_path / "history.csv").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    settings = Settings(preset="tutorial", epochs=400, batch_size=4)
    stopper = threading.Thread(target=stop)
    stopper.start()
    stopped = train(corpus, tmp_path, settings)
    stopper.join()
    assert stopped.ended == "stopped by SIGINT"
    before = read_history(tmp_path)["training_steps"]
    assert before[-1] == stopped.steps > 0
    assert load_model(tmp_path).record["steps"] == stopped.steps

    windows = corpus.pieces("train")
    epochs = (stopped.steps + 10) * 4 / (windows[:, 1] - windows[:, 0]).sum()
    resumed = train(corpus, tmp_path, Settings(preset="tutorial", epochs=float(epochs), batch_size=4), resume=True)
    after = read_history(tmp_path)["training_steps"]
    assert after[: len(before)] == before
    assert after[-1] == resumed.steps == pytest.approx(stopped.steps + 10, abs=1)


def test_a_run_is_not_written_over(run, corpus):
    with pytest.raises(ArgumentError, match="holds a run already; carry on with --resume"):
        train(corpus, run, Settings(epochs=1))


def test_a_folder_without_a_run_cannot_be_resumed(corpus, tmp_path):
    with pytest.raises(KerasMusicError, match="no run to resume"):
        read_start(tmp_path)
    with pytest.raises(KerasMusicError, match="no checkpoint to resume"):
        train(corpus, tmp_path, Settings(epochs=1), resume=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "say how long"),
        ({"minutes": 1, "epochs": 1}, "say how long"),
        ({"minutes": 0}, "0: minutes must be more than 0"),
        ({"epochs": -1}, "-1: epochs"),
        ({"minutes": float("nan")}, "nan: minutes"),
        ({"minutes": 1, "batch_size": 0}, "0: batch size"),
        ({"minutes": 1, "seed": -1}, "-1: a seed"),
        ({"minutes": 1, "learning_rate": -0.1}, "-0.1: learning rate"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        Settings(**wrong)


def test_the_learning_rate_rises_then_falls_and_is_never_zero():
    rates = np.array([rate_at(share, 1.0) for share in np.linspace(0, 1, 500)])
    top = int(rates.argmax())
    assert np.all(np.diff(rates[: top + 1]) >= 0)
    assert np.all(np.diff(rates[top:]) <= 0)
    assert rates.min() > 0
    assert rates.max() == pytest.approx(1.0, abs=1e-3)


def test_a_budget_of_steps_counts_what_was_done_before():
    assert Budget(minutes=None, steps=10, steps_done=4).share == 0.4
    assert Budget(minutes=1, steps=None, seconds_done=120).share == 1.0


def test_evaluation_of_the_tutorials_model_has_only_its_pitch(run, corpus):
    result = evaluate(open_scorer(run / "model.keras"), corpus)
    assert np.isnan(result.nats)
    assert 2 < result.by_field["pitch"] < 6
    assert result.notes == corpus.summary()["validation"]["notes"]


def test_a_run_from_a_trained_model_begins_with_what_it_knows(run, corpus, tmp_path):
    scorer = open_scorer(run / "model.keras")
    before = evaluate(scorer, corpus).by_field["pitch"]
    settings = Settings(preset="tutorial", start=str(run / "model.keras"), epochs=0.02, learning_rate=1e-9)
    train(corpus, tmp_path, settings)
    assert evaluate(open_scorer(tmp_path / "model.keras"), corpus).by_field["pitch"] == pytest.approx(before, abs=1e-4)
    record = load_model(tmp_path).record
    assert record["start"] == load_model(run).record
    assert record["settings"]["start"] == "model.keras"


def test_a_licence_is_inherited_and_joined_by_that_of_the_new_music(run, corpus, tmp_path):
    licensed = load_model(run)
    licensed.record = {**licensed.record, "licence": "CC BY 4.0"}
    licensed.save(tmp_path / "licensed.keras")
    settings = Settings(preset="tutorial", start=str(tmp_path / "licensed.keras"), epochs=0.02)
    train(corpus, tmp_path / "run", settings)
    assert load_model(tmp_path / "run").record["licence"] == f"CC BY 4.0; and {corpus.licence}"


def test_a_model_of_another_codec_is_no_start(run, corpus, tmp_path):
    other = dataclasses.replace(corpus, codec=NoteCodec(velocity_edges=(0, 64, 128)))
    settings = Settings(preset="tutorial", start=str(run / "model.keras"), epochs=0.02)
    with pytest.raises(ArgumentError, match="another codec"):
        train(other, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_preset_begins_with_what_a_model_knows_where_it_can(run, corpus, tmp_path):
    settings = Settings(preset="small", start=str(run / "model.keras"), epochs=0.02)
    with pytest.raises(ArgumentError, match="small: cannot start from a model of the preset tutorial"):
        train(corpus, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_the_command_lines_transposition_is_that_of_the_windows():
    assert train_command.TRANSPOSITION == TRANSPOSITION == Settings(minutes=1).transposition
