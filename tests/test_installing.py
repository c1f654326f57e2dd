import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from kerasmusic.bundled import bundled_model
from kerasmusic.edge import runtime
from kerasmusic.edge.installing import PythonBuild, this_python, where_it_is_too_old, where_none_is_installed
from kerasmusic.errors import MissingPackageError

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
ARM32 = "cpython-311-arm-linux-gnueabihf"


def extra_in(said):
    return re.search(r"run: pip install 'kerasmusic\[(.+)\]'$", said)[1]


@pytest.mark.parametrize("version", [(3, 11), (3, 13), (3, 14)])
def test_64_bits_get_the_edge_extra(version):
    assert extra_in(where_none_is_installed(PythonBuild(64, version, "cpython-aarch64-linux-gnu", "aarch64"))) == "edge"


@pytest.mark.parametrize("kernel", ["armv7l", "armv8l", "aarch64"])
def test_32_bits_get_an_extra_of_their_own_whatever_the_kernel_says(kernel):
    assert extra_in(where_none_is_installed(PythonBuild(32, (3, 11), ARM32, kernel))) == "edge-32bit"


@pytest.mark.parametrize(
    "python",
    [
        PythonBuild(32, (3, 13), "cpython-313-arm-linux-gnueabihf", "aarch64"),
        PythonBuild(32, (3, 12), "cpython-312-arm-linux-gnueabihf", "armv7l"),
        PythonBuild(32, (3, 11), ARM32, "armv6l"),
        PythonBuild(32, (3, 11), "cpython-311-i386-linux-gnu", "x86_64"),
        PythonBuild(32, (3, 11), "", "AMD64"),
    ],
)
def test_where_there_is_none_it_says_so_and_names_no_line(python):
    said = where_none_is_installed(python)
    assert f"there is none for a 32-bit Python 3.{python.version[1]} on {python.machine}" in said
    assert "pip install" not in said
    assert "\n" not in said


def test_on_32_bits_nobody_is_sent_to_a_runtime_that_is_not_there():
    assert "pip install" not in where_it_is_too_old(PythonBuild(32, (3, 11), ARM32, "aarch64"))


def test_the_extras_it_names_are_there_and_the_one_for_32_bits_does_not_ask_the_kernel():
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    assert {"edge", "edge-32bit"} <= set(extras)
    assert not any("platform_machine" in requirement for requirement in extras["edge-32bit"])


@pytest.mark.parametrize(
    "command",
    ["generate -o music.mid", "verify MODEL", "play --seconds 1", "evaluate MODEL --data .", "bench latency --short"],
)
def test_each_command_that_needs_an_interpreter_names_the_line(command, tmp_path):
    # Hides the interpreter from the processes that a command starts, too.
    for module in runtime.INTERPRETERS:
        package = tmp_path / "packages" / module.split(".")[0]
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise ModuleNotFoundError(name=__name__)\n")
    words = command.replace("MODEL", str(bundled_model())).split()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "kerasmusic.command_line", *words],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "packages")}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    said = done.stderr.strip()
    assert said.endswith(where_none_is_installed(this_python()))
    assert "\n" not in said


def test_an_interpreter_that_is_named_and_not_there_is_missed_too():
    with pytest.raises(MissingPackageError, match="no TFLite interpreter is installed"):
        runtime.interpreter_module("kerasmusic_has_no_such_interpreter")
