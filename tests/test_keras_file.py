import json
import os
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasmusic.bundled import bundled_keras_file
from kerasmusic.errors import ModelFileError
from kerasmusic.models import NoteModel
from kerasmusic.models.keras_file import read_keras_config
from kerasmusic.models.note_model import load_model

pytestmark = pytest.mark.every_backend

WEIGHTS = Path(__file__).parents[1] / "weights"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A model with its optimizer, like a checkpoint."""
    path = tmp_path_factory.mktemp("loading") / "model.keras"
    model = NoteModel.new("tutorial")
    model.compile(model.make_optimizer(1e-3, 0.01, 1.0))
    model(np.zeros((1, model.window + 1, 4), np.int32))
    model.optimizer.build(model.trainable_variables)
    model.save(path)
    return path


def changed(source, path, change=lambda config: None, extra=()):
    """A copy of a .keras file whose configuration was changed, with further members."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(path, "w") as copy:
        for member in archive.namelist():
            data = archive.read(member)
            if member == "config.json":
                config = json.loads(data)
                new = change(config)
                data = json.dumps(config if new is None else new)
            copy.writestr(member, data)
        for name, data in extra:
            copy.writestr(name, data)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("path", [bundled_keras_file(), WEIGHTS / "small-with-repeats.keras", WEIGHTS / "base.keras"])
def test_weights_in_half_precision_are_computed_in_float32_and_say_their_licence(path):
    model = load_model(path)
    assert {weight.dtype for weight in model.trainable_variables} == {"float32"}
    assert model.record["licence"].startswith("CC BY-NC-SA 4.0")


def test_a_file_of_ours_is_loaded_with_its_optimizer(compiled, tmp_path):
    assert load_model(changed(compiled, tmp_path / "same.keras"), compile=True).optimizer is not None


def test_a_lambda_is_refused(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)]).save(tmp_path / "lambda.keras")
    with pytest.raises(ModelFileError, match="not a model of notes"):
        load_model(tmp_path / "lambda.keras")


def lambda_config():
    return keras.saving.serialize_keras_object(keras.layers.Lambda(lambda x: x + 1))


FOREIGN = {
    "a lambda": lambda_config,
    "a function of the system": lambda: {"module": "os", "class_name": "function", "config": "system"},
    "a layer of another package": lambda: {"module": "evil", "class_name": "Layer", "config": {}},
    "what switches safety off": lambda: {
        "module": "keras.config", "class_name": "function", "config": "enable_unsafe_deserialization",
        "registered_name": "enable_unsafe_deserialization",
    },
    "a registered class that is not ours": lambda: {
        "module": "kerasmusic.models.gated_model", "class_name": "Other", "config": {}, "registered_name": "evil>Other",
    },
    "a module of ours that is no model": lambda: {
        "module": "kerasmusic.command_line", "class_name": "main", "config": {}, "registered_name": None,
    },
}  # fmt: skip


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.parametrize("place", ["optimizer", "loss", "dtype", "record", "model"])
def test_a_file_that_asks_for_a_foreign_class_is_refused_before_keras_sees_it(
    compiled, tmp_path, monkeypatch, what, place
):
    def ask(config):
        foreign = FOREIGN[what]()
        if place == "model":
            return {**config, **foreign, "config": config["config"]}
        if place in ("optimizer", "loss"):
            config["compile_config"][place] = foreign
        else:
            config["config"][place] = {"nested": [foreign]}
        return config

    monkeypatch.setattr(keras.saving, "load_model", lambda *arguments, **options: pytest.fail("Keras saw it"))
    path = changed(compiled, tmp_path / "foreign.keras", ask)
    with pytest.raises(ModelFileError, match=r"foreign\.keras: asks for .*; not loaded") as caught:
        load_model(path, compile=True)
    assert "\n" not in str(caught.value)


class Marker:
    """Creates a folder when it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def test_nothing_is_unpickled_and_nothing_is_unpacked(compiled, tmp_path):
    place = tmp_path / "unpickled"
    np.savez(tmp_path / "weights.npz", weights=np.array([Marker(place)], object))
    weights = (tmp_path / "weights.npz").read_bytes()
    for name in ("model.weights.npz", "assets/x.txt", "../outside.txt", "/outside.txt"):
        path = changed(compiled, tmp_path / "extra.keras", extra=[(name, weights)])
        with pytest.raises(ModelFileError, match=rf"holds {name}, which no model of kerasmusic has"):
            load_model(path)
    assert not place.exists()
    assert not (tmp_path.parent / "outside.txt").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda config: [config],
        lambda config: {},
        lambda config: {**config, "config": None},
        lambda config: {**config, "config": {**config["config"], "codec": []}},
        lambda config: {**config, "config": {**config["config"], "record": "none"}},
        lambda config: {**config, "config": {**config["config"], "unknown": 1}},
        lambda config: {**config, "config": {**config["config"], "codec": {"step_edges": [3, 2, 1]}}},
    ],
)
def test_a_damaged_configuration_is_refused_in_one_line(compiled, tmp_path, damage):
    with pytest.raises(ModelFileError) as caught:
        load_model(changed(compiled, tmp_path / "damaged.keras", damage))
    assert "\n" not in str(caught.value)


def test_a_configuration_that_is_a_bomb_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b"[" * 50_000_000)
    (tmp_path / "deep.keras").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "deep.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b"[" * 100_000)
    for name in ("bomb.keras", "deep.keras"):
        with pytest.raises(ModelFileError, match="not a model of notes"):
            read_keras_config(tmp_path / name)


def test_a_file_that_was_cut_is_refused_in_one_line(compiled, tmp_path):
    data = compiled.read_bytes()
    for share in (0, 1, 50, 90, 99):
        (tmp_path / "cut.keras").write_bytes(data[: len(data) * share // 100])
        with pytest.raises(ModelFileError, match=r"cut short|not a model") as caught:
            load_model(tmp_path / "cut.keras")
        assert "\n" not in str(caught.value)
