import ast
import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import kerasmusic
import kerasmusic.bench
import kerasmusic.export

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
        "from kerasmusic.edge import Generator; import kerasmusic.midi, kerasmusic.codec",
        "import kerasmusic.evaluation.musicality, kerasmusic.data.corpus, kerasmusic.models.backend",
        "import kerasmusic.bundled, kerasmusic.data.demonstration",
        "import kerasmusic.opening, kerasmusic.runs, kerasmusic.training.settings",
        "import kerasmusic; [getattr(kerasmusic, name) for name in kerasmusic.__all__ if name != 'NoteModel']",
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


def modules():
    """The file of each module of kerasmusic, by its name."""
    found = {}
    for package in (kerasmusic, kerasmusic.export, kerasmusic.bench):
        root = Path(package.__file__).parent
        for path in root.rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join([package.__name__, *parts]).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports_of(name):
    """All modules that a module imports, anywhere in it, except under TYPE_CHECKING."""
    found, nodes = set(), [ast.parse(MODULES[name].read_text())]
    while nodes:
        for node in ast.iter_child_nodes(nodes.pop()):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                continue
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= names & MODULES.keys() or {node.module}
            nodes.append(node)
    return found - {name}


def layer_of(name):
    """The number of a module's layer, the lowest first."""
    room = name.split(".")[1] if "." in name else "kerasmusic"
    return next(number for number, layer in enumerate(LAYERS) if room in layer)


# The layers of docs/architecture.md. The package itself only re-exports names.
LAYERS = [
    {"errors", "files", "archives", "quiet", "progress", "child", "processes"},
    {"notes", "midi", "midi_parser", "midi_channels", "general_midi", "codec", "pitch_names"},
    {"bundled", "audio", "edge", "service"},
    {"live", "data"},
    {"models"},
    {"opening"},
    {"evaluation", "training"},
    {"plots", "export"},
    {"runs"},
    {"bench", "commands", "command_line", "kerasmusic"},
]


def test_every_module_is_in_a_layer_and_imports_none_of_a_higher_one():
    assert len(MODULES) > 100
    for name in MODULES:
        for imported in imports_of(name) & MODULES.keys():
            if imported != "kerasmusic":  # for its version
                assert layer_of(imported) <= layer_of(name), f"{name} imports {imported}"


def test_no_import_goes_in_a_circle():
    known = {name: imports_of(name) & MODULES.keys() for name in MODULES}
    while free := {name for name, imported in known.items() if not imported & known.keys()}:
        known = {name: imported for name, imported in known.items() if name not in free}
    assert not known


def test_what_is_heavy_is_imported_where_it_belongs_and_nowhere_else():
    for name in MODULES:
        room = name.split(".")[1] if "." in name else ""
        tops = {imported.split(".")[0] for imported in imports_of(name)}
        assert room in ("models", "training", "export", "bench") or "keras" not in tops, name
        assert room in ("export", "bench") or "tensorflow" not in tops, name
        assert not tops & {"jax", "jaxlib"}, name
        assert room == "bench" or "torch" not in tops, name


def test_the_distribution_has_its_packages_licence_and_command():
    distribution = importlib.metadata.distribution("kerasmusic")
    assert distribution.version == kerasmusic.__version__
    assert distribution.metadata["License-Expression"] == "Apache-2.0 AND CC-BY-NC-SA-4.0 AND CC-BY-3.0"
    extras = set(distribution.metadata.get_all("Provides-Extra"))
    assert {"jax", "jax-cuda", "tensorflow", "tensorflow-cuda", "edge", "audio", "plot", "live"} <= extras
    assert "kerasmusic" in {entry.name for entry in distribution.entry_points}


def test_every_public_name_is_there():
    for name in kerasmusic.__all__:
        module, inner = kerasmusic._HOMES[name]
        assert getattr(kerasmusic, name) is getattr(importlib.import_module(module), inner)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kerasmusic.nothing  # noqa: B018


def test_type_checkers_are_told_that_the_package_has_types():
    assert Path(kerasmusic.__file__).with_name("py.typed").is_file()
