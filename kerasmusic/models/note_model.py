"""NoteModel: the base class of all note models, and loading a model from a `.keras` file.

A model predicts the four fields of the next note, one after another, from all earlier notes. It works on fields (see
`kerasmusic.codec`). It is stateless between calls: its memory is a flat state vector that the caller passes along.
"""

from __future__ import annotations

import importlib
import os
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import keras
from keras import KerasTensor, ops

from kerasmusic.bundled import bundled_keras_file
from kerasmusic.codec import FIELDS, NoteCodec
from kerasmusic.errors import ArgumentError, ModelFileError, printable
from kerasmusic.models.extensions import import_requested, remember_class
from kerasmusic.models.keras_file import NamedClass, read_keras_config
from kerasmusic.models.precision import check_precision
from kerasmusic.models.presets import OWN_PRESETS, find_preset

#: The base classes of what a `.keras` file may name.
SAVED_CLASSES = (
    keras.Layer, keras.optimizers.Optimizer, keras.optimizers.schedules.LearningRateSchedule, keras.Initializer,
    keras.constraints.Constraint, keras.Regularizer,
)  # fmt: skip
# The size of the vector of a style in a new model, unless its preset says otherwise.
STYLE_SIZE = 32


class StepInputs(NamedTuple):
    """The inputs of one step, in the order of an exported file's signature.

    Args:
        previous: int32 `[batch, 4]`, the note that the previous step returned; `codec.start_note` before the first. To
            replace that note, repeat the previous step with the replacement as `given`.
        given: int32 `[batch, 4]`; -1 where the model draws the field, else the field's value.
        state: float32 `[batch, S]`, as the previous step returned it; zeros before the first note.
        uniform: float32 `[batch, 4]`, one random number in [0, 1) per field.
        temperature: float32 `[batch, 4]`, by field; 0 takes the likeliest value.
        min_p: float32 `[batch, 4]`, by field; see `kerasmusic.models.sampling`.
        bias: float32 `[batch, V]`, added to the concatenated logits of the four fields.
        style: float32 `[batch, D]`, conditions the music; None for a model whose `style_size` is 0.
    """

    previous: KerasTensor
    given: KerasTensor
    state: KerasTensor
    uniform: KerasTensor
    temperature: KerasTensor
    min_p: KerasTensor
    bias: KerasTensor
    style: KerasTensor | None = None


#: What a model is trained on: windows, or windows and the index of each one's style.
Batch = KerasTensor | tuple[KerasTensor, KerasTensor] | list[KerasTensor]


