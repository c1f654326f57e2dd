"""Measures how fast pianists play, and so how fast notes must be made: `kerasmusic bench pace --data ZIP`."""

from __future__ import annotations

from typing import Any

# Measured on the 6,366,300 notes of MAESTRO v2.0.0's training and validation performances by
# `kerasmusic bench pace --data maestro-v2.0.0-trainval.zip`; see `measure`.
MEDIAN_GAP_SECONDS = 0.0482
DENSEST_SECOND_NOTES = 86

#: The seconds between consecutive onsets.
PACES = {"median": MEDIAN_GAP_SECONDS, "densest": 1.0 / DENSEST_SECOND_NOTES}


def measure(data: str) -> dict[str, Any]:
    """The median gap between consecutive onsets in performances, and the largest number of onsets in a second.

    Args:
        data: a folder or zip of MIDI files, all of which are read.

    Raises:
        CorpusError, MidiError: a file cannot be read.
    """
    import numpy as np

    from kerasmusic.data.sources import open_source
    from kerasmusic.errors import CorpusError
    from kerasmusic.midi import read_bytes

    source = open_source(data)
    gaps, densest = [np.empty(0)], 0
    for name, content in source.read(source.list_files().names):
        if isinstance(content, str):
            raise CorpusError(content)
        onsets = np.sort(read_bytes(content, name, pedal=False).start)
        gaps.append(np.diff(onsets))
        densest = max(densest, int((np.searchsorted(onsets, onsets + 1.0) - np.arange(len(onsets))).max()))
    return {
        "gaps": sum(map(len, gaps)),
        "median_gap_seconds": float(np.median(np.concatenate(gaps))),
        "densest_second_notes": densest,
    }
