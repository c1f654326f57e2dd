import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kerasmusic.bench import instructions
from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.edge.runtime import interpreter_module
from kerasmusic.errors import KerasMusicError, MissingPackageError
from kerasmusic.export.prefixes import prefixes

RECORD = Path(__file__).resolve().parents[1] / "bench" / "records" / "pi-instructions.json"


@pytest.fixture
def committed():
    return json.loads(RECORD.read_text())


def test_the_committed_record_is_of_small_on_three_cores(committed):
    assert {result["core"] for result in committed["results"]} == set(instructions.CORES)
    assert [(model["preset"], model["precision"]) for model in committed["models"]] == [
        ("small", "exact"),
        ("small", "int8"),
    ]
    assert committed["emulator"]["label"] == "instructions, emulated core"


def test_the_parts_of_a_profile_add_up_to_the_whole(committed):
    for result in committed["results"]:
        parts = result["profile"].values()
        assert sum(part["instructions"] for part in parts) == pytest.approx(result["invoke"], rel=0.002)
        operators = committed["models"][result["model"]]["operators"]
        assert sum(part["uses"] for part in parts) == sum(operators.values())


def test_an_exact_step_takes_little_more_than_one_in_int8(committed):
    exact, int8 = ([each["invoke"] for each in committed["results"] if each["model"] == model] for model in (0, 1))
    assert max(more / less for more, less in zip(exact, int8, strict=True)) < 1.2


@pytest.mark.parametrize(("share", "sentences"), [(0.95, 0), (1.09, 0), (1.11, 1)])
@pytest.mark.parametrize("what", ["invoke", "note"])
def test_ten_percent_more_is_too_much(committed, share, sentences, what):
    found = copy.deepcopy(committed)
    found["results"][1][what] *= share
    said = instructions.regressions(found, committed)
    assert len(said) == sentences
    if said:
        assert f"{what} of small exact pi4" in said[0]
        assert "11.0% more" in said[0]


def test_a_comparison_with_nothing_fails(committed):
    found = copy.deepcopy(committed)
    for model in found["models"]:
        model["precision"] = "float16"
    assert "has no core and precision of small" in instructions.regressions(found, committed)[0]


def test_without_the_emulation_it_says_what_makes_it(tmp_path):
    with pytest.raises(KerasMusicError, match="nox -s bench-pi"):
        instructions.measure([], str(tmp_path), str(tmp_path))


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        ("unpack.sh", ["FOLDER", "mips"], "mips: not an architecture of a Raspberry Pi; give arm64 or armhf"),
        ("run.sh", ["FOLDER", "pi9", "site"], "pi9: not an emulated Raspberry Pi; give pi2, pi3, pi4 or pi5"),
    ],
)
def test_the_scripts_come_with_the_package_and_say_what_they_take(tmp_path, script, arguments, said):
    words = [str(tmp_path) if argument == "FOLDER" else argument for argument in arguments]
    done = subprocess.run(["bash", instructions.SCRIPTS / script, *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (2, said)


def test_the_plugin_compiles_without_a_warning(tmp_path):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    warnings = ["-Wall", "-Wextra", "-Werror"]
    source, library = instructions.SCRIPTS / "count.c", tmp_path / "count.so"
    subprocess.run([compiler, *warnings, "-O2", "-shared", "-fPIC", source, "-o", library], check=True)
    assert library.stat().st_size > 0


def test_a_profile_without_tensorflow_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingPackageError, match=r"kerasmusic\[tensorflow\]"):
        instructions.measure([], str(tmp_path), str(tmp_path), profile=True)


def run(graph, given=-1):
    """The outputs of a graph for some inputs, by the names of their tensors."""
    interpreter = interpreter_module().Interpreter(model_content=graph)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        filler = {"given": given, "uniform": 0.4, "temperature": 1}
        value = next((number for name, number in filler.items() if name in detail["name"]), 0)
        interpreter.set_tensor(detail["index"], np.full(detail["shape"], value, detail["dtype"]))
    interpreter.invoke()
    return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()}


@pytest.mark.slow
def test_a_graph_is_taken_apart_operator_by_operator(exported):
    path = exported["tiny"][1]
    data = read_model_bytes(path)
    names, graphs = zip(*prefixes(data), strict=True)
    uses = {name: count for name, _, count in read_record(data, "it")["operators"]}
    assert {name: names.count(name) for name in names} == uses
    # The last is the whole graph; each prefix runs as well, and has an output.
    last = run(graphs[-1])
    for name, array in run(data).items():
        np.testing.assert_array_equal(last[name], array)
    for graph in graphs[::10]:
        assert run(graph)
