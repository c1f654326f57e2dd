import json
import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from kerasmusic.export import export_tflite
from kerasmusic.export.operators import Operator, check_operators, operators

from kerasmusic.edge import Generator
from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.errors import KerasMusicError
from kerasmusic.models.keras_step import KerasStep
from kerasmusic.models.loading import load_model
from kerasmusic.scoring import KerasScorer

PLAY = """
import json, sys
from kerasmusic.edge import Generator
from kerasmusic.models.keras_step import KerasStep
from kerasmusic.models.loading import load_model
generator = Generator(KerasStep(load_model(sys.argv[1])), seed=11, key="C major", temperature={"pitch": 0.9})
print(json.dumps([list(note) for note in generator.take(500)]))
"""


@pytest.mark.parametrize("preset", ["small", "tutorial"])
def test_a_seed_gives_the_same_500_notes_in_keras_on_jax_and_tensorflow_and_in_the_file(exported, preset):
    keras_file, tflite_file = exported[preset]
    options = {"seed": 11, "key": "C major", "temperature": {"pitch": 0.9}}
    expected = [list(note) for note in Generator(tflite_file, **options).take(500)]
    for backend in ("jax", "tensorflow"):
        done = subprocess.run(
            [sys.executable, "-P", "-c", PLAY, str(keras_file)],
            env={**os.environ, "KERAS_BACKEND": backend},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout.splitlines()[-1]) == expected


@pytest.mark.parametrize("preset", ["small", "tutorial"])
def test_the_file_equals_keras_over_500_notes_of_real_music(exported, notes, preset):
    keras_file, tflite_file = exported[preset]
    generator = Generator(tflite_file, seed=0)
    fields = generator.codec.encode(notes.from_first())[:500]
    (by_file,), (by_keras,) = (
        list(scorer.score_fields([fields])) for scorer in (generator, KerasScorer(load_model(keras_file)))
    )
    assert len(fields) == 500
    np.testing.assert_allclose(by_file, by_keras, atol=1e-4)


@pytest.mark.parametrize("preset", ["small", "tutorial"])
def test_the_file_holds_builtin_operators_and_all_weights(exported, preset):
    keras_file, tflite_file = exported[preset]
    data = read_model_bytes(tflite_file)
    found = operators(data)
    check_operators(found)
    assert "FULLY_CONNECTED" in {operator.name for operator in found}
    weights = sum(variable.numpy().nbytes for variable in load_model(keras_file).trainable_variables)
    assert len(data) > weights > 100_000
    record = read_record(data, "it")
    assert record["preset"] == preset
    assert record["operators"] == [list(operator) for operator in found]
    with zipfile.ZipFile(tflite_file) as archive:
        assert archive.namelist() == ["kerasmusic.json"]


@pytest.mark.parametrize("name", ["CUSTOM", "WHILE", "VAR_HANDLE", "RANDOM_UNIFORM"])
def test_operators_that_a_step_must_not_hold_are_refused(name):
    with pytest.raises(KerasMusicError, match=name):
        check_operators([Operator("ADD", 1, 3), Operator(name, 1, 1)])


def test_a_file_that_is_no_model_of_notes_is_not_exported(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    with pytest.raises(KerasMusicError, match="not a model of notes"):
        export_tflite(tmp_path / "other.keras", tmp_path / "other.tflite")
    assert [path.name for path in tmp_path.iterdir()] == ["other.keras"]


def test_keras_steps_can_be_played_like_files(exported):
    keras_file, tflite_file = exported["tutorial"]
    played = Generator(KerasStep(load_model(keras_file)), seed=2).take(20)
    assert played == Generator(tflite_file, seed=2).take(20)
