"""A systemd service that plays from power-on: writes its unit, checks it, and starts it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from kerasmusic.errors import ArgumentError, KerasMusicError, MissingPackageError
from kerasmusic.files import atomic_write

#: The folder of units that the administrator made.
UNITS = Path("/etc/systemd/system")
#: The name of the service.
NAME = "kerasmusic"
CARDS = Path("/proc/asound/cards")
# A service that cannot play ends within this time.
STARTED_SECONDS = 3.0
# The group whose members may use sound devices.
AUDIO = "audio"


def unit(arguments: Sequence[str], user: str, folder: str | os.PathLike[str]) -> str:
    """The text of a unit that runs `kerasmusic play` as a user.

    Args:
        arguments: the arguments of `kerasmusic play`.
        user: the name of the user.
        folder: the folder from which paths among the arguments are relative.
    """
    import grp

    command = [sys.executable, "-m", "kerasmusic.command_line", "play", *arguments]
    groups = [f"SupplementaryGroups={AUDIO}"] if AUDIO in {group.gr_name for group in grp.getgrall()} else []
    lines = [
        "[Unit]",
        "Description=kerasmusic plays the piano",
        "After=sound.target",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        f"User={user}",
        *groups,
        f"WorkingDirectory={_literal(os.fspath(folder))}",
        f"ExecStart={' '.join(map(quoted, command))}",
        "Restart=on-failure",
        "RestartSec=5",
        # Allows the thread that strikes notes to run at real-time priority.
        "LimitRTPRIO=95",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "".join(f"{line}\n" for line in lines)


def quoted(argument: str) -> str:
    """An argument as systemd's ExecStart takes it literally.

    >>> print(quoted("plughw:1"), quoted("Digital Piano"), quoted("50 %"))
    plughw:1 "Digital Piano" "50 %%"
    """
    text = _literal(argument).replace("$", "$$")
    if re.fullmatch(r"[\w%$./:=,+@-]+", text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _literal(text: str) -> str:
    """Text without the specifiers that systemd would replace."""
    return text.replace("%", "%%")


def install(text: str, folder: Path = UNITS) -> Path:
    """Checks a unit, writes it, and starts the service now and at boot; returns the unit's path.

    Raises:
        MissingPackageError: systemd is not on this machine.
        ArgumentError: this user may not write the unit.
        KerasMusicError: systemd refuses the unit, or the service ends at once.
    """
    path = _path(folder)
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as checked:
        draft = Path(checked) / path.name
        draft.write_text(text)
        _run("systemd-analyze", "verify", "--man=no", "--recursive-errors=one", str(draft))
    with atomic_write(path) as temporary:
        temporary.write_text(text)
        temporary.chmod(0o644)
    _run("systemctl", "daemon-reload")
    _run("systemctl", "enable", NAME)
    # Also ends a service that runs with a former unit.
    _run("systemctl", "restart", NAME)
    time.sleep(STARTED_SECONDS)
    _run("systemctl", "is-active", NAME)
    return path


def remove(folder: Path = UNITS) -> Path:
    """Ends the service, and removes its unit; returns the unit's path.

    Raises:
        MissingPackageError, ArgumentError: see `install`; or there is no such unit.
        KerasMusicError: systemd cannot end the service.
    """
    path = _path(folder)
    if not path.exists():
        raise ArgumentError(f"{path}: there is no such service to remove")
    _run("systemctl", "disable", "--now", NAME)
    path.unlink()
    _run("systemctl", "daemon-reload")
    return path


def _path(folder: Path) -> Path:
    if not all(map(shutil.which, ("systemctl", "systemd-analyze"))):
        raise MissingPackageError("services need systemd, which is not on this machine; run kerasmusic play instead")
    if not os.access(folder, os.W_OK):
        asked = shlex.join([sys.executable, "-m", "kerasmusic.command_line", *sys.argv[1:]])
        raise ArgumentError(f"{folder}: this user may not write units here; run: sudo {asked}")
    return folder / f"{NAME}.service"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise KerasMusicError(f"'{' '.join(command[:2])}' failed ({said[-1]}); 'journalctl -u {NAME}' may say more")


def sound_cards() -> dict[str, str]:
    """ALSA's sound cards: what each is, by the name that `--card` takes; none on a system without ALSA.

    On a Raspberry Pi: {"plughw:CARD=Headphones": "bcm2835 Headphones"}.
    """
    try:
        text = CARDS.read_text()
    except OSError:
        return {}
    found = re.findall(r"^ *\d+ \[(\S+) *\]: (?:.* - )?(.*)$", text, re.MULTILINE)
    return {f"plughw:CARD={name}": about for name, about in found}
