import numpy as np
import pytest

pytest.importorskip("ai_edge_litert.compiled_model", reason="tflite-runtime has no CompiledModel")

from kerasmusic.bundled import bundled_model
from kerasmusic.edge import CompiledModelRuntime, Generator, TFLiteRuntime
from kerasmusic.edge.golden import NOTES, play, verify
from kerasmusic.edge.model_file import read_record, with_record
from kerasmusic.errors import ModelFileError

pytestmark = pytest.mark.device


@pytest.mark.parametrize("preset", ["small", "tutorial", "tiny", "echoing"])
def test_a_file_proves_itself_on_compiled_model(exported, preset):
    verdict = verify(CompiledModelRuntime(exported[preset][1]))
    assert verdict.holds
    assert verdict.parted is None
    assert verdict.notes == NOTES == 1_000
    assert "CompiledModel" in str(verdict)


def test_the_bundled_model_plays_the_interpreters_notes_on_compiled_model():
    by_interpreter, by_compiled_model = TFLiteRuntime(bundled_model()), CompiledModelRuntime(bundled_model())
    assert by_interpreter.record["precision"] == "exact"
    np.testing.assert_array_equal(play(by_compiled_model), play(by_interpreter))
    np.testing.assert_array_equal(by_compiled_model.state, by_interpreter.state)


def test_a_generator_plays_on_compiled_model_from_the_beginning_again(exported):
    generator = Generator(CompiledModelRuntime(exported["tiny"][1]), seed=3)
    notes = generator.take(50)
    generator.reset()
    assert generator.take(50) == notes
    assert Generator(exported["tiny"][1], seed=3).take(50) == notes


def test_a_damaged_graph_is_refused_by_compiled_model(exported, tmp_path):
    data = exported["tiny"][1].read_bytes()
    # A new checksum makes the damaged graph pass the file's own check.
    path = tmp_path / "damaged.tflite"
    path.write_bytes(with_record(data[:8] + bytes(1_000), read_record(data, "tiny")))
    with pytest.raises(ModelFileError, match=r"damaged\.tflite: .*CompiledModel cannot read it"):
        CompiledModelRuntime(path)
