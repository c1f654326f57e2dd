import dataclasses
import inspect
import itertools
import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest

from kerasmusic import runs
from kerasmusic.codec import NoteCodec
from kerasmusic.commands import train as train_command
from kerasmusic.data.corpus import open_corpus
from kerasmusic.data.sources import MAESTRO_LICENCE, UNKNOWN_LICENCE
from kerasmusic.errors import ArgumentError, KerasMusicError, TrainingError
from kerasmusic.evaluation.likelihood import evaluate
from kerasmusic.models.note_model import NoteModel, load_model
from kerasmusic.opening import open_scorer
from kerasmusic.training import train as training
from kerasmusic.training.budget import Budget, Schedule, rate_at
from kerasmusic.training.callbacks import tensorboard
from kerasmusic.training.run_folder import check_sources, locked, music_change, read_history, read_settings, read_start
from kerasmusic.training.settings import Settings
from kerasmusic.training.train import Ending, resume, train
from kerasmusic.training.windows import Windows
from killed_training import differences, finish, kill_and_resume, make_music, start
from small_disk import fill, small_disk

pytestmark = pytest.mark.every_backend


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "first"
    train("tutorial", corpus, folder, Settings(epochs=2, batch_size=16, validations=4))
    return folder


@pytest.mark.slow
def test_a_run_leaves_its_model_history_and_checkpoint(run, corpus):
    names = {path.name for path in run.iterdir()}
    assert names == {"model.keras", "checkpoint.keras", "history.csv", "run.json"}
    record = load_model(run).record
    assert record["settings"]["preset"] == "tutorial"
    assert record["steps"] > 0
    assert record["data"] == corpus.summary()
    assert read_start(run)["data"] == [str(root.resolve()) for root in corpus.roots]


@pytest.mark.slow
def test_the_history_has_a_row_a_round_and_losses_by_field(run):
    history = read_history(run)
    steps = history["training_steps"]
    assert steps == sorted(set(steps))
    assert np.isfinite(history["val_loss"]).sum() >= 3
    parts = sum(np.array(history[field]) for field in ("step", "pitch", "duration", "velocity"))
    np.testing.assert_allclose(parts, history["loss"], rtol=1e-3)
    assert {"pitch", "step", "duration", "velocity", "val_pitch", "minutes", "learning_rate"} <= set(history)


@pytest.mark.slow
@pytest.mark.one_backend
def test_a_run_of_minutes_ends_with_them(corpus, tmp_path):
    trained = train("tutorial", corpus, tmp_path, Settings(minutes=0.05, batch_size=4))
    assert (trained.ending, trained.ended) == (Ending.BUDGET_SPENT, "budget spent")
    assert read_history(tmp_path)["minutes"][-1] >= 0.05


@pytest.mark.slow
def test_a_stopped_run_is_carried_on_where_it_stopped(corpus, tmp_path):
    def stop():
        while not (tmp_path / "history.csv").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    settings = Settings(epochs=400, batch_size=4)
    stopper = threading.Thread(target=stop)
    stopper.start()
    stopped = train("tutorial", corpus, tmp_path, settings)
    stopper.join()
    assert (stopped.ending, stopped.ended) == (Ending.STOPPED, "stopped by SIGINT")
    before = read_history(tmp_path)["training_steps"]
    assert before[-1] == stopped.steps > 0
    assert load_model(tmp_path).record["steps"] == stopped.steps

    windows = corpus.pieces("train")
    epochs = (stopped.steps + 10) * 4 / (windows[:, 1] - windows[:, 0]).sum()
    resumed = resume(corpus, tmp_path, Settings(epochs=float(epochs), batch_size=4))
    after = read_history(tmp_path)["training_steps"]
    assert after[: len(before)] == before
    assert after[-1] == resumed.steps == pytest.approx(stopped.steps + 10, abs=1)


