"""Tests in separate processes, since TensorFlow's messages while loading bypass Python."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def run(folder, *arguments, backend="jax"):
    """The standard output and the standard error of a process."""
    environment = {name: value for name, value in os.environ.items() if name not in ("KERAS_BACKEND", "CI")}
    environment |= {"KERAS_BACKEND": backend} if backend else {}
    done = subprocess.run(
        [sys.executable, "-P", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def trained(midi_zip, tmp_path_factory):
    """A folder with a run trained by the command line, and the standard error of that."""
    folder = tmp_path_factory.mktemp("quiet")
    train = ["train", "--data", str(midi_zip), "--preset", "tutorial", "--epochs", "0.2", "--run", "run", "--quiet"]
    return folder, run(folder, "-m", "kerasmusic.command_line", *train)


def test_training_on_jax_with_quiet_says_nothing(trained):
    folder, said = trained
    assert said == ("", "")
    assert (folder / "run" / "model.tflite").exists()


def test_evaluation_and_export_on_jax_print_only_their_results(trained, midi_zip):
    folder, _ = trained
    evaluate = ["evaluate", "run/model.keras", "--data", str(midi_zip), "--json", "--quiet"]
    printed, said = run(folder, "-m", "kerasmusic.command_line", *evaluate)
    assert printed.startswith("{")
    assert said == ""
    export = ["export", "--tflite", "run", "-o", "model.tflite", "--quiet"]
    assert run(folder, "-m", "kerasmusic.command_line", *export)[1] == ""


@pytest.mark.parametrize("backend", ["jax", "tensorflow", None])
def test_help_of_the_package_says_nothing_else(backend, tmp_path):
    printed, said = run(tmp_path, "-c", "import kerasmusic; help(kerasmusic)", backend=backend)
    assert "class NoteModel" in printed
    assert said == ""


def test_tensorflow_is_found_as_without_kerasmusic(tmp_path):
    script = (
        "import importlib.resources, os, kerasmusic.models, tensorflow\n"
        "from importlib.machinery import SourceFileLoader\n"
        "assert type(tensorflow.__loader__) is type(tensorflow.__spec__.loader) is SourceFileLoader\n"
        "assert importlib.resources.files('tensorflow').joinpath('__init__.py').is_file()\n"
    )
    assert run(tmp_path, "-c", script) == ("", "")
