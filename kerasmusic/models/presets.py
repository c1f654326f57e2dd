"""Named architectures. What each weighs, costs and is worth is measured in the README's table."""

from collections.abc import Callable

from kerasmusic.codec import NoteCodec
from kerasmusic.models.gated_model import GatedNoteModel
from kerasmusic.models.note_model import NoteModel
from kerasmusic.models.tutorial_model import TutorialModel

PRESETS: dict[str, Callable[[NoteCodec | None], NoteModel]] = {
    "tutorial": lambda codec: TutorialModel(codec=codec, preset="tutorial"),
    "small": lambda codec: GatedNoteModel(width=256, hidden=384, depth=2, codec=codec, preset="small"),
}
