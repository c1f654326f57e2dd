import importlib.util

import pytest

from changed_record import changed
from kerasmusic.command_line import main
from kerasmusic.edge import TFLiteRuntime, golden
from kerasmusic.edge.golden import NOTES, play, score, verify

pytestmark = pytest.mark.device

needs_tensorflow = pytest.mark.skipif(not importlib.util.find_spec("tensorflow"), reason="exporting needs TensorFlow")


@pytest.mark.parametrize("preset", ["small", "tutorial", "tiny", "echoing", "styled"])
def test_a_file_proves_itself_on_another_runtime(exported, preset):
    verdict = verify(TFLiteRuntime(exported[preset][1]))
    assert verdict.holds
    assert verdict.notes == NOTES
    assert verdict.parted is None
    assert verdict.difference < 1e-4


@needs_tensorflow
@pytest.mark.parametrize("interpreter", ["ai_edge_litert.interpreter", "tensorflow.lite.python.interpreter"])
def test_the_interpreter_can_be_chosen(exported, interpreter):
    runtime = TFLiteRuntime(exported["tutorial"][1], interpreter=interpreter)
    assert runtime.name == interpreter.split(".")[0]
    assert verify(runtime).holds


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


def test_a_passage_is_played_by_the_settings_in_the_file(exported, tmp_path):
    runtime = TFLiteRuntime(exported["small"][1])
    settings = {"seed": 7, "temperature": 0.5, "min_p": 0.1, "key": None, "pitch_range": "C3-C5"}
    settings |= {"speed": 5.0, "polyphony": None, "loudness": 90.0}
    fields = play(runtime, 20, settings)

    def another(record):
        record["golden"] = {
            "settings": settings, "notes": fields.tolist(), "log_prob": score(runtime, fields).astype(float).tolist(),
        }  # fmt: skip

    verdict = verify(TFLiteRuntime(changed(exported["small"][1], tmp_path, another)))
    assert verdict.holds
    assert (verdict.notes, verdict.parted) == (20, None)


def test_a_file_of_before_without_settings_is_proved_by_those_of_its_time(exported, tmp_path):
    runtime = TFLiteRuntime(exported["small"][1])
    fields = play(runtime, 20, golden.WITHOUT_TARGETS | golden.FIRST_SETTINGS)
    log_prob = score(runtime, fields).astype(float).tolist()

    def earliest(record):
        record["golden"] = {"notes": fields.tolist(), "log_prob": log_prob}

    def with_density(record):
        earliest(record)
        record["golden"]["settings"] = golden.FIRST_SETTINGS | {"density": 0.0}

    for change in (earliest, with_density):
        verdict = verify(TFLiteRuntime(changed(exported["small"][1], tmp_path, change)))
        assert (verdict.notes, verdict.parted) == (20, None)


@pytest.mark.parametrize(
    "settings",
    [
        "loud",
        7,
        {"seed": -1},
        {"tempo": 1},
        {"key": "X"},
        {"seed": "1"},
        {"step": 1},
        {"model": 1},
        {"\u001b[2J\nx": 1},
        {"key": "\u001b[2J"},
        {"density": 1e300},
        {"speed": 1e300},
    ],
)
def test_settings_that_make_no_sense_are_refused_in_a_line(exported, tmp_path, capsys, settings):
    path = changed(exported["small"][1], tmp_path, lambda record: record["golden"].update(settings=settings))
    assert main(["verify", str(path)]) == 2
    error = capsys.readouterr().err
    assert "golden passage" in error
    assert "export it again" in error
    assert error.count("\n") == 1
    assert error.rstrip("\n").isprintable()


def test_an_int8_file_plays_and_scores_on_every_runtime(exported):
    runtime = TFLiteRuntime(exported["tiny"][1].with_name("int8.tflite"))
    assert runtime.record["precision"] == "int8"
    assert verify(runtime).holds
