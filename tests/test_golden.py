import importlib.util
import json

import pytest

from kerasmusic.command_line import main
from kerasmusic.edge import TFLiteStep
from kerasmusic.edge.golden import NOTES, verify
from kerasmusic.edge.model_file import read_model_bytes, read_record, with_record

pytestmark = pytest.mark.device

needs_tensorflow = pytest.mark.skipif(
    not importlib.util.find_spec("tensorflow"), reason="exporting needs TensorFlow, which a device has not"
)


def changed(path, tmp_path, change):
    """A copy of a file with its record changed."""
    data = read_model_bytes(path)
    record = json.loads(json.dumps(read_record(data, "it")))
    change(record)
    copy = tmp_path / "changed.tflite"
    copy.write_bytes(with_record(data[: data.index(b"PK\x03\x04")], record))
    return copy


@pytest.mark.parametrize("preset", ["small", "tutorial", "tiny", "echoing"])
def test_a_file_proves_itself_on_another_runtime(exported, preset):
    verdict = verify(TFLiteStep(exported[preset][1]))
    assert verdict.holds
    assert verdict.notes == NOTES
    assert verdict.parted is None
    assert verdict.difference < 1e-4


@needs_tensorflow
@pytest.mark.parametrize("interpreter", ["ai_edge_litert.interpreter", "tensorflow.lite.python.interpreter"])
def test_the_interpreter_can_be_chosen(exported, interpreter):
    step = TFLiteStep(exported["tutorial"][1], interpreter=interpreter)
    assert step.runtime == interpreter.split(".")[0]
    assert verify(step).holds


def test_another_note_or_probability_fails_the_proof_with_exit_code_1(exported, tmp_path, capsys):
    def other_note(record):
        note = record["golden"]["notes"][700]
        note[1] = (note[1] + 12) % 128

    def other_probability(record):
        record["golden"]["log_prob"][10][1] -= 0.01

    for change, words in ((other_note, "parting at note 701"), (other_probability, "NOT within")):
        path = changed(exported["small"][1], tmp_path, change)
        assert main(["verify", str(path)]) == 1
        assert words in capsys.readouterr().out
    assert main(["verify", str(exported["small"][1])]) == 0
    assert "the same 1,000 notes" in capsys.readouterr().out


def test_a_file_without_a_passage_is_refused(exported, tmp_path, capsys):
    path = changed(exported["small"][1], tmp_path, lambda record: record.pop("golden"))
    assert main(["verify", str(path)]) == 2
    assert "no golden passage" in capsys.readouterr().err


def test_an_int8_file_plays_and_scores_on_every_runtime(exported):
    step = TFLiteStep(exported["tiny"][1].with_name("int8.tflite"))
    assert step.record["precision"] == "int8"
    assert verify(step).holds
