import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasmusic.command_line import main
from kerasmusic.edge import Generator, TFLiteRuntime
from kerasmusic.edge.golden import NOTES, verify
from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.errors import ArgumentError, KerasMusicError
from kerasmusic.export import PRECISIONS, Excerpts, ExportResult, export_precisions, export_tflite
from kerasmusic.export.operators import Operator, check_graph, check_operators, operator_name, operators
from kerasmusic.models.keras_runtime import KerasRuntime
from kerasmusic.models.note_model import load_model
from kerasmusic.models.scoring import KerasScorer

PLAY = """
import json, sys
from kerasmusic.edge.golden import play
from kerasmusic.models.keras_runtime import KerasRuntime
from kerasmusic.models.note_model import load_model
print(json.dumps(play(KerasRuntime(load_model(sys.argv[1]))).tolist()))
"""


@pytest.mark.parametrize("preset", ["small", "tutorial"])
@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
@pytest.mark.slow
def test_the_golden_passage_of_a_file_is_what_keras_plays(exported, preset, backend):
    keras_file, tflite_file = exported[preset]
    golden = read_record(read_model_bytes(tflite_file), "it")["golden"]["notes"]
    done = subprocess.run(
        [sys.executable, "-c", PLAY, str(keras_file)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=True,
    )
    played = json.loads(done.stdout.splitlines()[-1])
    assert len(played) == NOTES
    assert played == golden


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["small", "tutorial"])
def test_the_file_equals_keras_over_500_notes_of_real_music(exported, notes, preset):
    keras_file, tflite_file = exported[preset]
    generator = Generator(tflite_file, seed=0)
    fields = generator.codec.encode(notes.without_leading_silence())[:500]
    (by_file,), (by_keras,) = (
        list(scorer.score_fields([fields])) for scorer in (generator, KerasScorer(load_model(keras_file)))
    )
    assert len(fields) == 500
    np.testing.assert_allclose(by_file, by_keras, atol=1e-4)


@pytest.mark.slow
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


@pytest.mark.slow
def test_every_operator_of_the_schema_has_its_own_name():
    from tensorflow.lite.python.schema_py_generated import BuiltinOperator

    names = [name for name in dir(BuiltinOperator) if not name.startswith("_")]
    assert len(names) > 150
    assert {operator_name(getattr(BuiltinOperator, name)) for name in names} == set(names)


@pytest.mark.parametrize("name", ["CUSTOM", "WHILE", "VAR_HANDLE", "RANDOM_UNIFORM"])
def test_operators_that_a_step_must_not_hold_are_refused(name):
    with pytest.raises(KerasMusicError, match=name):
        check_operators([Operator("ADD", 1, 3), Operator(name, 1, 1)])


def graph_of_an_addition():
    """A flatbuffer without weights and without our signature."""
    import tensorflow as tf

    concrete = tf.function(lambda x: x + 1.0).get_concrete_function(tf.TensorSpec([1, 4], tf.float32))
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()


@pytest.mark.slow
def test_a_graph_that_lost_its_weights_is_refused():
    with pytest.raises(KerasMusicError, match=r"fewer than its weights' 4,000,000: they were lost"):
        check_graph(graph_of_an_addition(), weights=4_000_000)


@pytest.mark.slow
def test_a_graph_with_another_signature_is_refused():
    with pytest.raises(KerasMusicError, match=r"signatures .* not \('previous', 'given'"):
        check_graph(graph_of_an_addition(), weights=0)


@pytest.mark.slow
def test_a_graph_that_keeps_a_variable_is_refused(tmp_path):
    import tensorflow as tf

    class Counter(tf.Module):
        def __init__(self):
            self.count = tf.Variable(tf.zeros([1, 4]))

        @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32)])
        def step(self, x):
            self.count.assign_add(x)
            return self.count.read_value()

    counter = Counter()
    tf.saved_model.save(counter, str(tmp_path), signatures={"step": counter.step})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path), signature_keys=["step"])
    converter.experimental_enable_resource_variables = True
    with pytest.raises(KerasMusicError, match="a step"):
        check_graph(converter.convert(), weights=0)


@pytest.fixture(scope="module")
def every_precision(exported, corpus, tmp_path_factory):
    """Exports `small` in every precision at once, measured on a real performance."""
    folder = tmp_path_factory.mktemp("precisions")
    outputs = {precision: folder / f"{precision}.tflite" for precision in PRECISIONS}
    excerpts = Excerpts.of(corpus)
    return export_precisions(exported["small"][0], outputs, excerpts=excerpts), excerpts


@pytest.mark.slow
def test_every_precision_proves_itself_and_is_smaller(every_precision):
    files, _ = every_precision
    assert [each.precision for each in files] == list(PRECISIONS)
    for each, share in zip(files, (1.0, 0.55, 0.35, 0.5, 0.35), strict=True):
        runtime = TFLiteRuntime(each.path)
        assert runtime.record["precision"] == each.precision
        assert verify(runtime).holds
        assert each.bytes == each.path.stat().st_size <= share * files[0].bytes
        assert {name: version for name, version, _ in each.operators}["FULLY_CONNECTED"] <= 9
        assert tuple(int(part) for part in each.runtime.split(".")) <= (2, 14)
        assert each.microseconds > 0


