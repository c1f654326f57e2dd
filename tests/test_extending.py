import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import stand_in

pytestmark = pytest.mark.slow

DOCS = Path(__file__).resolve().parents[1] / "docs"
EXAMPLES = {
    name: code
    for page in ("extending.md", "training-from-python.md")
    for name, code in re.findall(
        r"^```python\n# (\w+\.py)\n(.*?)^```", (DOCS / page).read_text(), flags=re.MULTILINE | re.DOTALL
    )
}


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name.startswith("use_")])
def test_an_example_of_the_page_runs(name, tmp_path):
    for each, code in EXAMPLES.items():
        (tmp_path / each).write_text(code)
    done = subprocess.run(
        [sys.executable, name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONSAFEPATH": "", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if name == "use_printer.py":
        assert "on  " in done.stdout
        assert done.stdout.endswith("silence\n")


@pytest.mark.parametrize("name", ["lstm", "attention"])
def test_a_model_of_the_page_gets_from_its_file_to_a_verified_export(name, midi_zip, tmp_path):
    (tmp_path / f"{name}_model.py").write_text(EXAMPLES[f"{name}_model.py"])

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "kerasmusic.command_line", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    own = ("--import", f"{name}_model")
    checks = json.loads(run("check-model", name, *own, "--json"))
    assert checks["holds"]
    assert [check["name"] for check in checks["checks"]][-2:] == ["float32 file", "int8 file"]
    run("train", *own, "--preset", name, "--data", midi_zip, "--epochs", 2, "--run", "run")
    # How a run goes on does not depend on the model.
    if name == "lstm":
        run("train", *own, "--resume", "run", "--epochs", 3)
        run("train", *own, "--from", "run", "--data", midi_zip, "--epochs", 1, "--run", "second")
    assert "nats per note" in run("evaluate", *own, "run/model.keras", "--data", midi_zip)
    run("generate", *own, "run/model.keras", "--notes", 20, "-o", "by-keras.mid")
    run("export", "run", *own, "--to", "tflite", "--precision", "int8", "-o", "own.tflite")
    # A device has only the exported file.
    (tmp_path / f"{name}_model.py").unlink()
    assert "verified on" in run("verify", "own.tflite")
    run("generate", "own.tflite", "--notes", 20, "-o", "music.mid")


@pytest.mark.parametrize("path", sorted((DOCS / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_an_example_file_runs_on_a_few_pieces_for_a_moment(path, tmp_path):
    (tmp_path / "my-midi").mkdir()
    for seed in range(8):
        (tmp_path / "my-midi" / f"{seed}.mid").write_bytes(stand_in(seed))
    code = path.read_text()
    shorter = {"MINUTES = 10": "MINUTES = 0.02", "WIDTHS = (64, 128)": "WIDTHS = (16,)", "PIECES = 4": "PIECES = 2"}
    for whole, short in shorter.items():
        code = code.replace(whole, short)
    (tmp_path / path.name).write_text(code)
    done = subprocess.run(
        [sys.executable, path.name],
        cwd=tmp_path,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_each_seam_has_an_example():
    assert len([name for name in EXAMPLES if name.startswith("use_")]) == 6
