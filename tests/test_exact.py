"""Exact files: the same notes on every runtime that is installed, and on Keras."""

import importlib.util
from functools import partial

import numpy as np
import pytest

from changed_record import changed
from kerasmusic.command_line import main
from kerasmusic.edge import Generator, TFLiteRuntime
from kerasmusic.edge.compiled_runtime import CompiledModelRuntime
from kerasmusic.edge.golden import EXACT_NOTES, NOTES, play, verify
from kerasmusic.edge.runtime import INTERPRETERS
from kerasmusic.errors import ArgumentError, KerasMusicError
from kerasmusic.export import export_tflite
from kerasmusic.models.keras_runtime import KerasRuntime
from kerasmusic.models.note_model import load_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exact(exported, tmp_path_factory):
    return export_tflite(exported["styled"][0], tmp_path_factory.mktemp("exact") / "styled.tflite", precision="exact")


@pytest.mark.parametrize(
    ("interpreter", "threads"), [*((interpreter, 1) for interpreter in INTERPRETERS), (INTERPRETERS[0], 2)]
)
def test_every_interpreter_plays_the_very_notes_with_any_number_of_threads(exact, interpreter, threads):
    if not importlib.util.find_spec(interpreter.partition(".")[0]):
        pytest.skip(f"{interpreter} is not installed")
    runtime = TFLiteRuntime(exact.path, threads=threads, interpreter=interpreter)
    verdict = verify(runtime)
    assert verdict.holds, verdict
    assert (verdict.exact, verdict.must_match, verdict.parted) == (True, True, None)
    assert verdict.notes == EXACT_NOTES
    assert str(verdict).startswith(f"verified on {runtime.name}: it plays the very notes of this exact file, 10,000 of")
    assert np.array_equal(runtime.state, np.round(runtime.state))


@pytest.mark.parametrize("kernels", ["BUILTIN_WITHOUT_DEFAULT_DELEGATES", "BUILTIN_REF"])
def test_so_do_its_kernels_without_xnnpack_and_those_for_reference(exact, monkeypatch, kernels):
    module = importlib.import_module(INTERPRETERS[0])
    resolver = module.OpResolverType[kernels]
    monkeypatch.setattr(module, "Interpreter", partial(module.Interpreter, experimental_op_resolver_type=resolver))
    assert verify(TFLiteRuntime(exact.path, interpreter=INTERPRETERS[0])).holds


def test_so_does_compiled_model(exact):
    assert verify(CompiledModelRuntime(exact.path)).holds


@pytest.mark.parametrize(("group", "first"), [(0, "1,001 to 1,250"), (35, "9,751 to 10,000")])
def test_where_a_later_note_differs_its_group_is_named_and_the_exit_code_is_1(exact, tmp_path, capsys, group, first):
    path = changed(exact.path, tmp_path, lambda record: record["golden"]["hashes"].__setitem__(group, "0" * 16))
    assert main(["verify", str(path)]) == 1
    assert f"it parts from this exact file at one of the notes {first}, so" in capsys.readouterr().out
    assert main(["verify", str(path), "--notes", "1000"]) == 0
    assert "1,000 of 1,000" in capsys.readouterr().out


def test_where_a_note_differs_it_is_named_and_the_exit_code_is_1(exact, tmp_path, capsys):
    def other_note(record):
        record["golden"]["notes"][197][1] ^= 1

    assert main(["verify", str(changed(exact.path, tmp_path, other_note))]) == 1
    assert "it parts from this exact file at note 198, so its arithmetic is not exact" in capsys.readouterr().out


def test_keras_plays_the_very_notes_of_the_file(exact):
    assert exact.keras.name == "styled-exact.keras"
    runtime = TFLiteRuntime(exact.path)
    model = KerasRuntime(load_model(exact.keras))
    np.testing.assert_array_equal(play(model, NOTES), play(runtime, NOTES))
    np.testing.assert_array_equal(model.state, runtime.state)


def test_its_weights_are_int8_and_the_exported_quantised_model_gives_the_same_file(exact, tmp_path):
    again = export_tflite(exact.keras, tmp_path / "again.tflite", precision="exact")
    assert again.keras is None
    assert again.bytes == pytest.approx(exact.bytes, rel=1e-3)
    fields = [play(TFLiteRuntime(each.path), 50) for each in (exact, again)]
    np.testing.assert_array_equal(*fields)
    assert ["FULLY_CONNECTED", 9, 18] in exact.operators


def test_what_has_no_exact_form_is_refused_before_a_process_starts(exported, exact, tmp_path):
    with pytest.raises(ArgumentError, match="cannot be exported as exact; choose float32 or float16 or int8"):
        export_tflite(exported["tutorial"][0], tmp_path / "x.tflite", precision="exact")
    with pytest.raises(ArgumentError, match="cannot be exported as int8; choose exact"):
        export_tflite(exact.keras, tmp_path / "x.tflite", precision="int8")


def test_weights_that_are_no_codes_are_refused_by_name(exported):
    from kerasmusic.export.exact import with_exact_weights

    with pytest.raises(KerasMusicError, match="these weights are not int8 codes"):
        with_exact_weights(exported["tiny"][1].read_bytes())


def test_a_style_changes_the_music_and_is_the_same_in_keras(exact):
    music = {
        style: [
            Generator(runtime, seed=1, style=style).take(60)
            for runtime in (TFLiteRuntime(exact.path), KerasRuntime(load_model(exact.keras)))
        ]
        for style in (None, "Bach", "Bach:0.3,Chopin:0.7")
    }
    for played, by_keras in music.values():
        assert played == by_keras
    assert len({played.pitch.tobytes() for played, _ in music.values()}) == 3
