"""Tests of training on several devices. Each run has its own processes, because JAX counts devices on startup."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from kerasmusic.errors import ArgumentError
from kerasmusic.models.note_model import load_model
from kerasmusic.training.budget import Budget
from kerasmusic.training.devices import Devices, check_devices
from kerasmusic.training.run_folder import read_history
from kerasmusic.training.stopping import StopTogether
from kerasmusic.training.windows import Windows

# `kerasmusic` with a preset that compiles quickly, and without the export.
KERASMUSIC = """
import sys
sys.modules["tensorflow"] = None  # which Keras would load, for nothing here
from kerasmusic import command_line, runs
from kerasmusic.models import presets
from kerasmusic.training.run_folder import RunFiles

presets.PRESETS["tiny"] = presets.Preset(presets.GATED, {"width": 32, "hidden": 32, "depth": 2})
runs.finish = lambda run: RunFiles((), {})
sys.exit(command_line.main(sys.argv[1:]))
"""
# Two rounds, the second cut short, and some validations.
SETTINGS = ("--preset", "tiny", "--epochs", "30", "--batch-size", "8")

needs_jax = pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="Keras has several devices on JAX alone")


def environment(cache, devices=1, **further):
    # Optimization is reduced, because most of the time is spent compiling.
    flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    own = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "XDG_CACHE_HOME": str(cache)}
    # More threads than virtual devices, on any number of processors: a device that waits for the others blocks its
    # thread.
    return {**os.environ, **own, "NPROC": "16", **further}


def start(environment, *arguments):
    command = [sys.executable, "-c", KERASMUSIC, "train", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def start_two(cache, *arguments, runs):
    """Starts the processes of two hosts, both on this machine, with one device each."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    joined = {"KERAS_DISTRIBUTION_JOB_ADDRESSES": address, "KERAS_DISTRIBUTION_NUM_PROCESSES": "2"}
    return [
        start(
            environment(cache, **joined, KERAS_DISTRIBUTION_PROCESS_ID=str(index)),
            *arguments, "--devices", "all", *(["--run", run] if run else []),
        )
        for index, run in enumerate(runs)
    ]  # fmt: skip


def finish(*processes):
    """Waits for the processes, which must succeed; returns their outputs."""
    try:
        outputs = [process.communicate(timeout=240)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(outputs)
    return outputs


def assert_alike(run, other):
    """Asserts that losses and weights are equal up to rounding."""
    history, others = read_history(run), read_history(other)
    assert history["training_steps"] == others["training_steps"]
    for name in ("loss", "pitch", "val_loss", "val_velocity", "learning_rate"):
        np.testing.assert_allclose(others[name], history[name], rtol=1e-5)
    weights = zip(load_model(run).get_weights(), load_model(other).get_weights(), strict=True)
    for weight, others_weight in weights:
        np.testing.assert_allclose(others_weight, weight, atol=1e-5)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def alone(midi_zip, cache, tmp_path_factory):
    """A run on one device."""
    run = tmp_path_factory.mktemp("runs") / "alone"
    finish(start(environment(cache), "--data", midi_zip, *SETTINGS, "--run", run))
    return run


@needs_jax
@pytest.mark.slow
def test_four_devices_reach_the_loss_of_one(alone, midi_zip, cache, tmp_path):
    finish(
        start(
            environment(cache, devices=4), "--data", midi_zip, *SETTINGS, "--devices", "all", "--run", tmp_path / "four"
        )
    )
    assert_alike(alone, tmp_path / "four")


@needs_jax
@pytest.mark.slow
def test_two_processes_reach_the_loss_of_one_and_the_first_alone_writes(alone, midi_zip, cache, tmp_path):
    both = start_two(cache, "--data", midi_zip, *SETTINGS, runs=[tmp_path / "first", tmp_path / "second"])
    outputs = finish(*both)
    assert_alike(alone, tmp_path / "first")
    assert "saved in" in outputs[0]
    assert "the first process saved them" in outputs[1]
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


@needs_jax
@pytest.mark.slow
def test_processes_stop_together_when_one_is_told_to_and_carry_on_together(midi_zip, cache, tmp_path):
    run = tmp_path / "run"
    both = start_two(cache, "--data", midi_zip, "--preset", "tiny", "--minutes", "60", runs=[run, run])
    while not (run / "history.csv").exists() and all(process.poll() is None for process in both):
        time.sleep(0.1)
    both[1].send_signal(signal.SIGINT)
    outputs = finish(*both)
    assert "stopped by another process; saved in" in outputs[0]
    assert "stopped by SIGINT; the first process saved them" in outputs[1]
    steps = read_history(run)["training_steps"][-1]
    finish(*start_two(cache, "--resume", run, "--epochs", 1.2 * steps + 10, runs=[None, None]))
    assert read_history(run)["training_steps"][-1] > steps


def test_processes_take_the_rows_of_one_batch(corpus):
    options = {"length": 8, "batch_size": 6, "batches": 1}
    parts = [
        Windows(corpus, "train", **options, rows=Devices(process=process, processes=3).rows(6))[0][0]
        for process in range(3)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), Windows(corpus, "train", **options)[0][0])


