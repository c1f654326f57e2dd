import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import kerasmusic
import kerasmusic.bench
import kerasmusic.export

PACKAGE = Path(kerasmusic.__file__).parent
HEAVY = {"keras", "tensorflow", "jax", "torch", "matplotlib", "pandas"}


def modules_loaded_by(code):
    lines = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(' '.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {name.split(".")[0] for name in lines.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "code",
    [
        "import kerasmusic",
        "import kerasmusic.command_line as c\ntry: c.main(['--help'])\nexcept SystemExit: pass",
        "from kerasmusic.edge import Generator; import kerasmusic.midi, kerasmusic.codec, kerasmusic.musicality",
        "import kerasmusic.bundled, kerasmusic.demonstration",
        "import kerasmusic.live.performance",
        "import kerasmusic.export",
        "from kerasmusic.bench import latency, report; from kerasmusic.bench.models import describe_model",
    ],
)
def test_what_must_be_light_loads_nothing_heavy(code):
    assert not modules_loaded_by(code) & HEAVY


def test_midi_files_are_read_and_written_with_numpy_alone(tmp_path):
    path = str(tmp_path / "x.mid")
    code = f"from kerasmusic import Notes, midi; midi.write(Notes([0.0], [60], [1.0], [64]), {path!r})"
    assert not modules_loaded_by(f"{code}; midi.read({path!r})") & {"pretty_midi", "mido", "symusic"}


def imports_of(path):
    """The top-level names of all modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_the_layers_of_the_design_hold():
    exporter = Path(kerasmusic.export.__file__).parent
    bench = Path(kerasmusic.bench.__file__).parent
    files = {*PACKAGE.rglob("*.py"), *exporter.rglob("*.py"), *bench.rglob("*.py")}
    assert len(files) > 30
    for path in files:
        tops = {name.split(".")[0] for name in imports_of(path)}
        inside = exporter in path.parents
        assert inside or "tensorflow" not in tops, path
        assert not tops & {"jax", "jaxlib"}, path
        assert bench in path.parents or path.name == "backend.py" or "torch" not in tops, path
        device = path.parent.name in ("edge", "live") or path.stem in (
            "notes", "midi", "midi_channels", "midi_parser", "general_midi", "codec",
            "files", "archives", "errors", "bundled", "demonstration",
            "audio", "quiet", "progress",
        )  # fmt: skip
        if device:
            assert not tops & HEAVY - {"pandas"}, path
            kinds = {name.split(".")[1] for name in imports_of(path) if name.startswith("kerasmusic.")}
            assert not kinds & {"models", "training", "export", "windows", "scoring"}, path


def test_the_distribution_has_its_packages_licence_and_command():
    distribution = importlib.metadata.distribution("kerasmusic")
    assert distribution.version == kerasmusic.__version__
    assert distribution.metadata["License-Expression"] == "Apache-2.0 AND CC-BY-NC-SA-4.0"
    extras = set(distribution.metadata.get_all("Provides-Extra"))
    assert {"jax", "jax-cuda", "tensorflow", "tensorflow-cuda", "edge", "audio", "plot", "live"} <= extras
    assert "kerasmusic" in {entry.name for entry in distribution.entry_points}


def test_every_public_name_is_there():
    for name in kerasmusic.__all__:
        assert getattr(kerasmusic, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kerasmusic.nothing  # noqa: B018


def test_type_checkers_are_told_that_the_package_has_types():
    assert (PACKAGE / "py.typed").is_file()
