"""Exceptions for errors that are not bugs, with messages written for users.

Every error that a user can cause derives from `KerasMusicError`. Its message is one line that says what was wrong, with
the value, and what to do. The command line prints it and exits with 2.
"""

from collections.abc import Collection, Iterable


class KerasMusicError(Exception):
    """Base class of all errors that a user can fix."""


class KerasMusicWarning(UserWarning):
    """Something that a user should know, although the work goes on."""


class MidiError(KerasMusicError):
    """A MIDI file cannot be read or has no notes."""


class CorpusError(KerasMusicError):
    """Data cannot be made into a corpus."""


class ModelFileError(KerasMusicError):
    """A `.tflite` or `.keras` file is not a kerasmusic model, or not one that this version reads."""


class TrainingError(KerasMusicError):
    """Training cannot continue, since the loss or the weights are no longer finite."""


class NoNetworkError(KerasMusicError):
    """A download is needed, and the server cannot be reached."""


class MissingPackageError(KerasMusicError):
    """A package or a system library that an optional feature needs is not installed."""


class ProcessError(KerasMusicError):
    """A worker process ended without finishing its work."""


class PortError(KerasMusicError):
    """A MIDI port or sound device does not exist, or has disappeared."""


class ArgumentError(KerasMusicError, ValueError):
    """An argument is out of range, or a name is unknown."""


def suggest(name: str, names: Iterable[str]) -> str:
    """The hint for an unknown name: the most similar known name, or else all known names.

    >>> suggest("smal", ["tiny", "small"]), suggest("enormous", ["tiny", "small"])
    ('did you mean small?', 'there are tiny, small')
    """
    import difflib

    names = list(names)
    likely = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {likely[0]}?" if likely else f"there are {', '.join(names)}"


def check_name(kind: str, name: str, names: Collection[str]) -> None:
    """Raises an ArgumentError, with the hint of `suggest`, if a name is not one of the known ones.

    >>> check_name("preset", "smal", ["tiny", "small"])
    Traceback (most recent call last):
    kerasmusic.errors.ArgumentError: smal: no such preset; did you mean small?
    """
    if name not in names:
        raise ArgumentError(f"{name}: no such {kind}; {suggest(name, names)}")


def reason(error: Exception) -> str:
    """The message of an error as users see it; for an OSError, the file and the reason without the error number.

    >>> reason(OSError(28, "No space left on device", "music.mid"))
    'music.mid: No space left on device'
    """
    if isinstance(error, OSError):
        prefix = f"{error.filename}: " if error.filename else ""
        return f"{prefix}{error.strerror or error}"
    return str(error)


def printable(text: str) -> str:
    r"""Replaces characters that a terminal would interpret or cannot show by "?"; names of files may hold anything.

    >>> printable("\x1b[2Jétude.mid")
    '?[2Jétude.mid'
    """
    return "".join(character if character.isprintable() else "?" for character in text)
