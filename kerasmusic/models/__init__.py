"""Models of notes, in Keras 3 on any of its backends.

Keras fixes its backend when it is imported, so this package imports it when a name is first used, and `backend` chooses
before that.
"""

from typing import TYPE_CHECKING

from kerasmusic.quiet import quiet_tensorflow

if TYPE_CHECKING:
    from kerasmusic.models.note_model import NoteModel

# Before Keras is imported, which may load it.
quiet_tensorflow()

__all__ = ["NoteModel"]


if not TYPE_CHECKING:  # by this function any name would be right

    def __getattr__(name: str) -> object:
        if name == "NoteModel":
            from kerasmusic.models.note_model import NoteModel

            return NoteModel
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
