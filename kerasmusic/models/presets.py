"""Named architectures. What each weighs, costs and is worth is measured in docs/benchmarks.md."""

from collections.abc import Callable

from kerasmusic.codec import NoteCodec
from kerasmusic.errors import ArgumentError, closest
from kerasmusic.models.gated_model import GatedNoteModel
from kerasmusic.models.note_model import NoteModel
from kerasmusic.models.tutorial_model import TutorialModel

PRESETS: dict[str, Callable[[NoteCodec | None], NoteModel]] = {
    "tutorial": lambda codec: TutorialModel(codec=codec, preset="tutorial"),
    "tiny": lambda codec: GatedNoteModel(width=64, hidden=128, depth=2, codec=codec, preset="tiny"),
    "small": lambda codec: GatedNoteModel(width=256, hidden=640, depth=2, codec=codec, preset="small"),
    "base": lambda codec: GatedNoteModel(width=512, hidden=1280, depth=2, memory=2048, codec=codec, preset="base"),
}


def check_preset(name: str) -> None:
    """Raises an ArgumentError where there is no such preset."""
    if name not in PRESETS:
        raise ArgumentError(f"{name}: no such preset; {closest(name, PRESETS)}")
