import hashlib
import json
import sys

import mido
import pytest

from kerasmusic.bench import latency, machine, models, pace
from kerasmusic.bench.processes import in_fresh_process, peak_memory
from kerasmusic.bench.timing import growth, summary
from kerasmusic.commands.bench import duration, numbers
from kerasmusic.edge import Generator
from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.errors import ArgumentError, KerasMusicError, ModelFileError

pytestmark = [pytest.mark.device, pytest.mark.slow]

QUICK = latency.Settings(threads=(1, 2), rounds=2, warm_up=3, steps=60, real_time=0.1, sustained=0.3)


@pytest.fixture(scope="module")
def record(exported):
    paths = [exported["tiny"][1], exported["tiny"][1].with_name("int8.tflite")]
    return latency.measure(paths, QUICK)


@pytest.mark.slow
def test_every_file_is_measured_with_every_number_of_threads(record):
    measured = [(result["model"], result["threads"]) for result in record["results"]]
    assert sorted(measured) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    for result in record["results"]:
        assert set(result["layers_us"]) == {"invoke", "tensors", "note"}
        for times in result["layers_us"].values():
            assert times["steps"] == QUICK.rounds * QUICK.steps
            assert 0 < times["min"] <= times["p50"] <= times["p90"] <= times["p95"] <= times["p99"] <= times["max"]
        assert result["notes_per_second"] == pytest.approx(1e6 / result["layers_us"]["note"]["mean"], rel=1e-3)


def test_a_cold_start_is_timed_in_its_parts(record):
    for result in record["results"]:
        assert list(result["cold_ms"]) == ["start", "import", "load", "allocate", "first_note"]
        assert all(part > 0 for part in result["cold_ms"].values())
        assert result["cold_total_ms"]["max"] >= result["cold_total_ms"]["median"] > 0


def test_a_record_says_which_file_and_which_machine(record, exported):
    path = exported["tiny"][1]
    kept = read_record(read_model_bytes(path), str(path))
    model = record["models"][0]
    assert model["name"] == "tiny float32"
    assert record["models"][1]["name"] == "tiny int8"
    assert model["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert model["bytes"] == path.stat().st_size
    assert model["parameters"] == kept["parameters"]
    assert sum(model["operators"].values()) == sum(uses for _, _, uses in kept["operators"])
    # Each multiply-add reads one weight: four bytes, or one.
    assert model["matrix_bytes"] == 4 * model["multiply_adds"]
    assert record["models"][1]["matrix_bytes"] < model["matrix_bytes"] / 2
    assert model["runtime"].split()[0] in ("ai-edge-litert", "tflite-runtime", "tensorflow")
    assert record["machine"]["packages"]["numpy"]
    assert str(path) not in json.dumps({**record, "command": ""})


def test_notes_are_asked_for_in_real_time(record):
    for result in record["results"]:
        for name, played in result["real_time"].items():
            assert played["notes"] == max(1, round(QUICK.real_time / pace.PACES[name]))
            assert 0 <= played["missed"] <= played["notes"]
            assert played["ready_us"]["steps"] == played["notes"]


def test_playing_on_is_watched_with_the_first_number_of_threads(record):
    for result in record["results"]:
        assert ("sustained" in result) == (result["threads"] == 1)
    parts = record["results"][0]["sustained"]
    assert parts[-1]["seconds"] == pytest.approx(QUICK.sustained)
    assert all(part["note_us"]["steps"] > 0 for part in parts)


def test_targets_are_held_to_what_was_found(record):
    assert len(record["targets"]) == 3 * len(record["models"])
    by_invoke = next(target for target in record["targets"] if "invoke against" in target["what"])
    result = next(each for each in record["results"] if each["model"] == 0 and each["threads"] == 1)
    longest = max(result["bound_us"].values())
    assert by_invoke["value"] == pytest.approx(result["layers_us"]["invoke"]["p50"] / longest, rel=0.01)
    assert by_invoke["met"] == (by_invoke["value"] <= 4)


def test_a_whole_note_is_two_midi_messages(exported):
    for note in Generator(exported["tiny"][1], seed=3).take(20):
        down, up = mido.parse_all(latency.midi_messages(note))
        assert (down.type, down.note, down.velocity) == ("note_on", note.pitch, note.velocity)
        assert (up.type, up.note) == ("note_off", note.pitch)


def test_files_of_one_preset_and_precision_are_told_apart(exported, tmp_path):
    path = exported["tiny"][1]
    (tmp_path / "mine").mkdir()
    other = tmp_path / "mine" / "other.tflite"
    other.write_bytes(path.read_bytes())
    names = [model["name"] for model in models.describe_models([str(path), str(other)])]
    assert names == ["tiny float32 (tiny/model.tflite)", "tiny float32 (mine/other.tflite)"]


def test_what_is_no_model_is_refused_in_a_line(tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"not a model")
    with pytest.raises((ModelFileError, KerasMusicError), match=r"x\.tflite: not a TFLite file"):
        latency.measure([path], QUICK)


def test_a_process_of_its_own_returns_errors_and_results():
    assert in_fresh_process("math", "hypot") == 0
    with pytest.raises(KerasMusicError, match=r"math\.sqrt"):
        in_fresh_process("math", "sqrt", x=-1)


def test_the_peak_of_memory_is_that_of_the_process_not_of_the_one_that_started_it():
    filled = bytearray(300_000_000)
    assert len(filled) < peak_memory()
    assert in_fresh_process("kerasmusic.bench.processes", "peak_memory") < 150_000_000


def test_a_summary_is_in_microseconds():
    found = summary([1_000 * number for number in range(1, 101)])
    assert (found["steps"], found["min"], found["max"]) == (100, 1, 100)
    assert found["p50"] == pytest.approx(50.5)
    assert found["p99"] == pytest.approx(99.01)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.7])
