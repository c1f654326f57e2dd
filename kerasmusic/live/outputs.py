"""Outputs for live music: MIDI ports, and FluidSynth on the machine's audio device."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from kerasmusic.errors import PortError, printable
from kerasmusic.live.ports import CLIENT, check_port, find_port, load_backend, open_port
from kerasmusic.midi_parser import ALL_NOTES_OFF, ALL_SOUND_OFF, SUSTAIN

if TYPE_CHECKING:
    import mido

# The model's channel, and that of the user's keys.
CHANNELS = (0, 1)
#: The name of an output that is a port of our own.
VIRTUAL = "virtual"
# A device whose time stood still at so many checks in a row is lost.
LOST_CHECKS = 3
# FluidSynth's default of 0.2 is meant for orchestras. At this gain a chord of ten keys at velocity 127 peaks at 0.82.
GAIN = 1.3


class Output(Protocol):
    """A device or port that sounds notes."""

    def note_on(self, pitch: int, velocity: int, channel: int = 0) -> None:
        """Strikes a key."""

    def note_off(self, pitch: int, channel: int = 0) -> None:
        """Releases a key."""

    def silence(self) -> None:
        """Ends all notes, including those not known to sound."""

    def check(self) -> None:
        """Raises PortError if the device or port has disappeared."""

    def close(self) -> None:
        """Closes the port or device."""


class MidiOutput:
    """A MIDI port.

    Args:
        port: a mido output port.
        backend: the port's mido backend, by which `check` tells whether it still exists; None to disable the check.
        channel: the MIDI channel, from 0, of the notes on channel 0.
    """

    def __init__(self, port: mido.ports.BaseOutput, backend: mido.Backend | None = None, *, channel: int = 0) -> None:
        import mido

        self._message = mido.Message
        self._port = port
        self._backend = backend
        self.name: str = port.name
        self._channels = (channel, *CHANNELS[1:])

    def note_on(self, pitch: int, velocity: int, channel: int = 0) -> None:
        """Strikes a key."""
        self._send(self._message("note_on", note=pitch, velocity=velocity, channel=self._channels[channel]))

    def note_off(self, pitch: int, channel: int = 0) -> None:
        """Releases a key."""
        self._send(self._message("note_off", note=pitch, velocity=64, channel=self._channels[channel]))

    def silence(self) -> None:
        """Lifts the pedal and ends all notes on the channels in use."""
        for channel in dict.fromkeys(self._channels):
            for control in (SUSTAIN, ALL_NOTES_OFF, ALL_SOUND_OFF):
                self._send(self._message("control_change", control=control, value=0, channel=channel))

    def check(self) -> None:
        """Raises PortError if the port has disappeared."""
        if self._backend is not None:
            check_port(self._port, "output", self._backend)

    def close(self) -> None:
        """Closes the port."""
        with suppress(Exception):  # closing a lost port fails differently in each backend
            self._port.close()

    def _send(self, message: mido.Message) -> None:
        try:
            self._port.send(message)
        except Exception as error:  # every backend has errors of its own
            raise PortError(f"{self._port.name}: the MIDI port takes no more notes ({error})") from None


class FluidSynthOutput:
    """FluidSynth on the machine's audio device.

    Args:
        soundfont: an `.sf2` file; by default the small one that comes with pretty_midi.
        driver: the name of FluidSynth's audio driver, such as "alsa", "pulseaudio", "coreaudio" or "dsound"; by default
            FluidSynth chooses.
        card: the device of the driver, such as "plughw:1"; by default the driver's default.
        settings: further settings of FluidSynth by name.

    Raises:
        MissingPackageError: pyfluidsynth or FluidSynth's library is not installed.
        PortError: no sound device can be opened, or the SoundFont cannot be read.
    """

    def __init__(
        self,
        soundfont: str | os.PathLike[str] | None = None,
        *,
        driver: str | None = None,
        card: str | None = None,
        **settings: Any,
    ) -> None:
        from kerasmusic.audio import import_fluidsynth, soundfont_path
        from kerasmusic.quiet import captured_stderr

        self.name = driver or "FluidSynth"
        fluidsynth = import_fluidsynth()
        path = soundfont_path(soundfont)
        # Otherwise `--driver jack` would be heard by nobody.
        settings = {"audio.jack.autoconnect": 1, **settings}
        if card is not None:
            settings[f"audio.{driver or 'alsa'}.device"] = card
        with captured_stderr() as said:
            self._synth: Any = fluidsynth.Synth(gain=GAIN, channels=16, **settings)
            font = self._synth.sfload(path)
            if font >= 0:
                self._synth.start(driver=driver)
        if font < 0 or not self._synth.audio_driver:
            named = self._synth.get_setting("audio.driver")
            self._synth.delete()
            if font < 0:
                raise PortError(f"{path}: not a SoundFont that FluidSynth can read")
            raise PortError(
                f"{driver or named}: FluidSynth cannot open a sound device with this driver ({_reasons(said)}); name "
                "another with --driver, a device of it with --card, or a MIDI port with --midi-out"
            )
        for channel in CHANNELS:
            self._synth.program_select(channel, font, 0, 0)
        # FluidSynth does not report a lost device, but then renders no more, so that this clock stands still.
        self._rendered: Any = fluidsynth.Sequencer(use_system_timer=False)
        self._rendered.register_fluidsynth(self._synth)
        self._ticks, self._still = -1, 0

    def note_on(self, pitch: int, velocity: int, channel: int = 0) -> None:
        """Strikes a key."""
        self._synth.noteon(channel, pitch, velocity)

    def note_off(self, pitch: int, channel: int = 0) -> None:
        """Releases a key."""
        self._synth.noteoff(channel, pitch)

    def silence(self) -> None:
        """Releases all keys; the notes ring out."""
        for channel in CHANNELS:
            self._synth.all_notes_off(channel)

    def check(self) -> None:
        """Raises PortError if the device has taken no sound for several checks, which are to be half a second apart."""
        ticks = self._rendered.get_tick()
        self._still = self._still + 1 if ticks == self._ticks else 0
        self._ticks = ticks
        if self._still >= LOST_CHECKS:
            raise PortError(f"{self.name}: the sound device takes no more sound; connect it and start again")

    def close(self) -> None:
        """Closes the device."""
        self._rendered.delete()
        self._synth.delete()


def _reasons(said: Sequence[str]) -> str:
    """Joins the errors that FluidSynth printed into one line."""
    own = [line.removeprefix("fluidsynth: ") for line in said if line.startswith("fluidsynth: ")]
    reasons = [line.removeprefix("error: ").rstrip(".") for line in own if "ALSA sequencer" not in line]
    return printable("; ".join(reasons)) or "it gave no reason"


class Voices:
    """Keeps track of the keys that sound on one channel of an output; a key that is struck again is released first.

    Args:
        output: the output that sounds them.
        channel: the MIDI channel, from 0.
    """

    def __init__(self, output: Output, channel: int = 0) -> None:
        self._output = output
        self._channel = channel
        self._lock = threading.RLock()
        self._strikes = 0
        #: The number of the strike of each sounding key.
        self.sounding: dict[int, int] = {}

    def strike(self, pitch: int, velocity: int) -> int:
        """Strikes a key; returns the number of the strike, for `release`."""
        with self._lock:
            self.release(pitch)
            self._strikes += 1
            # Recorded first, so that its release is sent even if the strike fails half-way.
            self.sounding[pitch] = self._strikes
            self._output.note_on(pitch, velocity, self._channel)
            return self._strikes

    def release(self, pitch: int, strike: int | None = None) -> None:
        """Releases a key if it sounds; with `strike`, only if that was its last strike."""
        with self._lock:
            if pitch in self.sounding and strike in (None, self.sounding[pitch]):
                self._output.note_off(pitch, self._channel)
                del self.sounding[pitch]

    def silence(self) -> None:
        """Releases all keys."""
        with self._lock:
            for pitch in list(self.sounding):
                self.release(pitch)


def open_midi_output(name: str, backend: mido.Backend | None = None, *, channel: int = 0) -> MidiOutput:
    """Opens a MIDI output port by its name, or by an unambiguous part of it.

    Args:
        name: the name; "virtual" for a port of our own, to which other programs connect, where the system has them.
        backend: the mido backend; by default mido's default.
        channel: the MIDI channel of the notes, from 0.

    Raises:
        MissingPackageError: mido or python-rtmidi is not installed.
        PortError: the port does not exist or cannot be opened.
    """
    backend = load_backend(backend)
    if name == VIRTUAL:
        port = open_port(lambda: backend.open_output(CLIENT, virtual=True, client_name=CLIENT), name)
        return MidiOutput(port, channel=channel)
    full = find_port(name, "output", backend)
    port = open_port(lambda: backend.open_output(full), full)
    return MidiOutput(port, backend, channel=channel)
