"""Plays the golden passage of an exact file with the quantised Keras model: `nox -s keras-passage`.

The arguments are the `.keras` file and the `.tflite` file. The exit code is 1 if a note differs.
"""

import argparse
import sys

import keras
import numpy as np

from kerasmusic.edge.golden import EXACT_NOTES, GROUP, NOTES, group_hashes, play
from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.models.keras_runtime import KerasRuntime
from kerasmusic.models.note_model import load_model


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("keras_file")
    parser.add_argument("tflite_file")
    parser.add_argument("--notes", type=int, default=EXACT_NOTES)
    options = parser.parse_args()
    golden = read_record(read_model_bytes(options.tflite_file), options.tflite_file)["golden"]
    hashes = golden["hashes"][: (options.notes - NOTES) // GROUP]
    played = play(KerasRuntime(load_model(options.keras_file)), options.notes, golden["settings"])
    same = np.array_equal(played[:NOTES], np.array(golden["notes"])) and group_hashes(played[NOTES:]) == hashes
    backend = f"Keras {keras.__version__} on {keras.backend.backend()}"
    print(f"{options.keras_file} on {backend}: {options.notes:,} notes, {'all the same' if same else 'NOT the same'}")
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