def test_the_exponent_of_a_growth_is_found(exponent):
    sizes = [64, 128, 256, 512]
    assert growth(sizes, [3 * size**exponent for size in sizes]) == pytest.approx(exponent, abs=1e-9)


def test_times_and_lists_of_numbers_are_read_or_refused():
    assert [duration(text) for text in ("90", "45s", "10m", "1.5h")] == [90, 45, 600, 5400]
    assert numbers("0,100", least=0) == (0, 100)
    for wrong in ("", "0", "ten minutes", "-3s"):
        with pytest.raises(ArgumentError, match="not a time"):
            duration(wrong)
    for wrong in ("", "1;2", "0"):
        with pytest.raises(ArgumentError):
            numbers(wrong)


def pi_in(root):
    """Writes the system files of Linux on a Raspberry Pi 4."""
    written = {
        "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\n\nRevision\t: c03114\nModel\t\t: Raspberry Pi 4 Model B\n",
        "proc/meminfo": "MemTotal:        3884360 kB\nMemFree: 3000000 kB\n",
        "proc/loadavg": "0.12 0.20 0.18 1/150 999\n",
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
        "sys/class/thermal/thermal_zone0/temp": "52582\n",
    }
    for name, content in written.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_a_pi_is_known_by_its_model_and_revision(tmp_path):
    found = machine.describe_machine(pi_in(tmp_path))
    assert (found["board"], found["revision"]) == ("Raspberry Pi 4 Model B Rev 1.4", "c03114")
    assert found["memory_bytes"] == 3884360 * 1024
    assert machine.machine_name(found).startswith("Raspberry Pi 4 Model B Rev 1.4, ")


@pytest.mark.skipif(sys.platform == "win32", reason="a script on the path")
def test_a_pis_sensors_are_read_and_its_throttle_flags_named(tmp_path, monkeypatch):
    command = tmp_path / "vcgencmd"
    command.write_text("#!/bin/sh\necho throttled=0x50004\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = machine.read_sensors(pi_in(tmp_path))
    assert (found["governor"], found["clock_mhz"], found["temperature_c"]) == ("ondemand", 1800, 52.582)
    assert found["throttled"] == ["throttled", "under-voltage has occurred", "throttling has occurred"]


def test_what_a_machine_does_not_tell_is_none(tmp_path):
    found = machine.read_sensors(tmp_path)
    assert all(found[name] is None for name in ("governor", "clock_mhz", "temperature_c", "load"))


def test_pace_is_that_of_the_performances(midi_zip, notes):
    found = pace.measure(str(midi_zip))
    assert 0 < found["median_gap_seconds"] < 1
    assert found["densest_second_notes"] >= 2


def test_maestros_pace_is_what_the_benchmark_plays_at(maestro):
    found = pace.measure(str(maestro))
    assert found["median_gap_seconds"] == pytest.approx(pace.MEDIAN_GAP_SECONDS, rel=1e-2)
    assert found["densest_second_notes"] == pace.DENSEST_SECOND_NOTES
