"""The precision that models compute in: float32, except while a training in bfloat16 makes its model.

In bfloat16 a model multiplies matrices in bfloat16. Its weights, the sums around the products, the keyboard, the
recurrent states and the loss are float32. What is saved has no precision: a model that is loaded, played or exported
computes in float32.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

from kerasmusic.errors import ArgumentError, check_name
from kerasmusic.models.backend import PRECISIONS

_POLICIES = {
    "float32": keras.dtype_policies.DTypePolicy("float32"),
    "bfloat16": keras.dtype_policies.DTypePolicy("mixed_bfloat16"),
}


@contextlib.contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Models that are made or loaded in this context compute in one of `PRECISIONS` from then on.

    Raises:
        ArgumentError: there is no such precision, or Keras is set to one that note models cannot compute in.

    >>> with computing_in("bfloat16"):
    ...     layer = keras.layers.Dense(2)
    >>> layer.compute_dtype, layer.variable_dtype
    ('bfloat16', 'float32')
    """
    check_name("precision", precision, PRECISIONS)
    check_precision()
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(former)


def check_precision() -> None:
    """Raises an ArgumentError if Keras is set to a precision other than float32 by anything but `computing_in`.

    Such a setting, in `keras.json` or in the program, applies to every layer: the model would train badly and could not
    be exported.
    """
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    if floatx != "float32":
        raise ArgumentError(
            f'{floatx}: is Keras\'s floatx, and note models need float32; write "floatx": "float32" in '
            "keras.json (in $KERAS_HOME, else in ~/.keras), or call keras.config.set_floatx('float32')"
        )
    # By identity: the same policy set by a program would make models that play in bfloat16.
    if policy.name != "float32" and policy is not _POLICIES["bfloat16"]:
        raise ArgumentError(
            f"{policy.name}: is Keras's dtype policy, and note models need float32; call "
            "keras.config.set_dtype_policy('float32'), and train in bfloat16 with the setting precision='bfloat16'"
        )
