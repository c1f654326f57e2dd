import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from kerasmusic.errors import KerasMusicError, MidiError, ProcessError
from kerasmusic.processes import call_in_process, map_in_processes


def script_on(source, cache):
    """A script without a main guard that opens a corpus, and prints a line each time it runs."""
    return (
        "print('the script runs')\n"
        "from kerasmusic import open_corpus\n"
        f"print(len(open_corpus({str(source)!r}, cache={str(cache)!r}).names), 'performances')\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("way", ["a file", "standard input", "-c"])
def test_a_script_without_a_main_guard_opens_a_corpus_and_runs_once(way, midi_zip, tmp_path):
    script = script_on(midi_zip, tmp_path / "cache")
    (tmp_path / "script.py").write_text(script)
    command = {"a file": ["script.py"], "standard input": [], "-c": ["-c", script]}[way]
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, input=script if way == "standard input" else "",
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("the script runs\n3 performances\n", "")


@pytest.mark.slow
def test_a_notebook_opens_a_corpus(midi_zip, tmp_path):
    cell = nbformat.v4.new_code_cell(script_on(midi_zip, tmp_path / "cache"))
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    assert "".join(output.text for output in cell.outputs) == "the script runs\n3 performances\n"


@pytest.mark.slow
def test_a_script_without_a_main_guard_trains_and_evaluates(midi_zip, tmp_path):
    script = (
        "print('the script runs')\n"
        "from kerasmusic import open_corpus\n"
        "from kerasmusic.opening import open_scorer\n"
        "from kerasmusic.evaluation.likelihood import evaluate\n"
        "from kerasmusic.training.settings import Settings\n"
        "from kerasmusic.training.train import train\n"
        f"corpus = open_corpus({str(midi_zip)!r}, cache={str(tmp_path / 'cache')!r})\n"
        "trained = train('tutorial', corpus, 'run', Settings(epochs=0.1))\n"
        "scorer = open_scorer('run/model.keras')\n"
        "print(trained.steps > 0, evaluate(scorer, corpus, 'validation').pieces)\n"
    )
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.stdout == "the script runs\nTrue 1\n", done.stderr
    assert all(line.startswith("training ") for line in done.stderr.splitlines())


def echo(requests):
    """Answers with each request, or fails as the request says."""
    for request in requests:
        match request:
            case "refuse":
                raise MidiError("no music")
            case "disk":
                raise OSError(28, "No space left on device", "music.mid")
            case "bug" | "bug again":
                raise ZeroDivisionError("by nought")
            case "print":
                print("printed", flush=True)
                os.system("echo printed by another process")
        yield str(request).encode()


def test_output_printed_in_a_process_is_not_taken_for_an_answer():
    assert dict(map_in_processes(echo, ["print", 1, 2])) == {"print": b"print", 1: b"1", 2: b"2"}


@pytest.mark.slow
def test_an_error_in_a_process_is_the_answer_to_one_request():
    answers = dict(map_in_processes(echo, ["refuse", 1, "disk", 2, "bug", 3, "bug again"]))
    assert [answers[number] for number in (1, 2, 3)] == [b"1", b"2", b"3"]
    assert (type(answers["refuse"]), str(answers["refuse"])) == (MidiError, "no music")
    assert (type(answers["disk"]), str(answers["disk"])) == (KerasMusicError, "music.mid: No space left on device")
    line, _, report = str(answers["bug"]).rpartition(" ")
    assert line == "failed: unexpected ZeroDivisionError: by nought; please report it, with"
    assert "in echo" in Path(report).read_text()
    assert str(answers["bug again"]) == str(answers["bug"]), "a file for each"


def refuse_to_start():
    """Fails when a service is unpickled."""
    raise ImportError("no NumPy here")


class BrokenService:
    def __reduce__(self):
        return refuse_to_start, ()


def test_processes_that_cannot_start_are_reported_once():
    with pytest.raises(ProcessError, match=r"a process could not start .*no NumPy here; please report it, with /"):
        list(map_in_processes(BrokenService(), [1, 2, 3]))


def test_nothing_asked_is_nothing_answered():
    assert list(map_in_processes(echo, [])) == []


def fail(how):
    """Fails in a called process in the given way."""
    if how == "refuse":
        raise MidiError("no music")
    if how == "bug":
        raise KeyError("nought")
    if how == "abort":
        sys.stderr.write("free(): invalid pointer\n")
        sys.stderr.flush()
        os.abort()
    if how == "kill":
        os.kill(os.getpid(), 9)
    if how == "exit":
        os._exit(3)


@pytest.mark.parametrize(
    ("how", "error", "line", "log"),
    [
        ("refuse", MidiError, "no music", None),
        ("bug", ProcessError, "test_processes.fail: unexpected KeyError: 'nought'; please report it, with ", "in fail"),
        ("abort", ProcessError, "test_processes.fail: its process died (SIGABRT); please report it, with ", "free()"),
        ("kill", ProcessError, "test_processes.fail: its process was killed; is there enough memory?", None),
        ("exit", ProcessError, "test_processes.fail: its process died (exit code 3); please report it", None),
    ],
)
def test_a_failure_is_one_line_that_names_a_file_with_the_output_of_the_process(how, error, line, log):
    with pytest.raises(error) as raised:
        call_in_process("test_processes", "fail", how=how)
    told = str(raised.value)
    assert type(raised.value) is error
    if log is None:
        assert told == line
    else:
        assert told.startswith(line)
        assert log in Path(told.removeprefix(line)).read_text()


def test_an_invalid_answer_is_reported():
    with pytest.raises(ProcessError, match=r"answer_falsely: its process died \(exit code 0\)"):
        call_in_process("test_processes", "answer_falsely")


def answer_falsely():
    """Writes garbage to the pipe of answers, as a corrupted process might, and exits."""
    for descriptor in range(3, 10):
        try:
            os.write(descriptor, b"\xff" * 100)
        except OSError:
            continue
    os._exit(0)
