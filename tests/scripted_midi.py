"""A mido backend of the tests' own: what is sent to an output of a name arrives at the inputs of that name.

In the environment of a command, MIDO_BACKEND=scripted_midi puts it in the place of the system's MIDI. There, PORTS
names the ports, SENT a file that takes a line for each message, and VANISH a number of messages after which the output
is gone.
"""

import os
import time
from pathlib import Path

from mido.ports import BaseInput, BaseOutput

ports = os.environ.get("PORTS", "").split(",") if os.environ.get("PORTS") else ["Piano", "Synth one", "Synth two"]
inputs = {}
messages = []


def get_devices(**_):
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
        for port in inputs.get(self.name, []):
            port.callback(message)
