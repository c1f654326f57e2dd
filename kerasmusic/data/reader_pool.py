"""Reading many MIDI files in processes of their own, so that what a file does to its reader ends with that process.

Files from the net are made by anyone, and one may take all memory or hold its reader up. A process that dies over a
file or does not come back from one is replaced, and the file is refused with the reason.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import FIELDS
from kerasmusic.data.sources import read_members
from kerasmusic.errors import MidiError, ProcessError, printable
from kerasmusic.processes import map_in_processes

#: Seconds that one file may take; the longest of MAESTRO takes a few thousandths of one.
LONGEST_READING = 60.0
# The first byte of an answer.
ENCODED, REFUSED = b"+", b"-"


#: Makes the fields, int16 `[n, 4]`, of a file's bytes and its name, or raises a MidiError.
Encode = Callable[[bytes, str], NDArray[np.int16]]


def encode_files(
    root: Path, names: Sequence[str], encode: Encode, *, longest: float = LONGEST_READING
) -> Generator[tuple[str, NDArray[np.int16] | str], None, None]:
    """Reads files of a source in as many processes as there are processors; shows a bar on a terminal.

    Args:
        root: the folder or zip.
        names: the files in it.
        encode: what is done with each; a function that can be pickled.
        longest: seconds that one file may take.

    Yields:
        Each name, in no order, with its fields, or with the reason why it has none.

    Raises:
        ProcessError: no process can be started.
    """
    from kerasmusic.progress import progress

    outcomes = map_in_processes(functools.partial(_read_each, root, encode), names, longest=longest)
    with progress("reading MIDI", "file", len(names)) as bar, closing(outcomes):
        for name, answer in outcomes:
            if isinstance(answer, bytes):
                yield name, _outcome(answer)
            elif isinstance(answer, ProcessError):
                yield name, f"{printable(name)}: the process that read it {answer}"
            else:
                yield name, f"{printable(name)}: {answer}"
            bar.update()


def _read_each(root: Path, encode: Encode, names: Iterator[str]) -> Iterator[bytes]:
    """In a reading process: the outcome of each file."""
    for name, data in read_members(root, names):
        try:
            if isinstance(data, str):
                raise MidiError(data)
            yield ENCODED + encode(data, printable(name)).tobytes()
        except MidiError as error:
            yield REFUSED + str(error).encode(errors="replace")


def _outcome(answer: bytes) -> NDArray[np.int16] | str:
    """What an answer says. It is no pickle: what a file made of that process shall not reach this one."""
    if answer[:1] == REFUSED:
        return answer[1:].decode(errors="replace")
    return np.frombuffer(answer, np.int16, offset=1).reshape(-1, len(FIELDS))
