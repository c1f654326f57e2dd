"""Led: plays a model's own piece without end, in the chords that the user holds."""

from __future__ import annotations

from kerasmusic.edge.generator import Generator
from kerasmusic.live.endless import Endless
from kerasmusic.live.inputs import Event, Release, Strike
from kerasmusic.live.player import Effect

#: Keys below middle C are the left hand's, which holds the chords.
SPLIT = 60


class Led(Endless):
    """A player's source that plays the notes of a generator in the chord that was last held below middle C.

    A chord takes effect at once, and lasts until the next one, so that the hand may move. Before the first chord, the
    model is free.

    Args:
        generator: the generator of the notes.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__(generator)
        self._held: set[int] = set()
        self._chord: frozenset[int] = frozenset()
        generator.change(chords=lambda seconds: self._chord)

    def handle(self, event: Event) -> Effect:
        """Takes the chord from the left hand's keys; the notes that have not been struck are made again in it."""
        match event:
            case Strike(_, pitch, _) if pitch < SPLIT:
                self._held.add(pitch)
            case Release(_, pitch):
                self._held.discard(pitch)
                return Effect.NONE
            case _:
                return Effect.NONE
        chord = frozenset(pitch % 12 for pitch in self._held)
        if chord == self._chord:
            return Effect.NONE
        self._chord = chord
        return Effect.REPLACE
