import importlib.metadata
import json
import struct

import pytest

from kerasmusic.edge.model_file import read_model_bytes, read_record, with_record
from kerasmusic.edge.runtime import TFLiteRuntime, interpreter_module
from kerasmusic.errors import KerasMusicError, ModelFileError
from kerasmusic.export.operators import Operator
from kerasmusic.export.runtimes import FIRST_RUNTIMES, oldest_runtime
from kerasmusic.quiet import quiet_stderr

pytestmark = pytest.mark.device


def number(version):
    return tuple(int(part) for part in version.split("."))


def reads(flatbuffer):
    """Whether the installed interpreter supports all operator versions of a graph."""
    try:
        with quiet_stderr():
            interpreter_module().Interpreter(model_content=bytes(flatbuffer))
    except (ValueError, RuntimeError) as error:
        if "Didn't find op for builtin opcode" in str(error):
            return False
        raise
    return True


def release_of_the_interpreter():
    """The TFLite release of the installed interpreter."""
    if interpreter_module().__name__.startswith("tflite_runtime"):
        return number(importlib.metadata.version("tflite-runtime"))[:2]
    # ai-edge-litert has its own version numbers; 2.2 and later support the whole table.
    return (2, 21)


def test_the_table_says_what_this_runtime_reads_and_what_it_refuses(exported):
    folder = exported["tiny"][1].parent
    flatbuffer = bytearray((folder / "versions.fb").read_bytes())
    places = json.loads((folder / "versions.json").read_text())
    assert set(places) == set(FIRST_RUNTIMES)
    assert reads(flatbuffer)
    here = release_of_the_interpreter()
    wrong = {}
    for name, place in places.items():
        (own,) = struct.unpack_from("<i", flatbuffer, place)
        for version, first in enumerate(FIRST_RUNTIMES[name], start=1):
            struct.pack_into("<i", flatbuffer, place, version)
            if reads(flatbuffer) != (number(first) <= here):
                wrong[name, version] = first
        struct.pack_into("<i", flatbuffer, place, own)
    assert not wrong


def test_a_version_that_nobody_has_is_refused_by_the_runtime(exported):
    folder = exported["tiny"][1].parent
    flatbuffer = bytearray((folder / "versions.fb").read_bytes())
    places = json.loads((folder / "versions.json").read_text())
    struct.pack_into("<i", flatbuffer, places["FULLY_CONNECTED"], 99)
    assert not reads(flatbuffer)


def test_the_newest_operator_decides():
    found = [Operator("ADD", 1, 20), Operator("FULLY_CONNECTED", 12, 3), Operator("CUMSUM", 1, 4)]
    assert oldest_runtime(found) == "2.17"


def test_a_version_that_the_table_does_not_know_is_of_a_newer_tensorflow():
    with pytest.raises(KerasMusicError, match=r"ADD version 9, .* this TensorFlow is newer"):
        oldest_runtime([Operator("ADD", 9, 1)])


def test_an_operator_that_the_table_does_not_know_is_named_as_that():
    with pytest.raises(KerasMusicError, match=r"STABLEHLO_ADD: an operator of the exported graph .* FIRST_RUNTIMES"):
        oldest_runtime([Operator("STABLEHLO_ADD", 1, 1)])


def test_a_runtime_too_old_is_told_which_one_it_takes(exported, tmp_path):
    folder = exported["tiny"][1].parent
    flatbuffer = bytearray((folder / "versions.fb").read_bytes())
    place = json.loads((folder / "versions.json").read_text())["FULLY_CONNECTED"]
    struct.pack_into("<i", flatbuffer, place, 99)
    record = read_record(read_model_bytes(exported["tiny"][1]), "it")
    path = tmp_path / "new.tflite"
    path.write_bytes(with_record(bytes(flatbuffer), {**record, "runtime": "9.9"}))
    with pytest.raises(
        ModelFileError, match=r"FULLY_CONNECTED.*needs TFLite 9\.9 or newer; run: pip install --upgrade"
    ):
        TFLiteRuntime(path)
