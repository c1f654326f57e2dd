"""Models of notes, in Keras 3 on any of its backends."""

from kerasmusic.quiet import quiet_tensorflow

# Before Keras is imported, which may load it.
quiet_tensorflow()

from kerasmusic.models.note_model import NoteModel  # noqa: E402

__all__ = ["NoteModel"]