HOSTS = {"JOB_ADDRESSES": "10.0.0.1:1234", "NUM_PROCESSES": "2", "PROCESS_ID": "1"}


@pytest.mark.parametrize(
    ("which", "hosts", "message"),
    [
        ("some", {}, "some: no such devices; there are one and all"),
        ("one", HOSTS, "ADDRESSES is set, but hosts train together only with --devices all"),
        ("all", {"JOB_ADDRESSES": "10.0.0.1:1234"}, "NUM_PROCESSES is not set"),
        ("all", {**HOSTS, "JOB_ADDRESSES": "10.0.0.1"}, r"=10.0.0.1: write the first host's address as HOST:PORT"),
        ("all", {**HOSTS, "PROCESS_ID": "2"}, r"PROCESSES=2, KERAS_DISTRIBUTION_PROCESS_ID=2: write how many"),
        ("all", {**HOSTS, "NUM_PROCESSES": "two"}, r"PROCESSES=two"),
    ],
)
def test_devices_and_hosts_that_make_no_sense_are_refused(monkeypatch, which, hosts, message):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    for name, value in hosts.items():
        monkeypatch.setenv(f"KERAS_DISTRIBUTION_{name}", value)
    with pytest.raises(ArgumentError, match=message):
        check_devices(which)


def test_on_another_backend_than_jax_one_line_says_so(monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "tensorflow")
    with pytest.raises(ArgumentError, match="tensorflow: Keras trains on several devices on JAX alone"):
        check_devices("all")


@needs_jax
@pytest.mark.slow
def test_one_device_is_not_all_of_several(midi_zip, cache, tmp_path):
    refused = start(environment(cache), "--data", midi_zip, "--devices", "all", "--run", tmp_path / "run")
    output, _ = refused.communicate(timeout=240)
    assert refused.returncode == 2
    assert output.endswith("kerasmusic: there is only one device, cpu:0; leave out --devices all\n")
    assert not (tmp_path / "run").exists()


def test_a_batch_that_devices_cannot_share_equally_is_refused():
    class Four(Devices):
        count = 4

    assert Four().rows(8) == slice(0, 8)
    with pytest.raises(ArgumentError, match="6 windows in a batch cannot be shared equally by 4 devices"):
        Four().rows(6)


def test_a_signal_that_the_others_have_not_heard_of_waits_for_the_next_round():
    class Others:
        process = 1

        def total(self, value):
            stop.signalled = "SIGINT"  # comes while this process waits for the others
            return value

    stop = SimpleNamespace()  # what the constructor tells
    stop = StopTogether(Others(), Budget(minutes=60, steps=None))
    stop.signalled = None
    stop.set_model(SimpleNamespace(stop_training=False))
    stop._read_clock = lambda: None
    stop.on_epoch_end(0)
    assert not stop._model.stop_training
    stop.on_epoch_end(1)
    assert stop._model.stop_training
