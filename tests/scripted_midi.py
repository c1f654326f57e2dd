"""A mido backend for tests: messages sent to an output arrive at the inputs of the same name.

The environment variable MIDO_BACKEND=scripted_midi selects it instead of the system's MIDI. PORTS names the ports, SENT
names a file that receives one line per message, VANISH is the number of messages after which the output disappears, and
RETURN the seconds after which it comes back, with another number in its name.
"""

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from mido.ports import BaseInput, BaseOutput


class Client:
    """A client of the system's MIDI, in place of RtMidi's; opening one takes as long as `open_client` does."""

    def __init__(self, rtapi):
        open_client()

    def get_ports(self):
        return list(ports)


def open_client():
    pass


rtmidi = SimpleNamespace(MidiIn=Client, MidiOut=Client, API_UNSPECIFIED=0)
ports = os.environ.get("PORTS", "").split(",") if os.environ.get("PORTS") else ["Piano", "Synth one", "Synth two"]
inputs = {}
messages = []


def get_devices(**_):
    open_client()
    return [{"name": name, "is_input": True, "is_output": True} for name in ports]


class Input(BaseInput):
    def _open(self, callback=None, **_):
        self.callback = callback
        inputs.setdefault(self.name, []).append(self)

    def _close(self):
        inputs[self.name].remove(self)


class Output(BaseOutput):
    def _send(self, message):
        if self.name not in ports:
            raise OSError("no such device")
        messages.append((time.perf_counter(), message.copy()))
        if "SENT" in os.environ:
            with Path(os.environ["SENT"]).open("a") as file:
                print(message, file=file)
        if len(messages) == int(os.environ.get("VANISH", 0)):
            ports.remove(self.name)
            if "RETURN" in os.environ:
                back = threading.Timer(float(os.environ["RETURN"]), ports.append, [f"{self.name} 21:0"])
                back.daemon = True
                back.start()
        for port in inputs.get(self.name, []):
            port.callback(message)
