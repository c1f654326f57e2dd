"""Checks that a model keeps the contract of `NoteModel`, on a few notes and before any training.

`kerasmusic check-model` prints these checks, and training a model of your own begins with them.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from kerasmusic.codec import FIELDS
from kerasmusic.edge.generator import Generator
from kerasmusic.edge.runtime import OUTPUTS
from kerasmusic.errors import ArgumentError, KerasMusicError, printable
from kerasmusic.models.keras_runtime import KerasRuntime, StepModel
from kerasmusic.models.note_model import NoteModel, StepInputs
from kerasmusic.models.scoring import KerasScorer

NOTES = 100
SEED = 1
# The largest size of a style.
LARGEST_STYLE = 64
# Weights that are zero at first would hide what they are multiplied with.
NOISE = 0.05
# In nats. The two ways of computing a log probability round differently.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Check:
    """One part of a contract.

    Args:
        name: what was checked.
        holds: whether it holds.
        detail: what was found, in one line.
    """

    name: str
    holds: bool
    detail: str


class ContractError(Exception):
    """A part of the contract does not hold; the message says what was found."""


def run_check(name: str, check: Callable[..., str], *arguments: object) -> Check:
    """Runs a check, a function that returns what it found or raises an error; an unexpected one with its place."""
    try:
        return Check(name, True, check(*arguments))
    except (ContractError, KerasMusicError) as error:
        return Check(name, False, str(error))
    except Exception as error:  # the model's own code may raise anything
        return Check(name, False, _one_line(error))


def check_contract(model: NoteModel) -> Iterator[Check]:
    """Checks a model's sizes, its step, its score, its loss and its configuration, in this order.

    The checks use a copy of the model with noise on its weights. The first that does not hold is the last.

    Yields:
        Each check with its outcome.

    Example, with a model of your own::

        for check in check_contract(MyModel()):
            print(check.name, check.holds, check.detail)
    """
    made = run_check("configuration", _check_configuration, model)
    yield made
    if not made.holds:
        return
    copy = _noisy_copy(model)
    checks = (
        ("sizes", _check_sizes),
        ("step", _check_step),
        ("score", _check_score),
        ("state", _check_state),
        ("loss", _check_loss),
    )
    for name, check in checks:
        done = run_check(name, check, copy)
        yield done
        if not done.holds:
            return


def require_contract(model: NoteModel) -> None:
    """Raises an ArgumentError that names the first part of the contract that a model does not keep."""
    for check in check_contract(model):
        if not check.holds:
            raise ArgumentError(f"{type(model).__name__}: {check.name}: {check.detail}; see docs/extending.md")


def _check_configuration(model: NoteModel) -> str:
    copy = type(model).from_config(model.get_config())
    shapes, copied = ([tuple(weight.shape) for weight in each.get_weights()] for each in (model, copy))
    if shapes != copied:
        raise ContractError(
            f"from_config(get_config()) makes a model with {len(copied)} weights of other shapes than this one's "
            f"{len(shapes)}; put all arguments of __init__ into get_config, and build all layers in __init__"
        )
    return f"{type(model).__name__} with {model.count_params():,} parameters is made again from get_config"


def _noisy_copy(model: NoteModel) -> NoteModel:
    copy = type(model).from_config(model.get_config())
    random = np.random.default_rng(SEED)
    copy.set_weights([w + NOISE * random.standard_normal(w.shape).astype(w.dtype) for w in model.get_weights()])
    return copy


def _check_sizes(model: NoteModel) -> str:
    if not (isinstance(model.state_size, int) and model.state_size > 0):
        raise ContractError(f"state_size is {model.state_size!r}; it must be a whole number of at least 1")
    if not (isinstance(model.style_size, int) and 0 <= model.style_size <= LARGEST_STYLE):
        raise ContractError(f"style_size is {model.style_size!r}; it must be a whole number from 0 to {LARGEST_STYLE}")
    batch = 2
    zeros = {name: np.repeat(array, batch, axis=0) for name, array in StepModel(model).inputs_of_zeros().items()}
    returned = model.step(StepInputs(**{name: ops.convert_to_tensor(array) for name, array in zeros.items()}))
    if len(returned) != len(OUTPUTS):
        raise ContractError(f"step returns {len(returned)} values; it must return {', '.join(OUTPUTS)}")
    sizes = (len(FIELDS), len(FIELDS), model.state_size)
    for name, dtype, size, array in zip(OUTPUTS, ("int32", "float32", "float32"), sizes, returned, strict=True):
        found, shape = keras.backend.standardize_dtype(array.dtype), tuple(array.shape)
        if (found, shape) != (dtype, (batch, size)):
            why = f", since state_size is {size}" if name == "state" else ""
            raise ContractError(
                f"step returns {name} as {found} of shape {shape}; it must be {dtype} of shape {(batch, size)}{why}"
            )
    return f"a state of {model.state_size:,} numbers"


def _check_step(model: NoteModel) -> str:
    runtime = KerasRuntime(model)
    random = np.random.default_rng(SEED)
    runtime.temperature[:] = 1
    for number in range(NOTES):
        runtime.uniform[:] = random.random(runtime.uniform.shape)
        # Each field is given in some notes and drawn in others.
        wanted = [
            int(random.integers(size)) if number % (field + 2) == 0 else -1
            for field, size in enumerate(model.codec.sizes)
        ]
        runtime.given[:] = wanted
        before = runtime.state.copy()
        runtime.run()
        note, after = runtime.note.copy(), runtime.state.copy()
        for field, value, size, given in zip(FIELDS, note[0].tolist(), model.codec.sizes, wanted, strict=True):
            if not 0 <= value < size:
                raise ContractError(f"note {number} has the {field} {value}; the codec has 0 to {size - 1}")
            if given not in (-1, value):
                raise ContractError(f"note {number} has the {field} {value}, and {given} was given")
        if count := np.count_nonzero(~np.isfinite(after)):
            raise ContractError(f"note {number} leaves a state with {count} numbers that are not finite")
        runtime.state[:] = before
        runtime.run()
        if not (np.array_equal(runtime.note, note) and np.array_equal(runtime.state, after)):
            raise ContractError(f"note {number} differs when the step is repeated; it must be a pure function")
        runtime.previous[:] = note
    return f"{NOTES} notes, drawn and given, each the same when repeated"


def _random_notes(model: NoteModel, *shape: int) -> NDArray[np.int32]:
    random = np.random.default_rng(SEED)
    return np.stack([random.integers(size, size=shape, dtype=np.int32) for size in model.codec.sizes], axis=-1)


def _check_score(model: NoteModel) -> str:
    fields = _random_notes(model, NOTES)
    (by_step,) = Generator(KerasRuntime(model), seed=0).score_fields([fields])
    (by_score,) = KerasScorer(model).score_fields([fields])
    far = ~np.isclose(by_score, by_step, rtol=0, atol=TOLERANCE, equal_nan=True)
    if far.any():
        note, field = np.argwhere(far)[0]
        raise ContractError(
            f"the log probability of note {note}'s {FIELDS[field]} is {by_score[note, field]:.4f} by score and "
            f"{by_step[note, field]:.4f} by step; score must be step over a whole sequence"
        )
    return f"as step to {np.nanmax(np.abs(by_step - by_score)):.0e} nats, on {NOTES} random notes"


def _check_state(model: NoteModel) -> str:
    notes = np.concatenate([[model.codec.start_note], _random_notes(model, NOTES)])[None].astype(np.int32)
    zeros = np.zeros((1, model.state_size), np.float32)
    half = NOTES // 2
    whole, _ = _score(model, notes, zeros)
    first, state = _score(model, notes[:, : half + 1], zeros)
    if state.shape != zeros.shape:
        raise ContractError(f"score returns a state of shape {state.shape}; it must be {zeros.shape}")
    second, _ = _score(model, notes[:, half:], state)
    parts = np.concatenate([first, second], axis=1)
    if not np.allclose(parts, whole, rtol=0, atol=TOLERANCE, equal_nan=True):
        raise ContractError(
            f"score of {NOTES} notes differs by {np.nanmax(np.abs(parts - whole)):.2g} nats from score of their two "
            "halves; it must return the state after its last note"
        )
    return "score carries it from one sequence to the next"


def _score(
    model: NoteModel, notes: NDArray[np.int32], state: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    log_prob, after = model.score(ops.convert_to_tensor(notes), ops.convert_to_tensor(state))
    return np.array(ops.convert_to_numpy(log_prob)), np.array(ops.convert_to_numpy(after))


def _check_loss(model: NoteModel) -> str:
    losses = np.array(ops.convert_to_numpy(model(_random_notes(model, 2, model.context_notes + 1 + model.window))))
    shape = (2, model.labels_per_window, len(FIELDS))
    if losses.shape != shape:
        raise ContractError(f"losses_of returns shape {losses.shape}; it must be {shape}, as labels_per_window says")
    if count := np.count_nonzero(~np.isfinite(losses)):
        raise ContractError(f"{count} of the {losses.size} losses of random notes are not finite")
    return f"{losses.sum(axis=-1).mean():.1f} nats per note, on random notes"


def _one_line(error: Exception) -> str:
    """An error with the file and the line of the user's code in which it was raised."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    own = [frame for frame in frames if not frame.filename.startswith(str(Path(__file__).parents[1]))] or frames
    place = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {printable(' '.join(str(error).split()))[:300]}{place}"
