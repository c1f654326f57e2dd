import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="nox -s lint installs mypy and runs this")

ROOT = Path(__file__).resolve().parents[1]
# Code that occurs exactly once, and the error planted in its place.
PLANTED = {
    "latency.measure(_models(models), settings, ": "latency.meazure(_models(models), settings, ",
    "self.codec = model.codec\n        self.styles": "self.codec = model.kodec\n        self.styles",
    "export_precisions(source, outputs, excerpts=excerpts)": "export_precisions(3.5, nonsense=outputs)",
    "describe_models(paths)\n": "describe_models(42, 'x')\n",
    "ops.sigmoid(scaled_dense(": "ops.sigmodi(scaled_dense(",
    "self.repeats.scan(repeats, previous)": "self.repeats.sequence(previous)",
    "return sum(self.sizes)": "return str(self.sizes)",
    "zeros(self.sizes.velocity)": "zeros(self.sizes.loudness)",
    "def start_note(self) -> NDArray[np.int32]:": "def start_note(self):",
    "model.optimizer.learning_rate = rate_at(": "model.optimizer.learning_rate = rate_at(None, ",
}


def lay_out(folder):
    """Copies the packages to their installed layout, which mypy cannot see in an editable install."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    shutil.copytree(ROOT / "kerasmusic", folder / "kerasmusic")
    for package, source in setuptools["package-dir"].items():
        shutil.copytree(ROOT / source, folder / package.replace(".", "/"))


def plant(folder, before, after):
    """Replaces code that occurs once in a folder, and returns its file and line."""
    found = {path: code for path in folder.rglob("*.py") if before in (code := path.read_text())}
    assert [code.count(before) for code in found.values()] == [1], f"{before!r} is not in one place, but in {[*found]}"
    ((path, code),) = found.items()
    path.write_text(code.replace(before, after))
    return path.relative_to(folder).as_posix(), code[: code.index(before)].count("\n") + 1


@pytest.mark.slow
def test_the_type_check_finds_what_is_planted_and_nothing_else(tmp_path):
    lay_out(tmp_path)
    places = {plant(tmp_path, before, after) for before, after in PLANTED.items()}
    # The cache of an earlier check saves analysing the dependencies again.
    options = ("--config-file", ROOT / "pyproject.toml", "--cache-dir", ROOT / ".mypy_cache")
    command = [sys.executable, "-m", "mypy", *options, "--hide-error-context", "--package", "kerasmusic"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    errors = [line.split(":", 2)[:2] for line in done.stdout.splitlines() if ": error: " in line]
    assert {(path, int(line)) for path, line in errors} == places, done.stdout + done.stderr
