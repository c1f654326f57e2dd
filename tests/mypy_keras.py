"""A mypy plugin that makes unknown attributes of Keras classes an error.

Keras's `Layer` inherits from a TensorFlow class without types, so mypy would accept any attribute of a layer or model.
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