@pytest.mark.slow
@pytest.mark.one_backend
def test_every_file_of_a_run_but_its_history_gets_its_name_when_it_is_whole(corpus, tmp_path, monkeypatch):
    renamed = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda source, target: (replace(source, target), renamed.append(str(target))))
    train("tutorial", corpus, tmp_path, Settings(epochs=0.05, batch_size=16))
    assert {str(path) for path in tmp_path.iterdir()} - {
        str(tmp_path / name) for name in ("history.csv", ".lock")
    } <= set(renamed)


@pytest.mark.slow
@pytest.mark.one_backend
def test_a_killed_run_goes_on_as_if_nothing_had_been(tmp_path):
    data, cache = tmp_path / "music", tmp_path / "cache"
    make_music(data)
    finish(start(data, cache, tmp_path / "alone", 300))
    killed, saving = kill_and_resume(data, cache, tmp_path / "killed", 300, kills=1, seed=0)
    assert killed == saving == 1
    assert differences(tmp_path / "alone", tmp_path / "killed") == []
    assert read_history(tmp_path / "killed")["training_steps"] == list(range(25, 301, 25))


@pytest.fixture
def begun(corpus, tmp_path):
    """A run of 25 steps that saves after every round; its folder is a mounted disk if mounting is allowed."""
    run = tmp_path / "disk" / "run"
    pieces = corpus.pieces("train")
    epochs = 24.5 * 4 / (pieces[:, 1] - pieces[:, 0]).sum()
    with small_disk(run.parent, "8m") as mounted:
        train("tutorial", corpus, run, Settings(epochs=float(epochs), batch_size=4, checkpoint_seconds=0.0))
        yield run, mounted


def make_read_only(run, process):
    subprocess.run(["mount", "-o", "remount,ro", str(run.parent)], check=True)