@pytest.mark.slow
def test_what_a_precision_loses_is_what_evaluation_finds(every_precision, exported):
    files, excerpts = every_precision
    (expected,) = KerasScorer(load_model(exported["small"][0])).score_fields(excerpts.validation)
    for each in files:
        (scored,) = Generator(each.path, seed=0).score_fields(excerpts.validation)
        assert each.nats_lost == pytest.approx(float((expected - scored).sum(axis=1).mean()), abs=1e-4)
        assert each.difference == pytest.approx(float(np.abs(expected - scored).max()), abs=1e-4)
    assert files[0].difference < 1e-4


def test_a_costly_precision_is_warned_of():
    known = {"path": "x.tflite", "bytes": 1, "operators": [], "runtime": "2.9", "interpreter": "", "microseconds": 1.0}
    cheap = ExportResult(precision="int8", difference=0.1, nats_lost=0.05, **known)
    costly = ExportResult(precision="int8", difference=0.1, nats_lost=0.06, **known)
    assert cheap.warning is None
    assert "int8 loses 0.060 nats per note" in costly.warning


def test_calibration_without_music_is_refused(exported, tmp_path):
    with pytest.raises(ArgumentError, match="calibrated on real music; name some with --data"):
        export_tflite(exported["small"][0], tmp_path / "x.tflite", precision="int8-full")


@pytest.mark.slow
def test_the_small_step_has_fewer_than_120_operators(every_precision):
    files, _ = every_precision
    by_precision = {each.precision: sum(count for _, _, count in each.operators) for each in files}
    assert by_precision["float32"] < 120
    assert by_precision["int8"] < 120


@pytest.mark.slow
def test_killing_the_exporter_leaves_the_old_file_whole(exported, tmp_path):
    old = exported["tutorial"][1].read_bytes()
    output = tmp_path / "model.tflite"
    output.write_bytes(old)
    command = [sys.executable, "-m", "kerasmusic.command_line", "export"]
    command += ["--tflite", str(exported["small"][0]), "-o", str(output)]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # The worst moment: the temporary file is being written.
    while len(list(tmp_path.iterdir())) == 1 and process.poll() is None:
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert output.read_bytes() == old


@pytest.mark.parametrize(
    ("start", "line"),
    [
        (
            "raise RuntimeError('this processor\\nhas no AVX')",
            r"unexpected RuntimeError: this processor has no AVX; please report it, with (\S+)",
        ),
        (
            "import os; os.write(2, b'this processor has no AVX\\n'); os.abort()",
            r"its process died \(SIGABRT\); please report it, with (\S+)",
        ),
        (
            "import os; os.kill(os.getpid(), 9)",
            r"its process was killed; is there enough memory\?()",
        ),
    ],
)
@pytest.mark.slow
def test_an_exporter_that_fails_is_told_in_one_line_and_what_it_said_is_kept(
    start, line, exported, tmp_path, monkeypatch, capfd
):
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text(start)
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["export", "--tflite", str(exported["tiny"][0]), "-o", str(tmp_path / "model.tflite")]) == 2
    told = re.fullmatch(rf"kerasmusic: kerasmusic\.export\.tflite\.export_from_json: {line}\n", capfd.readouterr().err)
    assert told
    if told[1]:
        assert "this processor" in Path(told[1]).read_text()
    assert not (tmp_path / "model.tflite").exists()


TRAIN_ON_TORCH = """
import sys
from kerasmusic.data.corpus import open_corpus
from kerasmusic.training.settings import Settings
from kerasmusic.training.train import train

corpus = open_corpus(sys.argv[1], cache=sys.argv[2])
train("small", corpus, sys.argv[3], Settings(epochs=0.5, precision=sys.argv[4]))
"""


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="PyTorch is not installed")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.slow
def test_a_model_trained_on_pytorch_exports_too(midi_zip, notes, tmp_path, precision):
    (tmp_path / "train.py").write_text(TRAIN_ON_TORCH)
    keras_file, tflite_file = tmp_path / "run" / "model.keras", tmp_path / "model.tflite"
    subprocess.run(
        [
            sys.executable,
            str(tmp_path / "train.py"),
            str(midi_zip),
            str(tmp_path / "cache"),
            str(tmp_path / "run"),
            precision,
        ],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        check=True,
    )
    export_tflite(keras_file, tflite_file)
    assert verify(TFLiteRuntime(tflite_file)).parted is None
    generator = Generator(tflite_file, seed=0)
    fields = generator.codec.encode(notes.without_leading_silence())[:100]
    (by_file,), (by_keras,) = (
        list(scorer.score_fields([fields])) for scorer in (generator, KerasScorer(load_model(keras_file)))
    )
    np.testing.assert_allclose(by_file, by_keras, atol=1e-4)


def test_a_file_that_is_no_model_of_notes_is_not_exported(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    with pytest.raises(KerasMusicError, match="not a model of notes"):
        export_tflite(tmp_path / "other.keras", tmp_path / "other.tflite")
    assert [path.name for path in tmp_path.iterdir()] == ["other.keras"]


def test_keras_steps_can_be_played_like_files(exported):
    keras_file, tflite_file = exported["tutorial"]
    played = Generator(KerasRuntime(load_model(keras_file)), seed=2).take(20)
    assert played == Generator(tflite_file, seed=2).take(20)
