"""The service, with a systemctl of the tests' own and the system's systemd-analyze if there is one."""

import os
import re
import shutil
import subprocess
import sys

import click
import pytest

from kerasmusic import service
from kerasmusic.command_line import main
from kerasmusic.commands import service as commands

pytestmark = pytest.mark.device

CARDS = """ 0 [Headphones     ]: bcm2835_headpho - bcm2835 Headphones
                      bcm2835 Headphones
 1 [vc4hdmi0       ]: vc4-hdmi - vc4-hdmi-0
                      vc4-hdmi-0
"""


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """The folder of the units, beside a log of what systemctl was told; FAILS names what fails."""
    binaries, units = tmp_path / "bin", tmp_path / "units"
    for folder in (binaries, units):
        folder.mkdir()
    said = tmp_path / "said"
    said.touch()
    for name in ("systemctl", "systemd-analyze"):
        script = binaries / name
        script.write_text(
            f'#!/bin/sh\necho "{name} $*" >> "{said}"\n'
            f'case "{name} $1" in "$FAILS"*) echo "no, never" >&2; exit 3;; esac\n'
        )
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binaries}:{os.environ['PATH']}")
    monkeypatch.setenv("FAILS", "nothing")
    monkeypatch.setattr(service, "STARTED_SECONDS", 0)
    return units


def told(units):
    return [" ".join(line.split()[:2]) for line in (units.parent / "said").read_text().splitlines()]


def test_it_is_checked_written_and_started_with_the_options_of_play(systemd, monkeypatch, capsys):
    monkeypatch.setenv("SUDO_USER", "pi")
    options = ["--midi-out", "Digital Piano", "--speed", "6"]
    assert main(["service", "install", "--units", str(systemd), "--", *options]) == 0
    path = systemd / "kerasmusic.service"
    assert f"{path}: started, and will be at boot" in capsys.readouterr().out
    lines = path.read_text().splitlines()
    assert "User=pi" in lines
    command = next(line for line in lines if line.startswith("ExecStart="))
    play = '-m kerasmusic.command_line play --midi-out "Digital Piano" --speed 6 --no-record --plain --wait'
    assert command == f"ExecStart={sys.executable} {play}"
    assert told(systemd) == [
        "systemd-analyze verify", "systemctl daemon-reload", "systemctl enable", "systemctl restart",
        "systemctl is-active",
    ]  # fmt: skip
    assert path.stat().st_mode & 0o777 == 0o644
    assert main(["service", "remove", "--units", str(systemd)]) == 0
    assert not path.exists()
    assert told(systemd)[-2:] == ["systemctl disable", "systemctl daemon-reload"]


def test_what_play_or_systemd_refuses_is_not_installed(systemd, monkeypatch, capsys):
    for options, words in (
        (["--sped", "6"], "No such option '--sped'"),
        (["--channel", "x"], "not a valid integer"),
        (["--ports"], "--ports: a service plays"),
    ):
        assert main(["service", "install", "--units", str(systemd), "--", *options]) == 2
        assert words in capsys.readouterr().err
    monkeypatch.setenv("FAILS", "systemd-analyze")
    assert main(["service", "install", "--units", str(systemd), "--", "--speed", "6"]) == 2
    said = capsys.readouterr().err
    assert "'systemd-analyze verify' failed (no, never)" in said
    assert said.count("\n") == 1
    assert not list(systemd.iterdir())


def test_a_service_that_ends_at_once_is_told(systemd, monkeypatch, capsys):
    monkeypatch.setenv("FAILS", "systemctl is-active")
    assert main(["service", "install", "--units", str(systemd), "--", "--speed", "6"]) == 2
    assert "'systemctl is-active' failed (no, never); 'journalctl -u kerasmusic'" in capsys.readouterr().err


def test_without_a_right_to_or_a_unit_or_systemd_one_line_says_so(systemd, tmp_path, monkeypatch, capsys):
    assert main(["service", "remove", "--units", str(systemd)]) == 2
    assert "there is no such service to remove" in capsys.readouterr().err
    assert main(["service", "install", "--units", str(tmp_path / "none"), "--", "--speed", "6"]) == 2
    assert re.search(r"may not write units here; run: sudo \S+ -m kerasmusic", capsys.readouterr().err)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["service", "install", "--units", str(systemd), "--", "--speed", "6"]) == 2
    assert "services need systemd" in capsys.readouterr().err


def test_it_asks_for_the_port_and_the_card(systemd, tmp_path, monkeypatch):
    cards = tmp_path / "cards"
    cards.write_text(CARDS)
    monkeypatch.setattr(service, "CARDS", cards)
    assert service.sound_cards() == {
        "plughw:CARD=Headphones": "bcm2835 Headphones",
        "plughw:CARD=vc4hdmi0": "vc4-hdmi-0",
    }
    monkeypatch.setattr(commands, "_ports", lambda kind: ["Digital Piano"])
    for answers, expected in (
        ([1, 1], ["--midi-out", "Digital Piano", "--midi-in", "Digital Piano"]),
        ([0, 2, 0], ["--driver", "alsa", "--card", "plughw:CARD=vc4hdmi0"]),
        ([0, 0, 1], ["--driver", "alsa", "--midi-in", "Digital Piano"]),
    ):
        left = iter(answers)
        monkeypatch.setattr(click, "prompt", lambda *_, left=left, **__: next(left))
        assert commands._asked() == expected


@pytest.mark.parametrize(
    "argument", ["plain", "two words", 'say "it"', "50%n", "$HOME", "back\\slash", "new\nline", "é;'"]
)
def test_systemd_takes_arguments_literally(argument, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd")
    draft = tmp_path / "kerasmusic.service"
    draft.write_text(service.unit(["--soundfont", argument], "root", "/"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=one", str(draft)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
