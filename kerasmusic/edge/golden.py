"""The golden passage: notes stored in a model file that verify it on any other runtime.

The exporter generates the passage from a seed and scores it; `verify` repeats both on the current runtime. Scoring uses
the stored notes as inputs, so rounding errors cannot accumulate; generating shows that no rounding error flips a draw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import FIELDS
from kerasmusic.edge.compiled_runtime import CompiledModelRuntime
from kerasmusic.edge.generator import Generator
from kerasmusic.edge.installing import this_python
from kerasmusic.edge.runtime import Runtime, TFLiteRuntime
from kerasmusic.errors import ArgumentError, ModelFileError, printable
from kerasmusic.notes import Notes

NOTES = 1_000
# An exact file's passage goes on, and has only hashes of these further notes, one for each group.
EXACT_NOTES, GROUP = 10_000, 250
MOST_GROUPS = (EXACT_NOTES - NOTES) // GROUP
# The settings of a new passage, which are stored with it.
SETTINGS: dict[str, Any] = {
    "seed": 2026,
    "temperature": {"pitch": 0.95, "step": 1.05},
    "min_p": {"pitch": 0.02},
    "speed": 8.0,
    "polyphony": 4.5,
    "loudness": 70.0,
    "key": "C minor",
}
# What earlier files' settings lack: they kept to no targets.
WITHOUT_TARGETS: dict[str, Any] = {"speed": None, "polyphony": None, "loudness": None}
# The settings of the earliest files, which have none.
FIRST_SETTINGS = {name: SETTINGS[name] for name in ("seed", "temperature", "min_p", "key")}
# I - IV - V - I, as chords of half a second.
CHORDS = ((48, 64, 67, 72), (53, 65, 69, 72), (55, 62, 67, 71), (48, 64, 67, 72))
# The largest difference in a log probability that rounding explains, by precision. Between ai-edge-litert and
# tflite-runtime, a trained `small` differed by 1e-5, 1.1e-5, 0.24 and 1.3; the int8 tolerances are about four times
# that, and the float ones are generous round numbers. The page in `export/web` has the same values.
TOLERANCES = {"float32": 1e-3, "float16": 2e-3, "int8": 1.0, "int8-full": 5.0, "exact": 1e-5}
# Lower log probabilities count as this one.
LEAST_LOG_PROB = -80.0


@dataclass(frozen=True)
class Verdict:
    """The result of verifying a file.

    Args:
        difference: the largest difference between a log probability and the one stored in the file.
        tolerance: the largest difference that the file's precision allows.
        notes: the number of notes that were compared.
        parted: the first note, counted from 1, that differs; None if all notes are the same. Of the notes that are
            known by hashes only, it is the first of a group of which one differs.
        must_match: whether a file of this precision must play exactly the same notes on this platform.
        exact: whether it promises so everywhere.
        runtime: the name of the runtime.
    """

    difference: float
    tolerance: float
    notes: int
    parted: int | None
    must_match: bool
    exact: bool
    runtime: str

    @property
    def holds(self) -> bool:
        """Whether the file plays and scores its passage on this runtime as on the exporter's."""
        return self.difference <= self.tolerance and not (self.must_match and self.parted)

    def __str__(self) -> str:
        verdict = f"{'verified' if self.holds else 'FAILED'} on {self.runtime}"
        within = "within" if self.difference <= self.tolerance else "NOT within"
        scored = f"log_prob {within} {self.tolerance:g} (largest difference {self.difference:.2g})"
        if self.exact:
            if self.parted is None:
                return (
                    f"{verdict}: it plays the very notes of this exact file, {self.notes:,} of {self.notes:,}; {scored}"
                )
            last = self.parted if self.parted <= NOTES else self.parted + GROUP - 1
            notes = f"note {self.parted:,}" if last == self.parted else f"one of the notes {self.parted:,} to {last:,}"
            return f"{verdict}: it parts from this exact file at {notes}, so its arithmetic is not exact; {scored}"
        same = f"the same {self.notes:,} notes" if self.parted is None else f"parting at note {self.parted:,}"
        promise = "; only exact files play the same notes everywhere" if self.parted and not self.must_match else ""
        return f"{verdict}: {scored}, {same}{promise}"


def golden_passage(runtime: Runtime, precision: str) -> dict[str, Any]:
    """Plays and scores the passage, and returns it as JSON values for the record of a file of this precision."""
    fields = play(runtime, EXACT_NOTES if precision == "exact" else NOTES)
    scores = score(runtime, fields[:NOTES])
    passage = {
        "settings": SETTINGS,
        "notes": fields[:NOTES].tolist(),
        # JSON has no NaN, so a field without a distribution gets null.
        "log_prob": [[None if np.isnan(x) else round(float(x), 6) for x in row] for row in scores],
    }
    return passage | ({"hashes": group_hashes(fields[NOTES:])} if precision == "exact" else {})