def forbid_large_files(run, process):
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits and mounts as of Unix")
@pytest.mark.parametrize(
    ("spoil", "restore", "reason"),
    [
        (
            lambda run, process: fill(run.parent),
            lambda run: (run.parent / "filler").unlink(),
            "No space left on device",
        ),
        (
            make_read_only,
            lambda run: subprocess.run(["mount", "-o", "remount,rw", str(run.parent)], check=True),
            "Read-only file system",
        ),
        pytest.param(
            forbid_large_files,
            lambda run: None,
            "File too large",
            marks=pytest.mark.skipif("COVERAGE_FILE" in os.environ, reason="coverage's own file is larger"),
        ),
    ],
)
@pytest.mark.slow
@pytest.mark.one_backend
def test_a_disk_that_takes_no_more_ends_a_run_in_one_line_with_its_checkpoint_whole(begun, spoil, restore, reason):
    run, mounted = begun
    if not mounted and spoil is not forbid_large_files:
        pytest.skip("needs to mount a small disk")
    command = [sys.executable, "-m", "kerasmusic.command_line", "train", "--resume", str(run), "--epochs", "1000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    saved = (run / "checkpoint.keras").stat().st_mtime_ns
    while (run / "checkpoint.keras").stat().st_mtime_ns == saved and process.poll() is None:
        time.sleep(0.01)
    spoil(run, process)
    _, errors = process.communicate()
    assert process.returncode == 2, errors
    (line,) = [line for line in errors.splitlines() if "kerasmusic: " in line]
    assert line.startswith(f"kerasmusic: {run}")
    assert reason in line
    assert "Traceback" not in errors
    restore(run)
    steps = load_model(run / "checkpoint.keras", compile=True).record["progress"]["steps"]
    assert steps >= 50
    assert not list(run.glob(".*"))
    assert read_history(run)["training_steps"][: steps // 25] == list(range(25, steps + 1, 25))


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_the_run_with_the_step_and_the_last_good_weights(begun, corpus):
    run, _ = begun
    before = load_model(run / "checkpoint.keras").get_weights()
    with pytest.raises(TrainingError) as caught:
        resume(corpus, run, Settings(epochs=9, batch_size=4, learning_rate=1e30, checkpoint_seconds=0))
    words = re.fullmatch(
        rf"{run}: at step (\d+) the loss is (nan|inf); the weights of step 25 are kept in {run}/checkpoint\.keras; "
        r"try again with a lower --learning-rate", str(caught.value)
    )  # fmt: skip
    assert 26 <= int(words[1]) <= 50
    for kept, weights in zip(load_model(run / "checkpoint.keras").get_weights(), before, strict=True):
        np.testing.assert_array_equal(kept, weights)
    assert read_history(run)["training_steps"] == [25]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
def test_weights_that_are_no_numbers_are_never_saved(begun, corpus, monkeypatch):
    run, _ = begun
    before = (run / "checkpoint.keras").read_bytes()

    class Spoil(Schedule):
        """Corrupts a weight after a round's last step, whose loss is still finite."""

        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            weight = self.model.trainable_variables[0]
            weight.assign(np.full(weight.shape, np.nan))

    monkeypatch.setattr(training, "Schedule", Spoil)
    with pytest.raises(TrainingError, match=r"at step 50 the weights of .* are not finite; the weights of step 25"):
        resume(corpus, run, Settings(epochs=9, batch_size=4, checkpoint_seconds=0))
    assert (run / "checkpoint.keras").read_bytes() == before


@pytest.mark.slow
@pytest.mark.one_backend
def test_a_run_of_before_with_its_progress_beside_is_carried_on(begun, corpus):
    run, _ = begun
    model = load_model(run / "checkpoint.keras", compile=True)
    (run / "progress.json").write_text(json.dumps({**model.record.pop("progress")}))
    model.save(run / "checkpoint.keras")
    resumed = resume(corpus, run, Settings(epochs=0.3, batch_size=4))
    assert resumed.steps > 25
    assert read_history(run)["training_steps"][:2] == [25, 50]


@pytest.mark.slow
@pytest.mark.one_backend
def test_a_history_that_was_cut_and_is_ahead_of_the_checkpoint_has_no_repeat(begun, corpus):
    run, _ = begun
    whole = (run / "history.csv").read_text()
    row = whole.splitlines()[-1]
    (run / "history.csv").write_text(
        whole + row.replace("25.0", "50.0", 1) + "\r\n" + row.replace("25.0", "75.0", 1)[:-3]
    )
    (run / ".checkpoint-0123abcd.keras").write_bytes(b"half a fi")
    resume(corpus, run, Settings(epochs=0.3, batch_size=4))
    steps = read_history(run)["training_steps"]
    assert steps[:3] == [25, 50, 75]
    assert steps == sorted(set(steps))
    assert not list(run.glob(".*"))


@pytest.mark.slow
def test_a_run_is_not_written_over(run, corpus):
    with pytest.raises(ArgumentError, match="holds a run already; carry on with --resume"):
        train("tutorial", corpus, run, Settings(epochs=1))


def test_a_folder_without_a_run_cannot_be_resumed(corpus, tmp_path):
    with pytest.raises(KerasMusicError, match="no run to resume"):
        read_start(tmp_path)
    with pytest.raises(KerasMusicError, match="no checkpoint to resume"):
        resume(corpus, tmp_path, Settings(epochs=1))


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


def test_minutes_count_from_the_end_of_the_first_step():
    budget = Budget(minutes=1, steps=None, steps_done=7, seconds_done=30)
    assert (budget.seconds, budget.share) == (30, 0.5)
    compiling = budget.compiling_seconds
    budget.count_step()
    assert budget.steps_done == 8
    compiled, seconds = budget.compiling_seconds, budget.seconds
    assert compiled > compiling
    budget.count_step()
    assert budget.seconds > seconds
    assert budget.compiling_seconds == compiled


@pytest.mark.slow
@pytest.mark.one_backend
def test_a_run_of_less_than_compiling_takes_trains_all_the_same(corpus, tmp_path):
    trained = train("tutorial", corpus, tmp_path / "run", Settings(minutes=0.1 / 60))
    assert trained.compiling_seconds > 0.1
    assert trained.steps > 1


def test_a_budget_of_steps_counts_what_was_done_before():
    assert Budget(minutes=None, steps=10, steps_done=4).share == 0.4
    assert Budget(minutes=1, steps=None, seconds_done=120).share == 1.0


@pytest.mark.slow
def test_evaluation_of_the_tutorials_model_has_only_its_pitch(run, corpus):
    result = evaluate(open_scorer(run / "model.keras"), corpus)
    assert np.isnan(result.nats)
    assert 2 < result.by_field["pitch"] < 6
    assert result.notes == corpus.summary()["validation"]["notes"]


@pytest.mark.slow
def test_a_run_from_a_trained_model_begins_with_what_it_knows(run, corpus, tmp_path):
    scorer = open_scorer(run / "model.keras")
    before = evaluate(scorer, corpus).by_field["pitch"]
    train(load_model(run), corpus, tmp_path, Settings(epochs=0.02, learning_rate=1e-9))
    assert evaluate(open_scorer(tmp_path / "model.keras"), corpus).by_field["pitch"] == pytest.approx(before, abs=1e-4)
    record = load_model(tmp_path).record
    assert record["start"] == load_model(run).record
    assert record["settings"]["preset"] == "tutorial"


@pytest.mark.slow
def test_a_licence_is_inherited_and_joined_by_that_of_the_new_music(run, corpus, tmp_path):
    licensed = load_model(run)
    licensed.record = {**licensed.record, "licence": "CC BY 4.0"}
    train(licensed, corpus, tmp_path / "run", Settings(epochs=0.02))
    assert load_model(tmp_path / "run").record["licence"] == f"CC BY 4.0; and {corpus.licence}"


@pytest.mark.slow
def test_weights_trained_on_several_sources_name_all_and_each_licence_once(run, corpus, performances, tmp_path):
    for name in ("mine", "yours"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.mid").write_bytes(performances[0][1])
    several = open_corpus([*corpus.roots, tmp_path / "mine", tmp_path / "yours"], cache=tmp_path / "cache")
    train(load_model(run), several, tmp_path / "run", Settings(epochs=0.02))
    record = load_model(tmp_path / "run").record
    assert record["licence"] == f"{MAESTRO_LICENCE}; and {UNKNOWN_LICENCE}"
    assert record["source"] == "music.zip, mine, yours"
    assert read_start(tmp_path / "run")["data"] == [str(root.resolve()) for root in several.roots]


@pytest.mark.slow
def test_an_older_run_names_its_one_source_without_a_list(run, corpus, tmp_path):
    start = json.loads((run / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**start, "data": start["data"][0]}))
    assert read_start(tmp_path) == read_start(run)


@pytest.mark.slow
def test_a_model_that_was_trained_before_hears_other_windows_than_then(run, corpus, tmp_path, monkeypatch):
    seen = []

    class Watched(Windows):
        def batch(self, number):
            seen.append(super().batch(number))
            return seen[-1]

    monkeypatch.setattr(training, "Windows", Watched)
    settings = Settings(epochs=0.02, validations=1)
    train("tutorial", corpus, tmp_path / "first", settings)
    train(load_model(tmp_path / "first"), corpus, tmp_path / "second", settings)
    train(load_model(tmp_path / "second"), corpus, tmp_path / "third", settings)
    third = len(seen) // 3
    trained = [batches[0][0] for batches in (seen[:third], seen[third : 2 * third], seen[2 * third :])]
    assert not any(np.array_equal(*pair) for pair in itertools.combinations(trained, 2))


@pytest.mark.slow
def test_a_model_of_another_codec_is_no_start(run, corpus, tmp_path):
    other = dataclasses.replace(corpus, codec=NoteCodec(velocity_edges=(0, 64, 128)))
    with pytest.raises(ArgumentError, match="another codec"):
        train(load_model(run), other, tmp_path / "run", Settings(epochs=0.02))
    assert not (tmp_path / "run").exists()


def test_the_defaults_of_the_command_line_and_the_windows_are_those_of_the_settings():
    options = {option.name: option.default for option in train_command.run.params}
    for name in ("transposition", "stretch", "style_notes", "precision", "seed"):
        assert options[name] == getattr(Settings(minutes=1), name)
    assert inspect.signature(Windows).parameters["transposition"].default == Settings.transposition


def test_a_run_takes_one_training_at_a_time(corpus, tmp_path):
    with locked(tmp_path / "run"):
        for begin in (
            lambda: train("tutorial", corpus, tmp_path / "run", Settings(epochs=1)),
            lambda: resume(corpus, tmp_path / "run", Settings(epochs=1)),
            lambda: runs.finish(tmp_path / "run"),
        ):
            with pytest.raises(ArgumentError, match=rf"run: is in use by process {os.getpid()}, which trains"):
                begin()
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_process_that_was_killed_leaves_no_lock(tmp_path):
    code = (
        "import sys, time; from kerasmusic.training.run_folder import locked\n"
        "with locked(sys.argv[1]): print('locked', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(ArgumentError, match=f"process {process.pid}"), locked(tmp_path):
        pass
    process.kill()
    process.wait()
    process.stdout.close()
    with locked(tmp_path), pytest.raises(ArgumentError, match=f"process {os.getpid()}"), locked(tmp_path):
        pass


class Rounds(keras.callbacks.Callback):
    """Keeps the logs of each round, and can stop after some."""

    def __init__(self, stop_after=10**6):
        super().__init__()
        self.logs, self.epochs, self.stop_after = [], [], stop_after

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(epoch)
        assert isinstance(self.model, NoteModel)
        self.logs.append(dict(logs))
        self.model.stop_training |= len(self.logs) >= self.stop_after


@pytest.mark.slow
def test_callbacks_get_the_figures_of_each_round_and_can_stop_the_run(corpus, tmp_path):
    rounds = Rounds(stop_after=2)
    settings = Settings(epochs=9, batch_size=4, validations=10_000, patience=10_000)
    trained = train("tutorial", corpus, tmp_path, settings, callbacks=[rounds])
    assert (trained.ending, trained.ended) == (Ending.STOPPED, "stopped by a callback")
    assert [logs["training_steps"] for logs in rounds.logs] == [25, 50]
    assert {"loss", "pitch", "minutes", "learning_rate"} <= rounds.logs[0].keys()
    assert "val_loss" in rounds.logs[-1]
    assert not any(math.isnan(value) for logs in rounds.logs for value in logs.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer",
    [
        "AdamW",
        *(
            pytest.param(name, marks=pytest.mark.one_backend)
            for name in ("Lion", "Nadam", "RMSprop", "Adafactor", "SGD")
        ),
    ],
)
def test_an_optimizer_of_keras_follows_the_schedule_and_is_resumed(corpus, tmp_path, optimizer):
    made = getattr(keras.optimizers, optimizer)(learning_rate=2e-3)
    rounds = Rounds()
    settings = Settings(epochs=25 * 4 / corpus.summary()["train"]["notes"], batch_size=4)
    train("tutorial", corpus, tmp_path, settings, optimizer=made, callbacks=[rounds])
    assert rounds.logs[0]["learning_rate"] == pytest.approx(rate_at(1.0, 2e-3))
    assert float(made.learning_rate) == pytest.approx(2e-3)
    began = read_settings(read_start(tmp_path))
    assert began.learning_rate == pytest.approx(2e-3)
    model = load_model(tmp_path / "checkpoint.keras", compile=True)
    assert type(model.optimizer).__name__ == optimizer
    resumed = resume(corpus, tmp_path, dataclasses.replace(began, epochs=2 * began.epochs))
    assert resumed.steps == 50


@pytest.mark.slow
@pytest.mark.one_backend
def test_an_optimizer_with_a_schedule_of_its_own_keeps_it(corpus, tmp_path):
    schedule = keras.optimizers.schedules.ExponentialDecay(1e-3, decay_steps=25, decay_rate=0.5)
    rounds = Rounds()
    settings = Settings(epochs=25 * 4 / corpus.summary()["train"]["notes"], batch_size=4)
    train("tutorial", corpus, tmp_path, settings, optimizer=keras.optimizers.Adam(schedule), callbacks=[rounds])
    assert rounds.logs[0]["learning_rate"] == pytest.approx(5e-4)
    resume(corpus, tmp_path, dataclasses.replace(settings, epochs=2 * settings.epochs), callbacks=[rounds])
    assert rounds.logs[1]["learning_rate"] == pytest.approx(2.5e-4)
    assert rounds.epochs == [0, 1]


def test_what_is_no_model_is_refused(corpus, tmp_path):
    with pytest.raises(ArgumentError, match="a Corpus is no model; begin with a preset's name"):
        train(corpus, corpus, tmp_path / "run", Settings(epochs=1))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_music_that_is_gone_is_named_with_the_remedy(run, tmp_path):
    start = {**read_start(run), "data": [str(tmp_path / "gone.zip")]}
    with pytest.raises(KerasMusicError, match=r"gone\.zip: the run's music is not there any more; .* --data"):
        check_sources(start)


def test_a_learning_rate_beside_an_optimizers_is_refused(corpus, tmp_path):
    with pytest.raises(ArgumentError, match=r"0\.1: the learning rate is that of the optimizer"):
        train(
            "tutorial", corpus, tmp_path, Settings(epochs=1, learning_rate=0.1), optimizer=keras.optimizers.SGD(0.2)
        )  # fmt: skip


@pytest.mark.slow
def test_tensorboard_gets_the_losses(corpus, tmp_path):
    tensorflow = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorboard")
    settings = Settings(epochs=25 * 4 / corpus.summary()["train"]["notes"], batch_size=4)
    train("tutorial", corpus, tmp_path / "run", settings, callbacks=[tensorboard(tmp_path / "board")])
    tags = {
        value.tag
        for path in (tmp_path / "board" / "train").glob("events*")
        for event in tensorflow.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert {"epoch_loss", "epoch_pitch", "epoch_training_steps", "epoch_learning_rate"} <= tags


@pytest.mark.parametrize("what", ["loss", "metrics", "loss_weights", "weighted_metrics"])
def test_a_loss_or_metrics_of_ones_own_are_refused_when_compiling(what):
    with pytest.raises(ArgumentError, match=rf"compile\({what}=...\): a note model has its own loss and metrics"):
        NoteModel.new("tutorial").compile(optimizer="adam", **{what: ["mae"]})


@pytest.mark.slow
def test_a_model_is_fitted_on_windows_without_a_run(corpus):
    model = NoteModel.new("tutorial")
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    windows = Windows(corpus, "train", length=model.window, context=model.context_notes, batch_size=4, batches=5)
    history = model.fit(windows, epochs=2, verbose=0).history
    assert len(history["loss"]) == 2
    assert all(map(math.isfinite, history["loss"]))


@pytest.mark.slow
def test_training_a_model_leaves_the_callers_as_it_was(corpus, tmp_path):
    model = NoteModel.new("tutorial")
    before = model.get_weights()
    train(model, corpus, tmp_path, Settings(epochs=0.02))
    for weight, same in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)
    assert "start" not in load_model(tmp_path).record


@pytest.mark.slow
def test_music_that_has_changed_is_said_with_the_numbers(run, corpus):
    start = read_start(run)
    assert music_change(start, corpus) is None
    former = {**start, "music": {**start["music"], "performances": 9, "notes": 1234, "sha256": "0"}}
    assert re.fullmatch(
        r"the music has changed .*: 9 performances with 1,234 notes then, 3 with [\d,]+ now; .*",
        music_change(former, corpus),
    )
    # A run of before this was recorded.
    assert music_change({name: value for name, value in start.items() if name != "music"}, corpus) is None
