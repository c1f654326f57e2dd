"""`python -m kerasmusic.export MODEL.keras OUTPUT.tflite`, with KERAS_BACKEND=tensorflow: see `process`."""

import sys

from kerasmusic.errors import KerasMusicError


def main() -> int:
    """Exports, and prints what a user can put right as one line."""
    from kerasmusic.export.tflite import export

    try:
        export(*sys.argv[1:])
    except KerasMusicError as error:
        print(f"kerasmusic: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
