"""A plugin for mypy: an attribute that no class of Keras's has is an error.

Keras's `Layer` inherits from a class of TensorFlow, which has no types, so that mypy would let every model and every
layer have any attribute whatever.
"""

from collections.abc import Callable

from mypy.plugin import ClassDefContext, Plugin


class KerasPlugin(Plugin):
    def get_customize_class_mro_hook(self, fullname: str) -> Callable[[ClassDefContext], None] | None:
        return _without_unknown_bases if fullname.startswith("keras.") else None


def _without_unknown_bases(context: ClassDefContext) -> None:
    context.cls.info.fallback_to_any = False


def plugin(version: str) -> type[Plugin]:
    return KerasPlugin
