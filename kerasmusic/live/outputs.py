"""Where live music goes: a MIDI port, or FluidSynth and the machine's own sound."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from kerasmusic.errors import PortError
from kerasmusic.midi_parser import ALL_NOTES_OFF, ALL_SOUND_OFF, SUSTAIN

if TYPE_CHECKING:
    import mido

# The model's channel, and that of a person whose keys are sounded too.
CHANNELS = (0, 1)
# FluidSynth's own is 0.2, made for orchestras. At this a chord of ten keys, struck as hard as can be, peaks at 0.82.
GAIN = 1.3


class Output(Protocol):
    """Something that sounds notes."""

    def note_on(self, pitch: int, velocity: int, channel: int = 0) -> None:
        """Strikes a key."""

    def note_off(self, pitch: int, channel: int = 0) -> None:
        """Releases a key."""

    def silence(self) -> None:
        """Lets nothing sound any longer, whatever was struck before."""

    def check(self) -> None:
        """Raises PortError where what sounds the notes went away without a word."""

    def close(self) -> None:
        """Lets go of the port or the device."""


class MidiOutput:
    """A MIDI port.

    Args:
        port: an output port of mido's.
        backend: the mido backend that the port is of, to ask whether it is still there; None not to ask.
    """

    def __init__(self, port: mido.ports.BaseOutput, backend: mido.Backend | None = None) -> None:
        import mido

        self._message = mido.Message
        self._port = port
        self._backend = backend

    def note_on(self, pitch: int, velocity: int, channel: int = 0) -> None:
        """Strikes a key."""
        self._send(self._message("note_on", note=pitch, velocity=velocity, channel=channel))

    def note_off(self, pitch: int, channel: int = 0) -> None:
        """Releases a key."""
        self._send(self._message("note_off", note=pitch, velocity=64, channel=channel))

    def silence(self) -> None:
        """Lifts the pedal and ends all notes of the channels that are played on."""
        for channel in CHANNELS:
            for control in (SUSTAIN, ALL_NOTES_OFF, ALL_SOUND_OFF):
                self._send(self._message("control_change", control=control, value=0, channel=channel))

    def check(self) -> None:
        """Raises PortError where the port went away without a word, as ALSA's do."""
        if self._backend is not None and self._port.name not in self._backend.get_output_names():
            raise PortError(f"{self._port.name}: the MIDI port went away; connect it and start again")

    def close(self) -> None:
        """Closes the port."""
        with suppress(Exception):  # what is gone cannot be closed, and each backend says so in its own way
            self._port.close()

    def _send(self, message: mido.Message) -> None:
        try:
            self._port.send(message)
        except Exception as error:  # every backend has errors of its own
            raise PortError(f"{self._port.name}: the MIDI port takes no more notes ({error})") from None


class FluidSynthOutput:
    """FluidSynth, on the machine's own sound.

    Args:
        soundfont: an `.sf2` file; by default the small one that pretty_midi brings.
        driver: FluidSynth's name of what it plays on, such as "alsa", "pulseaudio", "coreaudio" or "dsound"; by default
            its own choice.
        settings: further settings of FluidSynth's, by their names.

    Raises:
        MissingPackageError: pyfluidsynth or FluidSynth's library is not installed.
        PortError: there is no sound device, or the SoundFont cannot be read.
    """

    def __init__(
        self, soundfont: str | os.PathLike[str] | None = None, *, driver: str | None = None, **settings: Any
    ) -> None:
        from kerasmusic.audio import import_fluidsynth, soundfont_path
        from kerasmusic.quiet import quiet_stderr

        fluidsynth = import_fluidsynth()
        path = soundfont_path(soundfont)
        with quiet_stderr():
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
                f"{driver or named}: FluidSynth can open no sound device by it; name a MIDI port with --midi-out"
            )
        for channel in CHANNELS:
            self._synth.program_select(channel, font, 0, 0)

    def note_on(self, pitch: int, velocity: int, channel: int = 0) -> None:
        """Strikes a key."""
        self._synth.noteon(channel, pitch, velocity)

    def note_off(self, pitch: int, channel: int = 0) -> None:
        """Releases a key."""
        self._synth.noteoff(channel, pitch)

    def silence(self) -> None:
        """Releases all keys; the strings ring out as they do after a release."""
        for channel in CHANNELS:
            self._synth.all_notes_off(channel)

    def check(self) -> None:
        """FluidSynth has no way to say that a device went away."""

    def close(self) -> None:
        """Lets go of the device."""
        self._synth.delete()


class Voices:
    """The keys that sound on one channel of an output: struck again they end first, and none is forgotten.

    Args:
        output: what sounds them.
        channel: MIDI channel, counted from 0.
    """

    def __init__(self, output: Output, channel: int = 0) -> None:
        self._output = output
        self._channel = channel
        self._lock = threading.RLock()
        self._strikes = 0
        #: For each key that sounds, the number of its strike.
        self.sounding: dict[int, int] = {}

    def strike(self, pitch: int, velocity: int) -> int:
        """Strikes a key; returns a number by which this strike can be released."""
        with self._lock:
            self.release(pitch)
            self._strikes += 1
            # Noted before it sounds: should sending fail half way, its end is sent all the same.
            self.sounding[pitch] = self._strikes
            self._output.note_on(pitch, velocity, self._channel)
            return self._strikes

    def release(self, pitch: int, strike: int | None = None) -> None:
        """Releases a key, where it sounds; given a strike, only if the key was not struck again since."""
        with self._lock:
            if pitch in self.sounding and strike in (None, self.sounding[pitch]):
                self._output.note_off(pitch, self._channel)
                del self.sounding[pitch]

    def silence(self) -> None:
        """Releases every key."""
        with self._lock:
            for pitch in list(self.sounding):
                self.release(pitch)


def open_midi_output(name: str, backend: mido.Backend | None = None) -> MidiOutput:
    """Opens a MIDI output port by its name, or by a part of it that no other port has.

    Raises:
        MissingPackageError: mido or python-rtmidi is not installed.
        PortError: no such port, or it cannot be opened.
    """
    from kerasmusic.live.ports import find_port, load_backend, open_port

    backend = load_backend(backend)
    full = find_port(name, "output", backend)
    return MidiOutput(open_port(lambda: backend.open_output(full), full), backend)
