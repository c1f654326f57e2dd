import importlib.metadata
import json
import os
import subprocess
import sys
import zipfile

import pytest

from kerasmusic.errors import ArgumentError, ModelFileError
from kerasmusic.models import extensions, presets
from kerasmusic.models.keras_file import read_keras_config
from kerasmusic.models.note_model import NoteModel, load_model
from kerasmusic.models.presets import Preset, find_preset, register_preset
from kerasmusic.models.tutorial_model import TutorialModel

MODULE = """
import keras
from kerasmusic import register_preset
from kerasmusic.models.tutorial_model import TutorialModel

print("imported")

class Mine(TutorialModel):
    pass

register_preset("mine", Mine)
"""


@pytest.fixture(autouse=True)
def nothing_extended(monkeypatch):
    """No extensions from other tests, and none left for them."""
    monkeypatch.setattr(extensions, "_requested", [])
    monkeypatch.setattr(extensions, "_remembered", [])
    monkeypatch.setattr(presets, "PRESETS", dict(presets.PRESETS))
    monkeypatch.setattr(sys, "path", [*sys.path])
    loaded = set(sys.modules)
    yield
    for name in set(sys.modules) - loaded:
        if name.startswith("own_"):
            del sys.modules[name]


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """The name of a module in the current folder that registers the preset `mine`."""
    (tmp_path / "own_models.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return "own_models"


def saved_by_another_process(folder):
    """The file of a model of the preset `mine`, whose module this process has not imported."""
    code = "import own_models; from kerasmusic import NoteModel; NoteModel.new('mine').save('mine.keras')"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(folder)}
    environment.pop("PYTHONSAFEPATH")
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, check=True, capture_output=True)
    return folder / "mine.keras"


def test_a_module_is_imported_when_a_preset_of_it_is_wanted_and_not_before(own_module, capsys):
    extensions.request_import(own_module)
    assert find_preset("small") is presets.PRESETS["small"]
    assert own_module not in sys.modules
    assert isinstance(NoteModel.new("mine"), TutorialModel)
    assert NoteModel.new("mine").preset == "mine"
    assert capsys.readouterr().out == "imported\n"


def test_a_module_that_does_not_exist_or_fails_is_named_in_one_line(own_module, tmp_path):
    (tmp_path / "own_broken.py").write_text("import keras\nwidth = 1 / 0\n")
    for module, reason in (("own_nothing", "No module named"), ("own_broken", "ZeroDivisionError")):
        extensions._requested[:] = [module]
        with pytest.raises(
            ArgumentError, match=rf"^{module}: cannot be imported \(.*{reason}.*in this folder"
        ) as caught:
            find_preset("mine")
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_file_of_a_class_that_nobody_named_is_refused_and_its_module_not_imported(own_module, tmp_path):
    path = saved_by_another_process(tmp_path)
    with pytest.raises(ModelFileError, match=r"asks for own_models:Mine:.* --import own_models.*; not loaded"):
        load_model(path)
    assert own_module not in sys.modules
    extensions.request_import(own_module)
    assert type(load_model(path)).__name__ == "Mine"
    assert own_module in sys.modules


@pytest.mark.slow
def test_a_file_that_names_what_its_module_does_not_have_as_a_model_is_refused(own_module, tmp_path):
    path = saved_by_another_process(tmp_path)
    extensions.request_import(own_module)
    for name in ("keras", "register_preset", "Nothing"):
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "changed.keras", "w") as copy:
            for member in archive.namelist():
                data = archive.read(member)
                if member == "config.json":
                    data = json.dumps({**json.loads(data), "class_name": name, "registered_name": name})
                copy.writestr(member, data)
        with pytest.raises(ModelFileError, match=f"asks for {name}, and the module own_models has no such layer"):
            load_model(tmp_path / "changed.keras")


def test_a_class_of_a_running_program_is_loaded_by_that_program(tmp_path):
    class Local(TutorialModel):
        pass

    # As at the top of a module, where Keras finds it.
    globals()["Local"] = Local
    Local.__qualname__ = "Local"
    Local(preset="local").save(tmp_path / "local.keras")
    assert read_keras_config(tmp_path / "local.keras").model == "Local"
    assert type(load_model(tmp_path / "local.keras")) is Local


@pytest.mark.slow
def test_a_preset_can_be_a_class_a_factory_or_data():
    register_preset("class", TutorialModel)
    register_preset("factory", lambda codec: TutorialModel(codec=codec))
    register_preset(
        "data", Preset("kerasmusic.models.gated_model:GatedNoteModel", {"width": 8, "hidden": 8, "depth": 1})
    )
    for name in ("class", "factory", "data"):
        assert NoteModel.new(name).preset == name


def test_a_factory_of_something_else_is_named():
    register_preset("factory", lambda codec: "a model")
    with pytest.raises(ArgumentError, match="factory: this preset's factory returned a str, not a NoteModel"):
        NoteModel.new("factory")


def test_kerasmusics_own_presets_stay_what_they_are():
    with pytest.raises(ArgumentError, match="small: is a preset of kerasmusic; choose another name"):
        register_preset("small", TutorialModel)


def test_an_installed_package_declares_presets_that_are_imported_when_asked_for(own_module, tmp_path, monkeypatch):
    metadata = tmp_path / "own_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: own-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[kerasmusic.presets]\ndeclared = own_models:Mine\nbroken = own_models:Nothing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert {entry.name for entry in importlib.metadata.entry_points(group="kerasmusic.presets")} == {
        "declared",
        "broken",
    }
    with pytest.raises(ArgumentError, match=r"declare: no such preset; did you mean declared\?"):
        find_preset("declare")
    assert own_module not in sys.modules
    assert type(NoteModel.new("declared")).__name__ == "Mine"
    with pytest.raises(ArgumentError, match="broken: a preset of the package that declares own_models:Nothing"):
        find_preset("broken")


SCRIPT = """
print("the script runs")
from keras import layers
from kerasmusic import Generator, NoteModel, export_tflite, register_preset
from kerasmusic.models.blocks import Block, register_block
from kerasmusic.models.presets import GATED, Preset
from kerasmusic.models.tutorial_model import TutorialModel

class Mine(TutorialModel):
    pass

@register_block("plain")
class PlainBlock(Block):
    state_size = 1

    def __init__(self, width, hidden, **kwargs):
        super().__init__(width, hidden, **kwargs)
        self.dense = layers.Dense(width, name="dense")

    def build(self, input_shape):
        self.dense.build((None, self.width))
        super().build(input_shape)

    def step(self, x, state):
        return x + self.dense(x), state

    call = step

register_preset("mine", Mine)
register_preset("plain", Preset(GATED, {"width": 16, "hidden": 16, "depth": 1, "block": "plain"}))
for name in ("mine", "plain"):
    NoteModel.new(name).save(f"{name}.keras")
    export_tflite(f"{name}.keras", f"{name}.tflite")
    print(name, len(Generator(f"{name}.tflite", seed=1).take(5)))
"""


@pytest.mark.slow
def test_a_model_and_a_block_of_a_script_are_exported_without_running_it_twice(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("the script runs\nmine 5\nplain 5\n", "")
    with pytest.raises(ModelFileError, match=r"__main__:Mine:Mine, .* it is of the script or notebook that trained it"):
        read_keras_config(tmp_path / "mine.keras")
