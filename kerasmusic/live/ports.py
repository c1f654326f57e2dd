"""Lists MIDI ports by mido, and finds and opens them by a part of their name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from kerasmusic.errors import MissingPackageError, PortError
from kerasmusic.quiet import quiet_stderr

if TYPE_CHECKING:
    import mido

Port = TypeVar("Port")

#: The name of kerasmusic's client of the system's MIDI, as other programs see it.
CLIENT = "kerasmusic"
# The clients that list the ports, by kind and API. Opening one, as each of mido's own lists does, holds up all threads
# of Python for up to half a second on JACK.
_listing: dict[tuple[str, str | None], Any] = {}


def load_backend(backend: mido.Backend | None = None) -> mido.Backend:
    """Loads a mido backend: the given one, or the default, which the environment variable MIDO_BACKEND may name.

    Raises:
        MissingPackageError: mido or the backend's library is not installed.
    """
    try:
        import mido

        backend = backend or mido.Backend()
        backend.load()
    except ModuleNotFoundError as error:
        raise MissingPackageError(f"MIDI ports need {error.name}; run: pip install 'kerasmusic[live]'") from None
    except ImportError as error:
        raise MissingPackageError(
            f"MIDI ports cannot be used ({error}); on Debian, run: apt install libasound2, or libasound2t64 on Trixie"
        ) from None
    return backend


def port_names(kind: str, backend: mido.Backend) -> list[str]:
    """The names of the ports of a kind, "input" or "output".

    Raises:
        PortError: the backend cannot use the system's MIDI.
    """
    try:
        # If ALSA is missing, it says so on standard error several times.
        with quiet_stderr():
            return list(dict.fromkeys(_names(kind, backend)))
    except Exception as error:  # every backend has errors of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PortError(f"this system's MIDI cannot be used ({reason})") from None


def _names(kind: str, backend: mido.Backend) -> list[str]:
    rtmidi = getattr(backend.module, "rtmidi", None)
    if rtmidi is None:
        found: list[str] = backend.get_input_names() if kind == "input" else backend.get_output_names()
        return found
    client = _listing.pop((kind, backend.api), None)
    if client is None:
        api = getattr(rtmidi, f"API_{backend.api or 'UNSPECIFIED'}")
        client = (rtmidi.MidiIn if kind == "input" else rtmidi.MidiOut)(rtapi=api)
    names: list[str] = client.get_ports()
    # A client of a server that has ended finds nothing, and is not kept.
    if names:
        _listing[kind, backend.api] = client
    return names


def plain_name(name: str) -> str:
    """A port's name without the numbers that ALSA adds, which change when a device is plugged in again.

    >>> plain_name("Digital Piano:Digital Piano MIDI 1 20:0")
    'Digital Piano:Digital Piano MIDI 1'
    """
    return re.sub(r" \d+:\d+$", "", name)


def listed_names(names: Sequence[str]) -> list[str]:
    """The names of ports to show to users: plain ones, but the full ones of ports that share a plain one.

    >>> listed_names(["Piano 20:0", "Synth 24:0", "Synth 28:0"])
    ['Piano', 'Synth 24:0', 'Synth 28:0']
    """
    counts = Counter(map(plain_name, names))
    return [plain_name(name) if counts[plain_name(name)] == 1 else name for name in names]


def find_port(name: str, kind: str, backend: mido.Backend) -> str:
    """The full name of the port with a name, whatever its numbers are now, or with an unambiguous part of it.

    Raises:
        PortError: no port matches, or several do.
    """
    names = port_names(kind, backend)
    if name in names:
        return name
    part = plain_name(name).lower()
    found = [full for full in names if plain_name(full).lower() == part] or [
        full for full in names if part in full.lower()
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise PortError(f"{name}: several MIDI {kind}s have this name: {', '.join(found)}")
    available = f"there are {', '.join(listed_names(names))}" if names else "there is none at all"
    raise PortError(f"{name}: no such MIDI {kind}; {available}")


def check_port(port: mido.ports.BaseIOPort, kind: str, backend: mido.Backend) -> None:
    """Raises PortError if an open port has disappeared, which ALSA does not report by itself.

    A port of RtMidi is asked for the others that it sees.
    """
    own = getattr(port, "_rt", None)
    try:
        names = port_names(kind, backend) if own is None else own.get_ports()
    except Exception as error:  # every backend has errors of its own
        raise PortError(f"{port.name}: the MIDI port cannot be asked ({error})") from None
    if port.name not in names:
        raise PortError(f"{port.name}: the MIDI port went away; connect it and start again")


def open_port(open_named: Callable[[], Port], name: str) -> Port:
    """Calls `open_named`, names our client of the system's MIDI, and raises PortError if the port cannot be opened."""
    try:
        port = open_named()
    except Exception as error:  # every backend has errors of its own
        raise PortError(f"{name}: the MIDI port cannot be opened ({error})") from None
    # Mido makes a port with a client's name a virtual one, and only ALSA lets a client be renamed.
    with suppress(Exception):
        port._rt.set_client_name(CLIENT)  # type: ignore[attr-defined]
    return port