def group_hashes(fields: NDArray[np.int32]) -> list[str]:
    """A hash of each group of notes, int32 `[n, 4]`.

    >>> group_hashes(np.zeros((500, 4), np.int32))
    ['fc19b19971194257', 'fc19b19971194257']
    """
    groups = fields.astype("<i4").reshape(-1, GROUP * len(FIELDS))
    return [hashlib.sha256(group.tobytes()).hexdigest()[:16] for group in groups]


def verify(runtime: TFLiteRuntime | CompiledModelRuntime, notes: int = EXACT_NOTES) -> Verdict:
    """Replays and rescores the golden passage of a file.

    Args:
        runtime: runs the file.
        notes: the most notes to compare, in whole groups of 250 after the first 1,000.

    Raises:
        ModelFileError: the file has no valid golden passage.
    """
    try:
        golden = runtime.record["golden"]
        fields = np.array(golden["notes"], np.int32).reshape(-1, len(FIELDS))
        expected = np.array(golden["log_prob"], np.float64).reshape(-1, len(FIELDS))
        precision = runtime.record["precision"]
        tolerance = TOLERANCES[precision]
        settings = WITHOUT_TARGETS | dict(golden.get("settings", FIRST_SETTINGS))
        # Earlier files name a setting that is no more, at the value without effect.
        if settings.pop("density", 0) != 0:
            raise ValueError
        hashes = [str(each) for each in golden.get("hashes", [])][: max(0, notes - len(fields)) // GROUP]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise ModelFileError("the file has no golden passage to verify it with; export it again") from None
    if (
        not len(fields)
        or len(fields) != len(expected)
        or len(hashes) > MOST_GROUPS
        or fields.min() < 0
        or np.any(fields >= np.array(runtime.codec.sizes))
    ):
        raise ModelFileError("the file's golden passage is damaged; export it again")
    scores = score(runtime, fields)
    unknown = np.isnan(expected)
    # NaN on one side only counts as an infinite difference.
    clipped = (np.maximum(each, LEAST_LOG_PROB) for each in (scores, expected))
    difference = np.where(unknown & np.isnan(scores), 0.0, np.abs(np.subtract(*clipped)))
    # Not nan_to_num: it warns where tflite-runtime has set an ARMv7 to flush denormals to zero.
    difference[np.isnan(difference)] = np.inf
    total = len(fields) + GROUP * len(hashes)
    try:
        played = play(runtime, total, settings)
    except (ArgumentError, TypeError) as error:
        raise ModelFileError(
            f"the settings of the file's golden passage are damaged ({printable(str(error))}); export it again"
        ) from None
    different = np.flatnonzero((played[: len(fields)] != fields).any(axis=1)).tolist()
    found = group_hashes(played[len(fields) :])
    groups = [index for index, pair in enumerate(zip(found, hashes, strict=True)) if pair[0] != pair[1]]
    different += [len(fields) + GROUP * index for index in groups]
    return Verdict(
        difference=float(difference.max()),
        tolerance=tolerance,
        notes=total,
        parted=different[0] + 1 if different else None,
        # Log probabilities on 32-bit ARM differ from all others by up to 2.5e-4, enough to flip a draw in a passage of
        # this length; between 64-bit platforms they differ by up to 4e-6.
        must_match=precision == "exact" or (precision == "float32" and this_python().bits == 64),
        exact=precision == "exact",
        runtime=runtime.name,
    )


def play(runtime: Runtime, notes: int = NOTES, settings: Mapping[str, Any] = SETTINGS) -> NDArray[np.int32]:
    """Generates the passage from its seed: fields, int32 `[notes, 4]`.

    Args:
        runtime: runs the model's step.
        notes: the number of notes.
        settings: the seed, and fields of `Sampling`.

    Raises:
        ArgumentError, TypeError: `Generator` does not accept the settings.
    """
    generator = Generator(runtime, **settings)
    generator.prime(_primer())
    fields = np.empty((notes, len(FIELDS)), np.int32)
    for row in fields:
        next(generator)
        row[:] = runtime.note[0]
    return fields


def score(runtime: Runtime, fields: NDArray[np.int32]) -> NDArray[np.float32]:
    """The log probabilities, float32 `[notes, 4]`, of the passage scored from a zero state."""
    return next(Generator(runtime, seed=0).score_fields([fields]))


def _primer() -> Notes:
    start = np.repeat(np.arange(len(CHORDS)) * 0.5, len(CHORDS[0]))
    return Notes(start, np.ravel(CHORDS), np.full(len(start), 0.5), np.full(len(start), 72))
