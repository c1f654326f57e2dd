"""Note models in Keras 3, on any of its backends.

Keras fixes its backend on import, so this package imports Keras only when a name is first used; `backend` chooses the
backend before that.
"""

from typing import TYPE_CHECKING

from kerasmusic.quiet import quiet_tensorflow

if TYPE_CHECKING:
    from kerasmusic.models.note_model import NoteModel

# Before Keras is imported, because Keras may load TensorFlow.
quiet_tensorflow()

__all__ = ["NoteModel"]


if not TYPE_CHECKING:  # a type checker would accept any attribute because of this function

    def __getattr__(name: str) -> object:
        if name == "NoteModel":
            from kerasmusic.models.note_model import NoteModel

            return NoteModel
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
