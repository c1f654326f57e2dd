"""Models of notes, in Keras 3 on any of its backends."""

from kerasmusic.models.note_model import NoteModel

__all__ = ["NoteModel"]
