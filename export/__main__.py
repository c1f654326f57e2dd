"""`python -m kerasmusic.export FOLDER`, with KERAS_BACKEND=tensorflow: the other side of `process`.

The folder holds `request.json` and the excerpts; `report.json` is added to it.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from kerasmusic.errors import KerasMusicError, reason


def main(folder: Path) -> int:
    """Exports, and prints what a user can put right as one line."""
    from kerasmusic.export.process import Excerpts
    from kerasmusic.export.tflite import export

    request = json.loads((folder / "request.json").read_text())
    excerpts = None
    if (folder / "validation.npz").exists():
        excerpts = Excerpts(*(list(np.load(folder / f"{kind}.npz").values()) for kind in Excerpts._fields))
    try:
        reports = export(request["model"], request["outputs"], excerpts)
    except (KerasMusicError, OSError) as error:
        print(f"kerasmusic: {reason(error)}", file=sys.stderr)
        return 2
    (folder / "report.json").write_text(json.dumps([asdict(report) for report in reports], default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
