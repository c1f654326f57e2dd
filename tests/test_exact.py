"""Exact files: the same notes on every runtime that is installed, and on Keras."""

import importlib.util

import numpy as np
import pytest

from kerasmusic.edge import TFLiteRuntime
from kerasmusic.edge.golden import play, verify
from kerasmusic.edge.runtime import INTERPRETERS
from kerasmusic.errors import ArgumentError, KerasMusicError
from kerasmusic.export import export_tflite
from kerasmusic.models.keras_runtime import KerasRuntime
from kerasmusic.models.note_model import load_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exact(exported, tmp_path_factory):
    return export_tflite(exported["tiny"][0], tmp_path_factory.mktemp("exact") / "tiny.tflite", precision="exact")


@pytest.mark.parametrize(
    ("interpreter", "threads"), [*((interpreter, 1) for interpreter in INTERPRETERS), (INTERPRETERS[0], 2)]
)
def test_every_interpreter_plays_the_very_notes_with_any_number_of_threads(exact, interpreter, threads):
    if not importlib.util.find_spec(interpreter.partition(".")[0]):
        pytest.skip(f"{interpreter} is not installed")
    runtime = TFLiteRuntime(exact.path, threads=threads, interpreter=interpreter)
    verdict = verify(runtime)
    assert verdict.holds, verdict
    assert verdict.must_match
    assert verdict.parted is None
    assert np.array_equal(runtime.state, np.round(runtime.state))


def test_keras_plays_the_very_notes_of_the_file(exact):
    assert exact.keras.name == "tiny-exact.keras"
    runtime = TFLiteRuntime(exact.path)
    model = KerasRuntime(load_model(exact.keras))
    np.testing.assert_array_equal(play(model, 60), play(runtime, 60))
    np.testing.assert_array_equal(model.state, runtime.state)


def test_its_weights_are_int8_and_the_exported_quantised_model_gives_the_same_file(exact, tmp_path):
    again = export_tflite(exact.keras, tmp_path / "again.tflite", precision="exact")
    assert again.keras is None
    assert again.bytes == pytest.approx(exact.bytes, rel=1e-3)
    fields = [play(TFLiteRuntime(each.path), 50) for each in (exact, again)]
    np.testing.assert_array_equal(*fields)
    assert ["FULLY_CONNECTED", 9, 17] in exact.operators


def test_what_has_no_exact_form_is_refused_before_a_process_starts(exported, exact, tmp_path):
    with pytest.raises(ArgumentError, match="cannot be exported as exact; choose float32 or float16 or int8"):
        export_tflite(exported["tutorial"][0], tmp_path / "x.tflite", precision="exact")
    with pytest.raises(ArgumentError, match="cannot be exported as int8; choose exact"):
        export_tflite(exact.keras, tmp_path / "x.tflite", precision="int8")


def test_weights_that_are_no_codes_are_refused_by_name(exported):
    from kerasmusic.export.exact import with_exact_weights

    with pytest.raises(KerasMusicError, match="these weights are not int8 codes"):
        with_exact_weights(exported["tiny"][1].read_bytes())