class NoteModel(keras.Model):
    """The base class of all note models.

    A subclass implements `state_size`, `step` and `score`, and may set `window`. `fit` trains on windows, int32
    `[batch, context_notes + 1 + T, 4]`: context notes, the note before the window, and the window's T notes. Rows of -1
    pad windows at a piece's beginning and end. A model that learns styles may be given pairs: windows, and the index of
    each one's style among `style_names`, int32 `[batch]`, -1 for none.

    Args:
        codec: translates between fields and times and velocities; `NoteCodec()` by default.
        preset: the name of the preset that the model was made from.
        record: training metadata as JSON values, stored in the model's files.

    Raises:
        ArgumentError: Keras is set to a precision other than float32.
    """

    #: The number of notes in a training window.
    window: ClassVar[int] = 256
    #: The number of notes of a window, its last ones, that have a training loss.
    labels_per_window: ClassVar[int] = 256
    #: The number of context notes that training prepends to a window and its previous note; see `state_after`.
    context_notes: int = 0
    #: D: the size of the vector that conditions the music, at most 64; with 0, neither `step` nor `score` gets one.
    style_size: int = 0
    #: Whether a style's numbers are whole, from -127 to 127.
    whole_style: ClassVar[bool] = False
    #: Whether the class learns styles from music: it takes the arguments `styles`, names, and `style_size`.
    learns_styles: ClassVar[bool] = False
    #: The names of the styles that the model learns, such as composers; see `styles_at`.
    style_names: Sequence[str] = ()
    #: The number of windows in a batch.
    batch_size: int = 8
    #: The peak learning rate.
    learning_rate: ClassVar[float] = 3e-3

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        remember_class(cls)

    def __init__(
        self, codec: NoteCodec | None = None, preset: str = "", record: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        check_precision()
        super().__init__(**kwargs)
        self.codec = codec or NoteCodec()
        self.preset = preset
        self.record = record or {}
        self._field_losses = [keras.metrics.Mean(name=field) for field in FIELDS]

    @staticmethod
    def new(
        preset: str, codec: NoteCodec | None = None, *, styles: Sequence[str] = (), style_size: int = STYLE_SIZE
    ) -> NoteModel:
        """A new model of a preset's architecture, with random weights from Keras's global seed.

        Args:
            preset: the preset's name.
            codec: the model's codec.
            styles: the names of the styles to learn; a preset whose class does not learn styles ignores them.
            style_size: the size of their vectors.

        Raises:
            ArgumentError: there is no such preset, or its factory returned something else than a NoteModel.

        >>> NoteModel.new("tutorial").state_size
        256
        """
        found = find_preset(preset)
        factory = found.factory()
        learnt = {"styles": list(styles), "style_size": style_size}
        config = learnt if styles and getattr(factory, "learns_styles", False) else {}
        model = factory(**{**config, **found.config}, codec=codec)
        if not isinstance(model, NoteModel):
            raise ArgumentError(f"{preset}: this preset's factory returned a {type(model).__name__}, not a NoteModel")
        model.preset = preset
        return model

    @staticmethod
    def from_preset(preset: str, *, load_weights: bool = True) -> NoteModel:
        """The trained model of a preset whose weights come with the package.

        Args:
            preset: the preset's name.
            load_weights: False makes a new model, as `new` does.

        Raises:
            ArgumentError: there is no such preset, or the package has no trained weights for it.

        >>> NoteModel.from_preset("small").record["backend"]
        'jax'
        """
        if not load_weights:
            return NoteModel.new(preset)
        if not find_preset(preset).bundled:
            raise ArgumentError(
                f"{preset}: no trained weights of this preset come with the package; NoteModel.new({preset!r}) makes a "
                "new model, load_model(path) opens one that you trained"
            )
        return load_model(bundled_keras_file())

    @property
    def state_size(self) -> int:
        """S: the size of the state, in float32 values."""
        raise NotImplementedError

    def step(self, inputs: StepInputs) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
        """Generates one note. It is a pure function: the same inputs give the same results.

        Returns:
            The note's fields, int32 `[batch, 4]`; the natural log of the model's own probability (temperature 1, no
            bias) of each field, float32 `[batch, 4]`; and the state for the next call, float32 `[batch, S]`.
        """
        raise NotImplementedError

    def score(
        self, notes: KerasTensor, state: KerasTensor, style: KerasTensor | None = None
    ) -> tuple[KerasTensor, KerasTensor]:
        """The log probabilities of a sequence's notes, each given the notes before it: `step` over a whole sequence.

        Args:
            notes: int32 `[batch, T + 1, 4]`: the previous note, then the T notes to score.
            state: float32 `[batch, S]`, from the previous sequence; zeros at a piece's start.
            style: float32 `[batch, D]`, holds for all notes, and None stands for zeros; only for a model that has
                `style_names`.

        Returns:
            Natural logs, float32 `[batch, T, 4]`, NaN for fields without a distribution, and the final state.
        """
        raise NotImplementedError

    def style_vectors(self) -> dict[str, list[float]]:
        """The styles that the model knows by name, D numbers each."""
        return {}

    def styles_at(self, index: KerasTensor) -> KerasTensor:
        """The vectors, float32 `[batch, D]`, of styles by their index, int32 `[batch]`; zeros for -1."""
        raise NotImplementedError

    def state_after(self, context: KerasTensor) -> KerasTensor:
        """The initial state of a training window, float32 `[batch, S]`, given the notes before it.

        The learned recurrent state starts at zero; only the deterministic parts, such as repeats, are computed from the
        context.

        Args:
            context: int32 `[batch, context_notes, 4]`, zeros where the piece has no earlier notes.
        """
        return ops.zeros((ops.shape(context)[0], self.state_size))

    def losses_of(self, notes: KerasTensor, style: KerasTensor | None = None) -> KerasTensor:
        """The training loss of each field of each note, float32 `[batch, T, 4]`, from a window without padding.

        By default it is the figure that evaluation reports: nats, corrected for the bins' widths (`codec.log_widths`).

        Args:
            notes: int32 `[batch, context_notes + 1 + T, 4]`.
            style: float32 `[batch, D]`; given only where windows come with their styles.
        """
        context, notes = notes[:, : self.context_notes], notes[:, self.context_notes :]
        log_prob, _ = self.score(notes, self.state_after(context), *([] if style is None else [style]))
        widths = [
            ops.take(ops.convert_to_tensor(width, "float32"), notes[:, 1:, index])
            for index, width in enumerate(self.codec.log_widths)
        ]
        return ops.stack(widths, axis=-1) - log_prob

    def call(self, inputs: Batch) -> KerasTensor:
        """The training loss of each field of each note, float32 `[batch, T, 4]`, zero at padding."""
        window = ops.cast(_windows(inputs), "int32")
        style = [self.styles_at(ops.cast(inputs[1], "int32"))] if isinstance(inputs, list | tuple) else []
        losses = self.losses_of(ops.maximum(window, 0), *style)
        return losses * _is_note(window, losses)[..., None]

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, **options: Any) -> None:
        """Prepares the model for `fit`, as Keras's method, but for a loss and metrics: those are the model's own.

        Raises:
            ArgumentError: a loss or metrics are given.
        """
        given = {"loss": loss, "metrics": metrics}
        given |= {name: options.get(name) for name in ("loss_weights", "weighted_metrics")}
        for name, value in given.items():
            if value:
                raise ArgumentError(
                    f"compile({name}=...): a note model has its own loss and metrics; override losses_of for another "
                    "loss, and follow other figures with a callback"
                )
        super().compile(optimizer=optimizer, **options)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a model that is loaded, with the optimizer of its file; Keras does so only for its own `compile`."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        # An optimizer's configuration does not say what it decays.
        self.exclude_from_decay(self.optimizer)
        self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> KerasTensor:
        """Nats per note: the sum of the fields' losses, averaged over the notes."""
        return ops.sum(y_pred) / ops.maximum(ops.sum(_is_note(_windows(x), y_pred)), 1.0)

    def compute_metrics(self, x: Batch, y: object, y_pred: KerasTensor, sample_weight: object = None) -> dict[str, Any]:
        """The loss, and the loss of each field."""
        is_note = _is_note(_windows(x), y_pred)
        for index, metric in enumerate(self._field_losses):
            metric.update_state(y_pred[..., index], sample_weight=is_note)
        return self.get_metrics_result()

    def make_optimizer(self, learning_rate: float, weight_decay: float, clip: float) -> keras.optimizers.Optimizer:
        """The optimizer for training: AdamW (Loshchilov and Hutter, 2019), unless a subclass overrides it.

        Args:
            learning_rate: the schedule's peak.
            weight_decay: decoupled weight decay; each update subtracts this share of a weight times the learning rate.
            clip: the largest global norm of the gradient (Pascanu et al., 2013).
        """
        return keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay, global_clipnorm=clip)

    def exclude_from_decay(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Tells an optimizer that is not built yet which weights it must not decay; by default none."""

    def get_config(self) -> dict[str, Any]:
        return {"codec": self.codec.to_json(), "preset": self.preset, "record": dict(self.record), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, object] | None = None) -> NoteModel:
        """Makes a model from its `get_config`, with new weights."""
        return cls(**{**config, "codec": NoteCodec.from_json(config["codec"])})


def load_model(path: str | os.PathLike[str], *, compile: bool = False) -> NoteModel:
    """Loads the model of a `.keras` file, or of `model.keras` in a run's folder; with `compile`, its optimizer too.

    Keras opens the file in its safe mode only.

    Raises:
        ModelFileError: the file does not exist, is not a `.keras` file, holds something other than a NoteModel, or
            names a class that `read_keras_config` refuses.
        ArgumentError: Keras is set to a precision other than float32.
    """
    check_precision()
    path = Path(path)
    if path.is_dir():
        path = path / "model.keras"
    if not path.exists():
        raise ModelFileError(f"{path}: no such file")
    if not zipfile.is_zipfile(path):
        raise ModelFileError(f"{path}: not a .keras file, or cut short; train one with 'kerasmusic train'")
    # Importing these modules registers the class names by which Keras finds the classes of a file.
    for preset in OWN_PRESETS:
        find_preset(preset).factory()
    importlib.import_module("kerasmusic.models.exact_model")
    import_requested()
    own = {each.registered_name: _own_class(each, path) for each in read_keras_config(path).own}
    try:
        model = keras.saving.load_model(path, custom_objects=own, compile=compile, safe_mode=True)
    except Exception as error:  # Keras raises many types, with messages of several lines
        reason = printable(str(error).strip().splitlines()[0]) if str(error).strip() else type(error).__name__
        raise ModelFileError(f"{path}: not a model that kerasmusic can load ({reason})") from None
    if not isinstance(model, NoteModel):
        raise ModelFileError(f"{path}: holds a {type(model).__name__}, not a model of notes")
    return model


def _own_class(named: NamedClass, path: Path) -> type[Any]:
    """The class of an extension module, which is imported, that a file names.

    Raises:
        ModelFileError: the module has no such class, or it is no class that Keras saves.
    """
    found = getattr(sys.modules.get(named.module), named.name, None)
    if not (isinstance(found, type) and issubclass(found, SAVED_CLASSES)):
        raise ModelFileError(
            f"{path}: asks for {printable(named.name)}, and the module {printable(named.module)} has no such layer or "
            "model"
        )
    return found


def log_prob_of(logits: KerasTensor, value: KerasTensor) -> KerasTensor:
    """The log probabilities, float32 `[...]`, of values, int32 `[...]`, under logits `[..., n]`."""
    return ops.take_along_axis(ops.log_softmax(ops.cast(logits, "float32"), axis=-1), value[..., None], axis=-1)[..., 0]


def _windows(batch: Batch) -> KerasTensor:
    return batch[0] if isinstance(batch, list | tuple) else batch


def _is_note(window: KerasTensor, losses: KerasTensor) -> KerasTensor:
    """The mask of losses `[batch, T, 4]`, float32 `[batch, T]`: 1 for notes, 0 for padding."""
    return ops.cast(window[:, -losses.shape[1] :, 0] >= 0, "float32")
