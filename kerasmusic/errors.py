"""What can go wrong through no fault of the code, as exceptions whose text is fit to show to a user.

Every error that a user can cause derives from `KerasMusicError`. Its message is one line: what was wrong, with its
value, and what to do. The command line prints it and exits with 2.
"""

from collections.abc import Iterable


class KerasMusicError(Exception):
    """Something a user can put right."""


class MidiError(KerasMusicError):
    """A MIDI file that cannot be read, or has no notes."""


class CorpusError(KerasMusicError):
    """Data that cannot be made into a corpus."""


class ModelFileError(KerasMusicError):
    """A `.tflite` or `.keras` file that is not a kerasmusic model, or not one this version reads."""


class TrainingError(KerasMusicError):
    """A training that cannot go on, since its loss or its weights are no numbers any more."""


class NoNetworkError(KerasMusicError):
    """Something that must be downloaded, where no server can be reached."""


class MissingPackageError(KerasMusicError):
    """A package or a system library that an optional feature needs is not installed."""


class ProcessError(KerasMusicError):
    """A process that was started for a part of the work, and ended without having done it."""


class PortError(KerasMusicError):
    """A MIDI port or a sound device that is not there, or went away."""


class ArgumentError(KerasMusicError, ValueError):
    """An argument out of its range, or a name that is not known."""


def suggest(name: str, names: Iterable[str]) -> str:
    """What to say of a name that is not known: the one that may have been meant, or all that there are.

    >>> suggest("smal", ["tiny", "small"]), suggest("enormous", ["tiny", "small"])
    ('did you mean small?', 'there are tiny, small')
    """
    import difflib

    names = list(names)
    likely = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {likely[0]}?" if likely else f"there are {', '.join(names)}"


def reason(error: Exception) -> str:
    """What a user reads of an error: of the system's, the file and what was wrong with it, without their numbers.

    >>> reason(OSError(28, "No space left on device", "music.mid"))
    'music.mid: No space left on device'
    """
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}"
    return str(error)


def printable(text: str) -> str:
    r"""A text with a question mark for what a terminal would obey or cannot show: files and names may hold anything.

    >>> printable("\x1b[2Jétude.mid")
    '?[2Jétude.mid'
    """
    return "".join(character if character.isprintable() else "?" for character in text)
