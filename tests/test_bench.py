import json
import sys
import time

import numpy as np
import pytest

from kerasmusic.bench import (
    draws,
    ingest,
    live,
    matrix_products,
    records,
    report,
    training,
    tutorial,
    tutorial_loop,
)
from kerasmusic.bench.processes import in_fresh_process
from kerasmusic.bundled import bundled_model
from kerasmusic.edge import Generator
from kerasmusic.edge.model_file import read_model_bytes
from kerasmusic.errors import ArgumentError
from kerasmusic.export.matrices import matrix_products as alone
from kerasmusic.export.operators import operators
from kerasmusic.live import Duet
from kerasmusic.live.answers import PAUSE_SECONDS
from kerasmusic.live.inputs import Release, Strike


def test_the_tutorials_windows_are_25_notes_and_the_note_after(notes):
    windows, labels = tutorial_loop.make_windows(notes)
    assert windows.shape == (len(notes) - 25, 25, 3)
    assert windows[3, 0, 0] * 128 == pytest.approx(notes.pitch[3])
    assert labels["pitch"][3] == notes.pitch[28]
    np.testing.assert_allclose(labels["step"][3], notes.step[28], rtol=1e-5)


@pytest.mark.slow
def test_the_tutorials_loop_trains_and_plays(notes):
    model = tutorial_loop.build_model()
    windows, labels = tutorial_loop.make_windows(notes)
    losses = model.fit(windows, labels, batch_size=64, epochs=2, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    made = tutorial_loop.generate(model, notes, 3)
    assert len(made) == 3
    assert all(0 <= pitch < 128 and step >= 0 and duration >= 0 for pitch, step, duration in made)


def test_draws_that_differ_are_counted(exported, tmp_path, monkeypatch, capsys):
    place = tmp_path / "notes.npy"
    monkeypatch.setattr(sys, "argv", ["draws", str(exported["tiny"][1]), str(place), "--count", "50"])
    draws.main()
    draws.main()
    assert json.loads(capsys.readouterr().out.splitlines()[1])["flips"] == 0
    notes = np.load(place)
    notes[20, 1] = (notes[20, 1] + 1) % 128
    np.save(place, notes)
    draws.main()
    assert json.loads(capsys.readouterr().out)["flips"] >= 1


def test_matrix_products_alone_are_timed_beside_the_whole_step(exported, monkeypatch):
    path = exported["tiny"][1]
    whole = {operator.name: operator.uses for operator in operators(read_model_bytes(path))}
    assert [(operator.name, operator.uses) for operator in operators(alone(read_model_bytes(path)))] == [
        ("FULLY_CONNECTED", whole["FULLY_CONNECTED"])
    ]
    monkeypatch.setattr(matrix_products, "STEPS", 20)
    found = matrix_products.measure(path)
    assert found["note_us"] > 0
    assert found["invoke_to_matrix_products"] > 0


@pytest.mark.slow
def test_training_is_timed_on_the_backend_at_hand(midi_zip):
    by_adam = training.measure_keras("tiny", str(midi_zip), batches=2, adam=True)
    found = training.measure_keras("tiny", str(midi_zip), batches=2)
    assert min(found["notes_per_second"], by_adam["notes_per_second"]) > 0
    assert found["parameters"] <= 300_000
    assert set(found["seconds"]) == {"data", "compile", "steps"}
    # The compile time is the excess of the first round over the others.
    assert found["seconds"]["compile"] > found["seconds"]["data"] > 0


@pytest.mark.slow
def test_an_lstm_of_torch_is_timed_beside_it(midi_zip):
    pytest.importorskip("torch")
    for preset, parameters in (("tiny", 136_736), ("tutorial", 271_904)):
        found = in_fresh_process(training.__name__, "measure_torch", preset=preset, data=str(midi_zip), batches=2)
        assert found["notes_per_second"] > 0
        assert found["parameters"] == parameters


@pytest.mark.slow
def test_a_models_size_is_what_was_asked_for(midi_zip):
    small, wide = (training.measure_gated(width, 1, 32, str(midi_zip)) for width in (16, 32))
    assert small["parameters"] < wide["parameters"]
    assert small["notes_per_second"] > 0


def test_a_preset_that_is_not_there_is_refused():
    with pytest.raises(ArgumentError, match="huge: no such preset; there are tutorial, tiny"):
        training.measure("nowhere", ["huge"])


@pytest.mark.slow
def test_the_tutorials_network_is_trained_with_a_label_at_every_note(midi_zip, monkeypatch):
    monkeypatch.setattr(tutorial, "WINDOW", 12)
    train, labels = tutorial.lstm_training(str(midi_zip))
    assert labels == 10 * 64 * 12
    (before,) = train().history["loss"]
    for _ in range(3):
        (after,) = train().history["loss"]
    assert after < before


@pytest.mark.slow
def test_the_tutorials_own_way_has_a_label_a_window(midi_zip, corpus):
    train, labels = tutorial.tutorial_training(str(midi_zip))
    longest = max(len(fields) for fields in corpus.performances("train"))
    assert labels == (longest - 25) // 64 * 64
    assert train().history["loss"][0] > 0


@pytest.mark.slow
def test_playing_is_timed_beside_the_tutorials_loop(midi_zip, exported):
    found = tutorial.measure_playing(str(midi_zip), str(exported["tiny"][1]), rounds=1)
    assert found["tutorial_ms"] > found["note_ms"] > 0
    assert found["times_faster"] == pytest.approx(found["tutorial_ms"] / found["note_ms"])


@pytest.mark.slow
def test_both_readers_read_the_same_files(midi_zip, tmp_path):
    found = ingest.compare_readers(str(midi_zip), 2)
    assert found["files"] == 2
    assert found["corpus_notes"] == found["pretty_midi_notes"] > 100
    assert found["times_faster"] == pytest.approx(found["pretty_midi_seconds"] / found["corpus_seconds"])
    record = ingest.measure(str(midi_zip), (0,))
    assert record["results"][0]["files"] == 3
    assert len(record["targets"]) == 1
    path = tmp_path / "ingest.json"
    records.write_record(record, path)
    assert "by a pretty_midi loop" in report.text(records.read_record(path))


def test_a_scripted_performer_is_followed_and_no_note_hangs():
    began = time.perf_counter()
    taps = [Strike(began + 0.2 + 0.05 * index, 60, 80) for index in range(12)]
    player, output, times = live.measure(Duet(Generator(bundled_model(), seed=7), "time"), taps, seconds=1.5)
    assert len(output.strikes) == player.lateness.notes == 12
    assert output.hanging == 0
    # No note precedes its key.
    assert all(struck >= at for struck, at in zip(output.strikes, times, strict=True))
    assert all(at >= tap.time for at, tap in zip(times, taps, strict=True))


def test_scripted_phrases_end_with_their_last_release_and_a_pause():
    events, ends = live.phrases(100.0, 60.0)
    assert len(ends) >= 5
    for end in ends:
        before = [event for event in events if event.time < end]
        assert end - before[-1].time == pytest.approx(PAUSE_SECONDS)
        assert isinstance(before[-1], Release)
    assert events[-1].time < 160


def test_too_short_a_measurement_is_refused(capsys):
    with pytest.raises(SystemExit):
        live.main(["--seconds", "5"])
    assert "5: at least 10 seconds are needed" in capsys.readouterr().err
